"""MLflow model folders: which file of one is served, and what its MLmodel says (mlflow 3.17, mlflow/models/model.py).

The file inside is served by its own framework's runtime; mlflow itself is not needed. Only a model that is nothing but a
python_function needs it: that runs code of the folder, and is served when `model.framework` says mlflow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mlship.errors import MlshipError, need
from mlship.frameworks.base import Asked, Packed, Read
from mlship.frameworks.entering import leads_out
from mlship.frameworks.mlflow_example import example_rows
from mlship.frameworks.mlflow_requirements import pinned
from mlship.frameworks.mlflow_signature import declared
from mlship.units import size_text

FILE = "MLmodel"
MAX_BYTES = 2**20
WHAT = "an MLflow model folder"
PYFUNC = "python_function"
# flavors whose own file is served -> the key that names it, the version's key, and the package that the version is of
FLAVORS: Mapping[str, tuple[str, str, str]] = {
    "sklearn": ("pickled_model", "sklearn_version", "scikit-learn"),
    "xgboost": ("data", "xgb_version", "xgboost"),
    "lightgbm": ("data", "lgb_version", "lightgbm"),
    "catboost": ("data", "catboost_version", "catboost"),
    "onnx": ("data", "", ""),
    "pytorch": ("model_data", "", ""),
    "keras": ("data", "", ""),
    "tensorflow": ("saved_model_dir", "", ""),
    "transformers": ("model_binary", "", ""),
}
# what `pyfunc_predict_fn` may say besides predict and is an answer to rows (mlflow/sklearn/__init__.py)
_METHODS = ("predict_proba", "predict_log_proba", "predict_joint_log_proba")


def open_mlflow(folder: Path, where: str, asked: str, unpacked: Callable[[Path, str], Path]) -> Packed:
    """The model file of the folder with its example, signature, packages and code. Raises MlshipError."""
    del unpacked  # it is a folder already
    document = _read(folder, where)
    flavors = _table(document, "flavors")
    name = next((flavor for flavor in FLAVORS if flavor in flavors), "")
    if asked == "mlflow" or not name:
        return _python_function(folder, where, document, asked)
    flavor = _table(flavors, name)
    key, version_key, package = FLAVORS[name]
    path = _inside(folder, flavor.get(key), where, f"flavors.{name}.{key}")
    rows, findings = example_rows(folder, _table(document, "saved_input_example_info"), where)
    method = str(_table(flavors, PYFUNC).get("predict_fn", ""))
    version = str(flavor.get(version_key, ""))
    return Packed(
        path=path,
        method=method if method in _METHODS else "",
        code=_code(folder, flavor, where),
        vouched=_texts(flavor.get("skops_trusted_types")),
        sample=rows,
        declared=declared(document),
        pinned=pinned(folder),
        versions={package: version} if version else {},
        what=WHAT,
        findings=findings,
    )


def _python_function(folder: Path, where: str, document: Mapping[str, Any], asked: str) -> Packed:
    """Raises MlshipError unless the user has said that the folder's code may run."""
    flavors = _table(document, "flavors")
    if PYFUNC not in flavors:
        raise MlshipError(
            f"{folder.name} is {WHAT} of flavor {', '.join(map(str, flavors)) or 'none'}, which mlship does not serve",
            where,
            "save it with its python_function flavor, or as a file of a framework that is served",
            code="not-yet",
        )
    if asked != "mlflow":
        raise MlshipError(
            f"{folder.name} is {WHAT} that runs code of its own ({_names(flavors)}): loading it runs what is in the folder",
            where,
            "if you trust whoever saved it, write framework: mlflow; "
            "or log the model by its own flavor, such as mlflow.sklearn.log_model",
            code="runs-code",
        )
    rows, findings = example_rows(folder, _table(document, "saved_input_example_info"), where)
    return Packed(
        path=folder,
        framework="mlflow",
        sample=rows,
        declared=declared(document),
        pinned=pinned(folder, needs_mlflow=True),
        what=WHAT,
        findings=findings,
    )


def read_mlflow(asked: Asked) -> Read:
    """A python_function model: everything else about it is told by mlflow when it is loaded."""
    return Read("python_function", modules=frozenset({"mlflow", "pandas"}))


def _names(flavors: Mapping[str, Any]) -> str:
    loader = str(_table(flavors, PYFUNC).get("loader_module", ""))
    return ", ".join([*(str(name) for name in flavors if name != PYFUNC), f"{PYFUNC} {loader}".strip()])


def _read(folder: Path, where: str) -> Mapping[str, Any]:
    """MLmodel as plain data; it is YAML of a stranger's."""
    yaml = need("yaml")
    path = folder / FILE
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise _damaged(folder, f"it has more than {size_text(MAX_BYTES)}", where)
        document = yaml.load(path.read_bytes(), Loader=loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise _damaged(folder, " ".join(str(error).split())[:200], where) from None
    except OSError as error:
        raise _damaged(folder, str(error.strerror), where) from None
    if not isinstance(document, dict) or not isinstance(document.get("flavors"), dict):
        raise _damaged(folder, "it names no flavors", where)
    return document


def _damaged(folder: Path, why: str, where: str) -> MlshipError:
    return MlshipError(
        f"{folder.name}/{FILE} cannot be read: {why}", where, "download or log the model again", code="damaged-mlmodel"
    )


def _inside(folder: Path, name: object, where: str, key: str) -> Path:
    """A file or folder that MLmodel names. Raises MlshipError when it lies outside of the folder, or nowhere."""
    if not isinstance(name, str) or not name or "\0" in name:
        raise _damaged(folder, f"{key} names no file", where)
    path = folder / name
    if leads_out(path, folder):
        raise MlshipError(
            f"{folder.name}/{FILE}: {key} leads out of the folder",
            where,
            "log the model again; a whole one does not",
            code="leads-out",
        )
    if not path.exists():
        raise MlshipError(
            f"{folder.name} lacks {name}, which its {FILE} names", where, "download the whole folder", code="missing-model"
        )
    return path


def _code(folder: Path, flavor: Mapping[str, Any], where: str) -> Path | None:
    """The folder that mlflow puts on sys.path (`code_paths`)."""
    name = flavor.get("code")
    return _inside(folder, name, where, "code") if name else None


def _table(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = document.get(key)
    return found if isinstance(found, dict) else {}


def _texts(values: object) -> tuple[str, ...]:
    return tuple(value for value in values if isinstance(value, str)) if isinstance(values, list) else ()
