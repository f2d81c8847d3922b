"""TensorFlow SavedModels and Keras files: what they are, and what in them could do more than compute. Only bytes are read.

A SavedModel is a program: operations that read or write files, or call Python, are refused. A Keras file names the classes of its
layers: those of keras itself are built, others would be imported.
"""

from __future__ import annotations

import json
import mmap
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mlship.errors import Finding
from mlship.frameworks.base import Asked, Read
from mlship.server.keras_scan import strange_classes

MAX_CONFIG = 64 * 2**20
SAVED_MODEL, VARIABLES = "saved_model.pb", "variables/variables.index"
# tensorflow 2.21, core/ops: what reaches files or Python. The saver's own RestoreV2 and SaveV2 are part of every SavedModel.
_OPERATIONS = (
    "ReadFile", "WriteFile", "MatchingFiles", "PyFunc", "PyFuncStateless", "EagerPyFunc", "PrintV2", "WholeFileReaderV2",
    "TextLineDataset", "TFRecordDataset", "TFRecordDatasetV2", "FixedLengthRecordDatasetV2", "LoadDataset", "LoadDatasetV2",
    "SaveDataset", "SaveDatasetV2", "CreateSummaryFileWriter", "DebugIdentityV2", "DebugNumericSummaryV2", "Save", "SaveSlices",
    "DistributedSave", "CreateSummaryDbWriter", "DumpTensor", "DebugIdentity", "DebugIdentityV3", "DebugNanCount",
    "DebugNumericSummary", "WholeFileReader", "TextLineReader", "TextLineReaderV2", "TFRecordReader", "TFRecordReaderV2",
    "FixedLengthRecordReader", "FixedLengthRecordReaderV2", "LMDBReader", "LMDBDataset", "ExperimentalLMDBDataset", "SqlDataset",
    "ExperimentalSqlDataset", "CSVDataset", "CSVDatasetV2", "ExperimentalCSVDataset", "FixedLengthRecordDataset", "CacheDataset",
    "CacheDatasetV2", "SnapshotDataset", "SnapshotDatasetV2", "SnapshotDatasetReader", "SnapshotNestedDatasetReader",
    "SnapshotChunkDataset", "ListSnapshotChunksDataset", "DatasetToTFRecord", "ExperimentalDatasetToTFRecord",
    "MatchingFilesDataset", "ExperimentalMatchingFilesDataset", "DataServiceDataset", "DataServiceDatasetV2",
    "DataServiceDatasetV3", "DataServiceDatasetV4", "RpcServer", "RpcClient", "FileSystemSetConfiguration", "LoadAndRemapMatrix",
    "GenerateVocabRemapping", "CalibrationStatisticsSaver",
)  # fmt: skip
_LONGEST_VARINT = 10  # bytes
_OLD_SUFFIXES = (".h5", ".hdf5")  # keras 3.15, saving/saving_api.py
_FIX = "save it with layers of keras alone: keras.saving; or as a program: model.export(folder)"


def read_tensorflow(asked: Asked) -> Read:
    """Of a SavedModel's folder. Refusals are findings. Raises OSError."""
    folder, where = asked.path, asked.where
    found = tuple(_operations(folder / SAVED_MODEL))
    findings = []
    if found:
        what = f"{folder.name} uses {', '.join(found)}: it reads or writes files, or runs Python, when it is asked"
        fix = "export the model without: what prepares a row goes into serve.hooks"
        findings.append(Finding(what, where, fix, code="dangerous-operation"))
    return Read("saved-model", modules=frozenset({"tensorflow"}), findings=tuple(findings))


def read_keras(asked: Asked) -> Read:
    """Of a .keras file, or an .h5 one, whose layers are seen by whoever can read HDF5: the child. Refusals are findings. Raises OSError."""
    path, where = asked.path, asked.where
    if asked.format == "folder":
        what = f"{path.name} is a Keras file that was unpacked"
        return Read("folder", findings=(Finding(what, where, "name the .keras file itself", code="unpacked"),))
    if asked.format == "h5":
        return _old(path, where)
    try:
        config, version = _config(path)
    except (zipfile.BadZipFile, KeyError, ValueError, RecursionError, NotImplementedError, RuntimeError) as error:
        finding = Finding(f"{path.name} is damaged: {error}", where, "save the model again", code="damaged-file")
        return Read("keras", findings=(finding,))
    strange = strange_classes(config)
    findings: tuple[Finding, ...] = ()
    if strange:
        what = f"{path.name} has {', '.join(strange[:5])}, which is no layer of keras: loading it would run other code"
        findings = (Finding(what, where, _FIX, code="strange-layer"),)
    return Read(
        "keras", modules=frozenset({"keras", "tensorflow"}), versions={"keras": version} if version else {}, findings=findings
    )


def _old(path: Path, where: str) -> Read:
    findings = []
    if path.suffix not in _OLD_SUFFIXES:
        what = f"{path.name} is an HDF5 file; keras takes one only by the ending .h5"
        findings.append(Finding(what, where, f"rename it to {path.stem}.h5", code="other-suffix"))
    return Read("h5", modules=frozenset({"keras", "tensorflow", "h5py"}), findings=tuple(findings))


def _operations(file: Path) -> Iterator[str]:
    """Names that stand as a node's `op` (field 2 of NodeDef, tensorflow/core/framework/node_def.proto)."""
    if not file.is_file() or not file.stat().st_size:
        return
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for name in _OPERATIONS:
            if _is_in(content, name.encode()):
                yield name


def _is_in(content: mmap.mmap, name: bytes) -> bool:
    """Protobuf takes a tag and a length also in more bytes than they need, which end with a zero."""
    size = re.escape(bytes([len(name)])) + b"|" + re.escape(bytes([len(name) | 0x80])) + rb"\x80*\x00"
    before = re.compile(rb"[\x12\x00\x10\x20\x30\x40\x50\x60\x70](?:" + size + rb")\Z")
    at = content.find(name)
    while at >= 0:
        if before.search(content[max(0, at - _LONGEST_VARINT - 1) : at]):
            return True
        at = content.find(name, at + 1)
    return False


def _config(path: Path) -> tuple[Any, str]:
    """The layers, and keras's version. Raises what zipfile and json raise."""
    with zipfile.ZipFile(path) as archive:
        for name in ("config.json", "metadata.json"):
            if archive.getinfo(name).file_size > MAX_CONFIG:
                raise ValueError(f"{name} is too large")
        metadata = json.loads(archive.read("metadata.json"))
        version = metadata.get("keras_version") if isinstance(metadata, dict) else None
        return json.loads(archive.read("config.json")), version if isinstance(version, str) else ""
