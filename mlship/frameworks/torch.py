"""What a PyTorch file tells without being loaded: weights, which a class of the user's own is filled with, or a whole program."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path

from mlship.errors import Finding
from mlship.frameworks.base import Asked, Read
from mlship.frameworks.entering import files_of
from mlship.server.pickle_scan import Refused
from mlship.server.torch_scan import TorchFile, allow, scan_torch

FORMATS = {"weights": "state_dict", "whole": "state_dict", "program": "torchscript", "exported": "pt2"}
SHOWN = 3
LOOKED_AT = 2000  # Python files of a project in which a class is looked for


def read_torch(asked: Asked) -> Read:
    """Refusals are findings. Raises OSError."""
    path, where = asked.path, asked.where
    modules = frozenset({"torch"} | ({"safetensors"} if asked.format == "safetensors" else set()))
    try:
        found = scan_torch(path)
        allow(found)
    except Refused as refused:
        finding = Finding(f"{path.name}: {refused.what}", where, refused.fix, code=refused.kind)
        return Read(asked.format, modules=modules, findings=(finding,))
    format = asked.format if asked.format == "safetensors" else FORMATS[found.kind]
    return Read(format, modules=modules, findings=tuple(_loader(path, found, asked)))


def _loader(path: Path, found: TorchFile, asked: Asked) -> Iterator[Finding]:
    needs_one = found.kind == "weights"
    if asked.loader and not needs_one:
        what = f"{path.name} is a program that needs no loader"
        yield Finding(what, asked.where, "delete loader", code="loader")
    elif needs_one and not asked.loader:
        what = f"{path.name} holds {held(found)}: weights without the model that they belong to"
        yield Finding(what, asked.where, _advice(asked.root), code="missing-loader")


def held(found: TorchFile) -> str:
    """`4 tensors (l.0.weight, l.0.bias, ...)`, or the parts of a checkpoint."""
    named = found.tensors or found.keys
    shown = ", ".join(named[:SHOWN]) + (", ..." if len(named) > SHOWN else "")
    count = f"{len(named)} tensor{'s' if len(named) != 1 else ''}" if found.tensors else "a checkpoint"
    return f"{count} ({shown})" if named else "no tensors"


def _advice(root: Path | None) -> str:
    classes = networks(root) if root is not None else ()
    if not classes:
        return "write loader: module:Class, your torch.nn.Module that is made without arguments, and code: [module.py]"
    name = classes[0]
    others = f" (or {', '.join(classes[1:SHOWN])})" if len(classes) > 1 else ""
    return f"write loader: {name}{others}, and code: [{name.partition(':')[0].replace('.', '/')}.py]; or: mlship init --loader {name}"


def networks(root: Path) -> tuple[str, ...]:
    """Classes in the folder's Python files that derive from something called Module, as `module:Class`; nothing is imported."""
    found: list[str] = []
    for number, file in enumerate(sorted(file for file in files_of(root) if file.suffix == ".py")):
        if number >= LOOKED_AT:
            break
        parts = file.relative_to(root).with_suffix("").parts
        parts = parts[1:] if parts[0] == "src" else parts
        if all(part.isidentifier() for part in parts) and parts:
            found += [f"{'.'.join(parts)}:{name}" for name in _classes(file)]
    return tuple(found)


def _classes(file: Path) -> Sequence[str]:
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError, RecursionError, OSError):
        return ()
    classes = (node for node in tree.body if isinstance(node, ast.ClassDef))
    return [node.name for node in classes if any(_is_module(base) for base in node.bases)]


def _is_module(base: ast.expr) -> bool:
    name = base.attr if isinstance(base, ast.Attribute) else base.id if isinstance(base, ast.Name) else ""
    return name in ("Module", "LightningModule")
