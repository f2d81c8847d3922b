"""What kind of file is this? Told by its first bytes and its name; nothing is loaded."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from mlship.errors import MlshipError
from mlship.frameworks.kinds import KINDS
from mlship.server import torch_scan
from mlship.server.pickle_scan import Refused, compression_of, open_model

HEAD = 4096
# what holds a model of another framework (mlship/frameworks/packed.py)
PACKAGES = {
    "mlflow": "mlship.frameworks.mlflow:open_mlflow",
    "torchserve": "mlship.frameworks.torchserve:open_torchserve",
}


@dataclass(frozen=True)
class Detected:
    """framework: a row of KINDS, or one that a later version will serve. what: `an XGBoost model`, for people.

    format: of scikit-learn `joblib`, `pickle` or `skops`; joblib and pickle are told apart for good by the scan.
    """

    framework: str
    format: str
    what: str = ""


@dataclass(frozen=True)
class Other:
    """A file that is not served. what: `a web page`. is_model: it may be wrapped in a class of the user's own."""

    what: str
    is_model: bool = True
    fix: str = ""


NOT_YET = "mlship serves scikit-learn files and your own classes; wrap it: mlship init --loader module:Class"


def detect(path: Path, where: str = "") -> Detected:
    """Raises MlshipError that says what the file is when it is none that mlship serves. where: the key that names it."""
    try:
        if not path.exists():
            raise MlshipError(f"there is no file {path.name} in {path.parent}", where, _near(path), code="missing-model")
        if not path.is_dir() and not path.is_file():
            # a pipe would be waited for, a device read without end
            raise MlshipError(f"{path.name} is not a regular file", where, "name a file on disk", code="not-a-file")
        found = _folder(path) if path.is_dir() else _file(path)
    except PermissionError:
        raise MlshipError(f"{path} may not be read", where, f"chmod u+r {path}", code="unreadable") from None
    except Refused as refused:
        raise MlshipError(f"{path.name}: {refused.what}", where, refused.fix, code=refused.kind) from None
    if isinstance(found, Detected):
        if found.framework in KINDS or found.framework in PACKAGES:
            return found
        found = Other(found.what)
    what = f"{path.name} is {found.what}" + (", which mlship does not serve yet" if found.is_model else ", not a model")
    raise MlshipError(
        what, where, found.fix or (NOT_YET if found.is_model else ""), code="not-yet" if found.is_model else "not-a-model"
    )


def models_in(folder: Path) -> tuple[str, ...]:
    """The names of what is served of a folder, without what is hidden; of what else may look like it, only what is surely a model."""
    return tuple(path.name for path in sorted(folder.iterdir()) if not path.name.startswith(".") and _looks_served(path))


def _looks_served(path: Path) -> bool:
    try:
        found = detect(path)
    except (MlshipError, OSError):
        return False
    if found.format in ("joblib", "pickle"):
        return path.suffix in _SUFFIXES  # notes may begin like the pickles of old
    return not path.is_dir() or any(path.glob(_WEIGHTS.get(found.framework, "*")))


def other_framework(path: Path, said: str, detected: Detected, where: str) -> MlshipError:
    """said: what model.framework says, of a file that is of another one."""
    what = detected.what or f"a {detected.format} file"
    return MlshipError(
        f"model.framework says {said}, and {path.name} is {what}: framework {detected.framework}",
        where,
        f"delete model.framework, or write {detected.framework}",
        code="other-framework",
    )


def _near(path: Path) -> str:
    if not path.parent.is_dir():
        return f"make the folder {path.parent} or correct the path"
    names = [entry.name for entry in path.parent.iterdir() if not entry.name.startswith(".")]
    close = get_close_matches(path.name, names, n=1)
    return f"did you mean {close[0]}?" if close else "train and save the model, or correct the path"


_FOLDERS = (
    ("saved_model.pb", Detected("tensorflow", "saved-model", "a TensorFlow SavedModel")),
    ("MLmodel", Detected("mlflow", "folder", "an MLflow model folder")),
    ("MAR-INF/MANIFEST.json", Detected("torchserve", "folder", "a TorchServe archive")),
    ("config.json", Detected("transformers", "folder", "a Hugging Face model folder")),
    ("metadata.json", Detected("keras", "folder", "a Keras model folder")),
)


# of what is told by a file that other folders have as well
_WEIGHTS = {"transformers": "*.safetensors", "keras": "*.h5"}


