"""TorchServe's archives (.mar): the file that its handler would load, served by its own runtime; handlers do not run here.

As model-archiver 0.12 writes them: MAR-INF/MANIFEST.json names the serialized file, a handler, and a module with the network's
class where the file holds weights alone. A .mar is a zip, a tar.gz with one folder in it, or that folder.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mlship.errors import Finding, MlshipError
from mlship.frameworks.base import Packed
from mlship.frameworks.entering import leads_out
from mlship.frameworks.torch import networks

MANIFEST = "MAR-INF/MANIFEST.json"
MAX_BYTES = 2**20
WHAT = "a TorchServe archive"
# what torchserve has itself (ts/torch_handler); other handlers are files of the archive
_BUILT_IN = ("base_handler", "image_classifier", "image_segmenter", "object_detector", "text_classifier")


def open_torchserve(path: Path, where: str, asked: str, unpacked: Callable[[Path, str], Path]) -> Packed:
    """unpacked: an archive's folder. Raises MlshipError for one that is hostile, damaged, or holds no model."""
    folder = path if path.is_dir() else _root(unpacked(path, where))
    model = _model(folder, path, where)
    name = model.get("serializedFile")
    if not isinstance(name, str) or not name:
        raise MlshipError(
            f"{path.name} has no serialized file: its handler makes the model", where,
            "write a class of your own that does: mlship init --loader module:Class", code="no-serialized-file",
        )  # fmt: skip
    inside = folder / name
    if "\0" in name or leads_out(inside, folder) or not inside.is_file():
        raise MlshipError(
            f"{path.name} lacks {name[:80]!r}, which its manifest names", where, "pack it again", code="damaged-archive"
        )
    return Packed(
        path=inside,
        code=folder,
        loader=_loader(folder, model),
        what=WHAT,
        findings=_handler(path, model, where),
    )


def _root(folder: Path) -> Path:
    """A tar.gz holds everything in one folder of the model's name."""
    if (folder / MANIFEST).is_file():
        return folder
    return next((inner for inner in sorted(folder.iterdir()) if (inner / MANIFEST).is_file()), folder)


def _model(folder: Path, path: Path, where: str) -> Mapping[str, Any]:
    file = folder / MANIFEST
    try:
        if leads_out(file, folder) or file.stat().st_size > MAX_BYTES:
            raise ValueError("it is too large")
        document = json.loads(file.read_bytes())
        model = document["model"]
    except (OSError, ValueError, RecursionError, KeyError, TypeError) as error:
        what = f"{path.name}: {MANIFEST} cannot be read ({error})"
        raise MlshipError(what, where, "pack it again with torch-model-archiver", code="damaged-archive") from None
    return model if isinstance(model, dict) else {}


def _loader(folder: Path, model: Mapping[str, Any]) -> str:
    """The class in the archive's own module, where there is one: proposed, never taken."""
    name = model.get("modelFile")
    module = name.removesuffix(".py") if isinstance(name, str) else ""
    return next((found for found in networks(folder) if found.partition(":")[0] == module), "") if module else ""


def _handler(path: Path, model: Mapping[str, Any], where: str) -> tuple[Finding, ...]:
    handler = str(model.get("handler", "")).partition(":")[0].removesuffix(".py")
    if not handler or handler == "base_handler":
        return ()
    kind = f"TorchServe's {handler}" if handler in _BUILT_IN else f"its handler {handler}"
    what = f"{path.name}: {kind} does not run here; rows go to the model as they are, and its tensors come back"
    fix = "what it does before and after goes into serve.hooks: preprocess and postprocess"
    return (Finding(what, where, fix, "note", "handler"),)
