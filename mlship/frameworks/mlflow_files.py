"""Which files of an MLflow model folder are the model (mlflow 3.17: keras/save.py, tensorflow, pytorch, transformers/model_io.py)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlship.errors import Finding, MlshipError
from mlship.frameworks.entering import leads_out

FILE = "MLmodel"
# flavor -> the keys of which one names its file or folder
_KEYS: Mapping[str, tuple[str, ...]] = {
    "sklearn": ("pickled_model",),
    "pytorch": ("model_data",),
    "tensorflow": ("saved_model_dir", "data"),
    "transformers": ("model_binary",),
}
# what lies in a folder of that name, first choice first
_WITHIN: Mapping[str, tuple[str, ...]] = {
    "pytorch": ("model.pt2", "model.pth"),
    "keras": ("model.keras", "model.h5", "model"),
    "tensorflow": ("model.keras", "model.h5", "model"),
}
_COMPONENTS = "components"
# what mlflow does around the model, in its own server only
_UNUSED = ("prompt_template", "inference_task")


@dataclass(frozen=True)
class Served:
    """path: the model's file or folder. beside: folders whose files belong into that folder."""

    path: Path
    beside: tuple[Path, ...] = ()
    findings: tuple[Finding, ...] = ()


def served(name: str, flavor: Mapping[str, Any], folder: Path, where: str) -> Served:
    """name: of the flavor. Raises MlshipError for what is not there or lies outside."""
    if name == "transformers":
        return _of_transformers(flavor, folder, where)
    keys = _KEYS.get(name, ("data",))
    key = next((key for key in keys if flavor.get(key) is not None), keys[0])
    path = inside(folder, flavor.get(key), where, f"flavors.{name}.{key}")
    if path.is_dir():
        path = next((path / within for within in _WITHIN.get(name, ()) if (path / within).exists()), path)
    if leads_out(path, folder):
        raise _out(folder, f"flavors.{name}.{key}", where)
    return Served(path)


def _of_transformers(flavor: Mapping[str, Any], folder: Path, where: str) -> Served:
    if flavor.get("model_binary") is None and not (folder / "pipeline").is_dir():
        source = str(flavor.get("source_model_name") or "a model elsewhere")[:200]
        raise MlshipError(
            f"{folder.name} only refers to {source}: its weights are not in the folder",
            where,
            "log it with save_pretrained=True, or name the model itself",
            code="missing-model",
        )
    if flavor.get("peft_adaptor"):
        raise MlshipError(
            f"{folder.name} is a model with a PEFT adaptor beside it",
            where,
            "log them as one: model.merge_and_unload()",
            code="not-yet",
        )
    path = inside(folder, flavor.get("model_binary") or "pipeline", where, "flavors.transformers.model_binary")
    named = flavor.get(_COMPONENTS)
    beside = tuple(
        inside(folder, f"{_COMPONENTS}/{each}", where, f"flavors.transformers.{_COMPONENTS}")
        for each in (named if isinstance(named, list) else ())
        if each == "tokenizer" and (folder / _COMPONENTS / each).exists()
    )
    return Served(path, beside, tuple(_unused(flavor, folder, where)))


def _unused(flavor: Mapping[str, Any], folder: Path, where: str) -> list[Finding]:
    fix = "what it does to a text before the model is asked goes into serve.hooks: preprocess"
    return [
        Finding(f"{folder.name}: {key} is mlflow's own and does nothing here", where, fix, "warning", "unused-key")
        for key in _UNUSED
        if flavor.get(key)
    ]


def inside(folder: Path, name: object, where: str, key: str) -> Path:
    """A file or folder that MLmodel names. Raises MlshipError when it lies outside of the folder, or nowhere."""
    if not isinstance(name, str) or not name or "\0" in name:
        raise damaged(folder, f"{key} names no file", where)
    path = folder / name
    if leads_out(path, folder):
        raise _out(folder, key, where)
    if not path.exists():
        raise MlshipError(
            f"{folder.name} lacks {name}, which its {FILE} names", where, "download the whole folder", code="missing-model"
        )
    return path


def _out(folder: Path, key: str, where: str) -> MlshipError:
    return MlshipError(
        f"{folder.name}/{FILE}: {key} leads out of the folder",
        where,
        "log the model again; a whole one does not",
        code="leads-out",
    )


def damaged(folder: Path, why: str, where: str) -> MlshipError:
    return MlshipError(
        f"{folder.name}/{FILE} cannot be read: {why}", where, "download or log the model again", code="damaged-mlmodel"
    )
