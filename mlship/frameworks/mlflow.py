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
from mlship.frameworks.mlflow_example import example_rows
from mlship.frameworks.mlflow_files import FILE, damaged, inside, served
from mlship.frameworks.mlflow_requirements import pinned
from mlship.frameworks.mlflow_signature import declared
from mlship.frameworks.strange_yaml import plain_yaml
from mlship.units import size_text

MAX_BYTES = 2**20
WHAT = "an MLflow model folder"
PYFUNC = "python_function"
# flavors whose own file is served -> the version's key, and the package that the version is of
FLAVORS: Mapping[str, tuple[str, str]] = {
    "sklearn": ("sklearn_version", "scikit-learn"),
    "xgboost": ("xgb_version", "xgboost"),
    "lightgbm": ("lgb_version", "lightgbm"),
    "catboost": ("catboost_version", "catboost"),
    "onnx": ("", ""),
    "pytorch": ("", ""),
    "keras": ("", ""),
    "tensorflow": ("", ""),
    "transformers": ("transformers_version", "transformers"),
}
# what the reader of a file advises -> how the same is done with mlflow
_REMEDIES = {
    "whole-model": 'log it as a program: mlflow.pytorch.log_model(model, serialization_format="pt2", input_example=rows)',
    "pickled-weights": "log it again with transformers 5 or newer, which writes safetensors",
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
    version_key, package = FLAVORS[name]
    found = served(name, flavor, folder, where)
    rows, findings = example_rows(folder, _table(document, "saved_input_example_info"), where)
    method = str(_table(flavors, PYFUNC).get("predict_fn", ""))
    version = str(flavor.get(version_key, ""))
    return Packed(
        path=found.path,
        beside=found.beside,
        method=method if method in _METHODS else "",
        code=_code(folder, flavor, where),
        vouched=_texts(flavor.get("skops_trusted_types")),
        sample=rows,
        declared=declared(document),
        pinned=pinned(folder),
        versions={package: version} if version else {},
        what=WHAT,
        remedies=_REMEDIES,
        findings=(*findings, *found.findings),
    )


def _python_function(folder: Path, where: str, document: Mapping[str, Any], asked: str) -> Packed:
    """Raises MlshipError unless the user has said that the folder's code may run: nothing else can vouch for it."""
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
            "if you trust whoever saved it, write framework: mlflow (mlship init --framework mlflow does); "
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
    try:
        if path.stat().st_size > MAX_BYTES:
            raise damaged(folder, f"it has more than {size_text(MAX_BYTES)}", where)
        document = plain_yaml(path.read_bytes())
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise damaged(folder, " ".join(str(error).split())[:200], where) from None
    except OSError as error:
        raise damaged(folder, str(error.strerror), where) from None
    if not isinstance(document, dict) or not isinstance(document.get("flavors"), dict):
        raise damaged(folder, "it names no flavors", where)
    return document


def _code(folder: Path, flavor: Mapping[str, Any], where: str) -> Path | None:
    """The folder that mlflow puts on sys.path (`code_paths`)."""
    name = flavor.get("code")
    return inside(folder, name, where, "code") if name else None


def _table(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = document.get(key)
    return found if isinstance(found, dict) else {}


def _texts(values: object) -> tuple[str, ...]:
    return tuple(value for value in values if isinstance(value, str)) if isinstance(values, list) else ()