def _folder(path: Path) -> Detected | Other:
    for name, found in _FOLDERS:
        if (path / name).exists():
            return found
    if any(path.glob("*.onnx")):
        return Detected("onnx", "folder", "a folder of an ONNX model")
    return Other(
        "a folder",
        is_model=False,
        fix="name the model file in it, or a class of your own that loads it: mlship init --model FOLDER --loader module:Class",
    )


def _file(path: Path) -> Detected | Other:
    with path.open("rb") as file:
        head = file.read(HEAD)
    if not head:
        return Other("empty", is_model=False, fix="copy it again, or train and save the model again")
    for tell in (_by_magic, _by_text):
        found = tell(path, head)
        if found is not None:
            return found
    if head.startswith(b"PK\x03\x04"):
        return _archive(path)
    if compression_of(head) != "none":
        return _compressed(path)
    return _pickle(path, head) or Other(
        "of a kind that mlship does not know", is_model=False, fix="save the model with joblib.dump"
    )


_MAGIC: tuple[tuple[bytes, Detected | Other], ...] = (
    (b"\x89HDF\r\n\x1a\n", Detected("keras", "h5", "an HDF5 file (Keras .h5?)")),
    (b"GGUF", Other("a GGUF language model")),
    (b"CBM1", Detected("catboost", "cbm", "a CatBoost model")),
    (b"binf", Detected("xgboost", "binary", "an XGBoost model")),
    (b"{L", Detected("xgboost", "ubj", "an XGBoost model (UBJSON)")),
    (b"tree\nversion=", Detected("lightgbm", "text", "a LightGBM model")),
    (b"PAR1", Other("a parquet table", is_model=False, fix="mlship init --model MODEL --data FILE takes it as examples")),
    (b"\x93NUMPY", Other("a numpy array", is_model=False, fix="save the fitted model with joblib.dump")),
    (b"SQLite format 3", Other("an SQLite database", is_model=False)),
    (b"%PDF", Other("a PDF document", is_model=False)),
    (b"\x7fELF", Other("a program", is_model=False)),
    (torch_scan.OLD, Detected("torch", "old", "a PyTorch file of before 1.6")),
    (b"RDX", Other("an R object", is_model=True)),
)
_EXPORT = "where it was made: program = torch.export.export(model.eval(), (example,)); torch.export.save(program, 'net.pt2')"
_GIT_LFS = b"version https://git-lfs.github.com/spec/"


def _by_magic(path: Path, head: bytes) -> Detected | Other | None:
    for magic, found in _MAGIC:
        if head.startswith(magic):
            return found
    if head[4:8] == b"TFL3":
        return Other("a TensorFlow Lite model")
    if head[4:6] == b"ET" and head[6:8].isdigit():  # executorch, schema/program.fbs: file_identifier
        return Other("an ExecuTorch program", fix=_EXPORT)
    if head[8:10] == b'{"' and int.from_bytes(head[:8], "little") < 100_000_000:
        return Detected("torch", "safetensors", "a safetensors file")
    if path.suffix == ".onnx":
        return Detected("onnx", "onnx", "an ONNX model")
    if head[257:262] == b"ustar":
        return Other("a tar archive", is_model=False, fix="unpack it and name the model file")
    return None


def _by_text(path: Path, head: bytes) -> Detected | Other | None:
    if head.startswith(_GIT_LFS):
        return Other("a Git LFS pointer (the model itself was not fetched)", is_model=False, fix="git lfs pull")
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    lower = text[:200].lower()
    if lower.startswith((b"<!doctype html", b"<html", b"<head")):
        return Other("a web page (an error or login page?)", is_model=False, fix="download the model again")
    if lower.startswith(b"<?xml") and b"<Error>" in text:
        return Other("an error message of an object store", is_model=False, fix="download the model again")
    if b"<PMML" in text:
        return Other("a PMML model")
    if text.startswith((b"{", b"[")):
        return _json(path, head)
    if path.suffix in (".py", ".ipynb", ".yaml", ".yml", ".md") and _is_text(head):
        return _written(path)
    if path.suffix.lower() in (".csv", ".tsv") or (
        _is_text(head) and head.count(b",") > 3 and b"\n" in head and head[:1] != b"c"
    ):
        return Other("a table (CSV)", is_model=False, fix="mlship init --model MODEL --data FILE takes it as examples")
    return _written(path) if path.suffix == ".txt" and _is_text(head) else None


