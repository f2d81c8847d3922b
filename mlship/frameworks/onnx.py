"""What an ONNX model tells without being loaded: a .onnx file, or a folder of one with the weights that lie beside it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from mlship.errors import Finding
from mlship.frameworks.base import Asked, Read
from mlship.frameworks.onnx_file import Graph, Value, read_graph
from mlship.server.pickle_scan import Refused

DYNAMIC = "export it with a dynamic batch axis: dynamic_shapes of torch.onnx.export, or [None, ...] in skl2onnx's types"


def read_onnx(asked: Asked) -> Read:
    """Refusals are findings. Raises OSError."""
    modules = frozenset(("onnxruntime",))
    try:
        file = onnx_file(asked.path)
        graph = read_graph(file)
    except Refused as refused:
        finding = Finding(f"{asked.path.name}: {refused.what}", asked.where, refused.fix, code=refused.kind)
        return Read(asked.format, modules=modules, findings=(finding,))
    findings = (*_inputs(file.name, graph, asked.where), *_external(asked.path, file, graph, asked.where))
    return Read(asked.format, modules=modules, findings=findings)


def onnx_file(path: Path) -> Path:
    """The file itself, or the only one of a folder. Raises Refused."""
    if not path.is_dir():
        return path
    found = sorted(path.glob("*.onnx"))
    if len(found) != 1:
        raise Refused(f"the folder holds {len(found)} .onnx files", "keep one in it, with the weights that belong to it")
    return found[0]


def _inputs(name: str, graph: Graph, where: str) -> Iterator[Finding]:
    if not graph.inputs or not graph.outputs:
        yield Finding(
            f"{name} has no {'outputs' if graph.inputs else 'inputs'}", where, "export the model again", code="no-inputs"
        )
    for value in graph.inputs:
        yield from _batch_axis(name, value, where)


def _batch_axis(name: str, value: Value, where: str) -> Iterator[Finding]:
    """Rows are what the first axis counts."""
    if not value.element:
        what = f"{name}: the input {value.name} is no tensor of numbers or strings"
        yield Finding(what, where, "export the model with tensors alone", code="not-a-tensor")
    elif value.shape == ():
        what = f"{name}: the input {value.name} takes one value for all rows, not one a row"
        yield Finding(what, where, "export it with that value as a constant", code="no-batch-axis")
    elif value.shape and value.shape[0] > 1:
        what = f"{name}: the input {value.name} takes {value.shape[0]} rows at a time, no more and no fewer"
        yield Finding(what, where, DYNAMIC, code="fixed-batch")
    elif value.shape and value.shape[0] == 1:
        what = f"{name}: the input {value.name} takes one row at a time: several rows are that many calls"
        yield Finding(what, where, DYNAMIC, "warning", "fixed-batch")


def _external(path: Path, file: Path, graph: Graph, where: str) -> Iterator[Finding]:
    """Weights beside the graph enter the image as what they are, files of the model's folder; nothing else is read for them."""
    for place in graph.external:
        parts = PurePosixPath(place).parts
        if not parts or "\0" in place or "\\" in place or place.startswith("/") or ".." in parts:
            what = f"{file.name} keeps weights in {place[:200]!r}, which is no file beside it"
            yield Finding(what, where, _EMBED.format(file.name), code="leads-out")
        elif not path.is_dir():
            fix = f"put both in a folder of their own and name the folder; or {_EMBED.format(file.name)}"
            yield Finding(
                f"{file.name} keeps its weights in {place}, which has to go with it", where, fix, code="external-data"
            )
        elif not (file.parent / place).is_file():
            what = f"{file.name} keeps weights in {place}, which {path.name} does not hold"
            yield Finding(what, where, f"copy {place} there, or export the model again", code="no-file")


_EMBED = "write one file: onnx.save(onnx.load('{0}'), '{0}')"
