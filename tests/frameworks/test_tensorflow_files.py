"""What of TensorFlow and Keras could do more than compute is refused before it is loaded."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from mlship.frameworks.base import Asked, Read
from mlship.frameworks.tensorflow import read_keras, read_tensorflow
from mlship.server.keras_scan import strange_classes
from mlship.server.pickle_scan import scan

# as keras 3.15 writes them
DENSE = {"module": "keras.layers", "class_name": "Dense", "config": {"units": 2, "activation": "relu"}, "registered_name": None}
MODEL = {"module": "keras", "class_name": "Sequential", "config": {"layers": [DENSE]}, "registered_name": "Sequential"}


def asked(path: Path, format: str = "keras") -> Asked:
    return Asked(path, format, "mlship.yaml:2 model.uri", scan)


def keras(root: Path, config: Any, metadata: Any = None) -> Read:
    path = root / "model.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps(metadata or {"keras_version": "3.15.1"}))
        archive.writestr("config.json", config if isinstance(config, str) else json.dumps(config))
        archive.writestr("model.weights.h5", "")
    return read_keras(asked(path))


def test_layers_of_keras_itself_are_served(tmp_path: Path) -> None:
    words = {"module": "keras.layers", "class_name": "StringLookup", "config": {"vocabulary": ["a", "b"]}}
    added = {"module": "keras.src.ops.numpy", "class_name": "Add", "config": {"at": {"class_name": "__keras_tensor__"}}}
    found = keras(tmp_path, {**MODEL, "config": {"layers": [DENSE, words, added]}})
    assert (found.findings, found.versions, found.modules) == ((), {"keras": "3.15.1"}, {"keras", "tensorflow"})


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        ({"module": "keras.layers", "class_name": "Lambda", "config": {}}, "keras.layers.Lambda"),
        ({"module": None, "class_name": "Own", "registered_name": "shop>Own"}, "has Own"),
        ({"module": "shop.layers", "class_name": "Own", "registered_name": "Own"}, "shop.layers.Own"),
        ({"module": "os", "class_name": "system"}, "os.system"),
        ({"module": "keras_evil", "class_name": "Dense"}, "keras_evil.Dense"),
        ({"module": "builtins", "class_name": "function", "config": "eval"}, "builtins.function"),
        ({"class_name": "__lambda__", "config": {"value": "x"}}, "__lambda__"),
        # keras before 3.11 hands these out as what a layer calls: CVE-2025-8747, CVE-2025-9906
        ({"module": "keras.utils", "class_name": "get_file", "config": {}}, "keras.utils.get_file"),
        (
            {"module": "keras.config", "class_name": "enable_unsafe_deserialization"},
            "keras.config.enable_unsafe_deserialization",
        ),
        ({"module": "keras", "class_name": "models.load_model"}, "keras.models.load_model"),
        # and before 3.12 reads a vocabulary from any file or address: CVE-2025-12058
        ({"module": "keras.layers", "class_name": "StringLookup", "config": {"vocabulary": "/etc/passwd"}}, "StringLookup"),
    ],
)
def test_other_layers_are_refused_wherever_they_stand(tmp_path: Path, layer: dict[str, Any], words: str) -> None:
    inside = {**DENSE, "config": {"activation": {"deeply": [layer]}}}
    (finding,) = keras(tmp_path, {**MODEL, "config": {"layers": [inside]}}).findings
    assert finding.code == "strange-layer" and words in finding.what and finding.where == "mlship.yaml:2 model.uri"


@pytest.mark.parametrize("config", ["{", "[" * 100_000])
def test_a_damaged_keras_file_is_refused(tmp_path: Path, config: str) -> None:
    (finding,) = keras(tmp_path, config).findings
    assert finding.code == "damaged-file"


@pytest.mark.parametrize(("name", "codes"), [("model.h5", []), ("model.hdf5", []), ("model.bin", ["other-suffix"])])
def test_the_older_format_is_left_to_who_can_read_it_and_needs_its_ending(tmp_path: Path, name: str, codes: list[str]) -> None:
    found = read_keras(asked(tmp_path / name, "h5"))
    assert [finding.code for finding in found.findings] == codes and "h5py" in found.modules
    assert all("rename it to model.h5" in finding.fix for finding in found.findings)


@pytest.mark.parametrize(
    ("layer", "found"),
    [
        ({"class_name": "Dense", "config": {"kernel_initializer": {"class_name": "GlorotUniform", "config": {}}}}, ()),
        ({"class_name": "Lambda", "config": {"function": ["4wEAAAA=", None, None]}}, ("Lambda",)),
        ({"class_name": "TFSMLayer", "config": {"filepath": "/elsewhere"}}, ("TFSMLayer",)),
        ({"class_name": "Shop>Own", "config": {}}, ("Shop>Own",)),
    ],
)
def test_a_configuration_of_the_older_form_names_what_runs_code(layer: dict[str, Any], found: tuple[str, ...]) -> None:
    assert strange_classes({"class_name": "Sequential", "config": {"layers": [layer]}}) == found


@pytest.mark.parametrize("start", [b"\x12\x84\x00", b"\x92\x00\x04", b"\x92\x80\x80\x80\x70\x84\x80\x00"])
def test_an_operation_is_seen_however_its_length_is_written(tmp_path: Path, start: bytes) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"\x0a\x04Save\x12\x06SaveV2" + start + b"Save")
    assert "uses Save:" in read_tensorflow(asked(tmp_path, "saved-model")).findings[0].what
    (tmp_path / "saved_model.pb").write_bytes(b"\x0a\x04Save\x12\x06SaveV2")
    assert not read_tensorflow(asked(tmp_path, "saved-model")).findings


@pytest.mark.parametrize(("operation", "found"), [("MatMul", ""), ("WriteFile", "WriteFile"), ("EagerPyFunc", "EagerPyFunc")])
def test_operations_on_files_and_python_are_refused(tmp_path: Path, operation: str, found: str) -> None:
    node = b"\x0a\x04node\x12" + bytes([len(operation)]) + operation.encode() + b"\x1a\x01x"
    (tmp_path / "saved_model.pb").write_bytes(b"\x08\x01\x12" + bytes([len(node)]) + node)
    findings = read_tensorflow(asked(tmp_path, "saved-model")).findings
    assert [finding.code for finding in findings] == (["dangerous-operation"] if found else [])
    assert all(found in finding.what for finding in findings)