def _written(path: Path) -> Other:
    return Other(f"a {path.suffix} file", is_model=False, fix="name the file that the training script saved")


def _json(path: Path, head: bytes) -> Detected | Other | None:
    if b'"learner"' in head and (b'"gradient_booster"' in head or b'"attributes"' in head):
        return Detected("xgboost", "json", "an XGBoost model (JSON)")
    if b'"features_info"' in head:
        return Detected("catboost", "json", "a CatBoost model (JSON)")
    if b'"tree_info"' in head or (b'"num_tree_per_iteration"' in head and b'"version"' in head):
        return Other(
            "what LightGBM's dump_model tells of a model", fix='save the model itself: booster.save_model("model.txt")'
        )
    if b'"nbformat"' in head:
        return Other("a notebook", is_model=False, fix="name the file that the notebook saved")
    if path.suffix != ".json" and not _is_text(head):
        return None
    try:
        json.loads(path.read_bytes()) if path.stat().st_size < HEAD else None
    except ValueError:
        return None
    return Other(
        "a JSON file",
        is_model=False,
        fix="for data that a class of your own loads: mlship init --loader module:Class",
    )


def _is_text(head: bytes) -> bool:
    return b"\0" not in head and all(byte >= 32 or byte in b"\t\r\n" for byte in head)


def _archive(path: Path) -> Detected | Other:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile:
        return Other("a damaged zip archive", is_model=False, fix="copy it again")
    kinds: tuple[tuple[Callable[[str], bool], Detected | Other], ...] = (
        (lambda name: name == "schema.json", Detected("sklearn", "skops")),
        (lambda name: name.endswith("/.data/extern_modules"), Other("a torch.package, which brings its code", fix=_EXPORT)),
        (
            lambda name: name.endswith(("/archive_format", "serialized_exported_program.json")),
            Detected("torch", "pt2", "a program of torch.export"),
        ),
        (lambda name: name.endswith("/constants.pkl"), Detected("torch", "torchscript", "a TorchScript program")),
        (lambda name: name == "MAR-INF/MANIFEST.json", Detected("torchserve", "zip", "a TorchServe archive")),
        (
            lambda name: name.endswith("data.pkl") or name.startswith("archive/"),
            Detected("torch", "state_dict", "a PyTorch file"),
        ),
        (lambda name: name in ("model.weights.h5", "metadata.json"), Detected("keras", "keras", "a Keras model")),
        (
            lambda name: name.endswith(".npy"),
            Other("a numpy archive", is_model=False, fix="save the fitted model with joblib.dump"),
        ),
    )
    for tells, found in kinds:
        if any(tells(name) for name in names):
            return found
    shown = ", ".join(names[:3]) or "nothing"
    return Other(f"a zip archive with {shown}", is_model=False, fix="unpack it and name the model file in it")


def _compressed(path: Path) -> Detected | Other:
    opened = open_model(path)
    with opened.stream as stream:
        inner = stream.peek(HEAD)[:HEAD]
    if inner[257:262] == b"ustar" and b"MAR-INF" in inner:  # model-archiver adds what is in a folder by its name
        return Detected("torchserve", "tar", "a TorchServe archive")
    if inner[257:262] == b"ustar":
        return Other("a compressed tar archive", is_model=False, fix="unpack it and name the model file")
    found = _by_magic(path, inner)
    if found is not None:
        what = f"{found.what}, compressed with {opened.compression}"
        return Other(what, fix="unpack it first") if isinstance(found, Detected) else Other(what, found.is_model, found.fix)
    return _pickle(path, inner) or Other(
        f"a {opened.compression} file of an unknown kind", is_model=False, fix="unpack it first"
    )


def _pickle(path: Path, head: bytes) -> Detected | None:
    """Protocol 2 and later begin with PROTO; protocols 0 and 1 with a name, a mark or a constant, and are told by their names."""
    is_new = head[0] == 0x80 and len(head) > 1 and head[1] <= 5
    is_old = head[:1] in b"c(])}lN\x8c" and (path.suffix in _SUFFIXES or b"\n" in head[:200])
    if not (is_new or is_old):
        return None
    return Detected("sklearn", "joblib" if path.suffix == ".joblib" else "pickle")


_SUFFIXES = (".joblib", ".pkl", ".pickle", ".sav", ".p", ".model", ".bin", ".gz", ".z", ".bz2", ".xz", ".lzma")
