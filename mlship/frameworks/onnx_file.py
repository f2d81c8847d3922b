"""What an ONNX file says of itself, read from its protobuf: inputs, outputs, and data that lie outside of it.

Field numbers: onnx.proto of onnx 1.23 (IR version 13). Nothing is loaded, and of weights nothing but their headers is read.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mlship.server.pickle_scan import Refused

DEEPEST = 64  # graphs within attributes within graphs
LONGEST = 65_536  # bytes of a name
MOST_FIELDS = 5_000_000  # of all that is looked at; a graph of a million nodes has about four
EXPORT_AGAIN = "copy it again, or export the model again"

# TensorProto.DataType -> numpy's words; types that no JSON value stands for are left out
ELEMENTS = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 8: "string", 9: "bool",
    10: "float16", 11: "float64", 12: "uint32", 13: "uint64",
}  # fmt: skip


@dataclass(frozen=True)
class Value:
    """An input or output. element: numpy's word, `` for what is no tensor of such. shape: sizes, -1 for any; None: not told."""

    name: str
    element: str = ""
    shape: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Graph:
    """inputs: without those that have a value of their own in the file. external: names of files that hold weights, sorted."""

    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    external: tuple[str, ...] = ()
    producer: str = ""


def read_graph(path: Path) -> Graph:
    """Raises Refused for what is no ONNX model, OSError."""
    with path.open("rb") as file:
        try:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError:
            raise Refused("the file is empty", EXPORT_AGAIN) from None
    return _Reader().graph(memoryview(content))


_UINT32 = 2**32 - 1  # protobuf cuts off what tags and enumerations have beyond
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types (protobuf.dev, encoding); groups are not in use


@dataclass
class _Reader:
    """One pass over a file. looked_at: fields so far. external: as found."""

    looked_at: int = 0
    external: set[str] = field(default_factory=set)

    def graph(self, view: memoryview) -> Graph:
        graphs: list[tuple[list[Value], list[Value], set[str]]] = []
        producer, has_operators = "", False
        for number, value in self._fields(view):
            if number == 2 and isinstance(value, memoryview):
                producer = _text(value)
            elif number == 7 and isinstance(value, memoryview):
                graphs.append(self._of_graph(value, 0))
            elif number == 8:
                has_operators = True
            elif number == 25 and isinstance(value, memoryview):
                self._of_nodes(value, 7, 0)
        if len(graphs) != 1 or not has_operators:
            raise Refused("it holds no ONNX graph", EXPORT_AGAIN)
        inputs, outputs, given = graphs[0]
        kept = tuple(value for value in inputs if value.name not in given)
        return Graph(kept, tuple(outputs), tuple(sorted(self.external)), producer)

    def _of_graph(self, view: memoryview, depth: int) -> tuple[list[Value], list[Value], set[str]]:
        """Inputs, outputs and names of initializers."""
        if depth > DEEPEST:
            raise Refused(f"its graphs are nested deeper than {DEEPEST}", EXPORT_AGAIN)
        inputs: list[Value] = []
        outputs: list[Value] = []
        given: set[str] = set()
        for number, value in self._fields(view):
            if not isinstance(value, memoryview):
                continue
            if number == 1:
                self._of_node(value, depth)
            elif number == 5:
                given.add(self._of_tensor(value))
            elif number == 11:
                inputs.append(self._value(value))
            elif number == 12:
                outputs.append(self._value(value))
            elif number == 15:
                given |= {self._of_tensor(part) for part in self._parts(value, 1, 2)}
        return inputs, outputs, given

    def _of_nodes(self, view: memoryview, number: int, depth: int) -> None:
        for node in self._parts(view, number):
            self._of_node(node, depth)

    def _of_node(self, view: memoryview, depth: int) -> None:
        """What an attribute holds: a graph (If, Loop) or tensors (Constant). Trees keep long lists of numbers there: passed over."""
        operators: list[str] = []
        for number, value in self._fields(view):
            if number == 4 and isinstance(value, memoryview):
                operators.append(_text(value))
                if len(operators) > 1:  # of two, the last one counts
                    raise Refused("a node has two operators", EXPORT_AGAIN)
            if "".join(operators).startswith("TreeEnsemble"):
                continue
            if number == 5 and isinstance(value, memoryview):
                self._of_attribute(value, depth)

    def _of_attribute(self, view: memoryview, depth: int) -> None:
        for number, value in self._fields(view):
            if not isinstance(value, memoryview):
                continue
            if number in (5, 10):
                self._of_tensor(value)
            elif number in (6, 11):
                self._of_graph(value, depth + 1)
            elif number in (22, 23):
                for part in self._parts(value, 1, 2):
                    self._of_tensor(part)

    def _of_tensor(self, view: memoryview) -> str:
        """Its name; where its data lie elsewhere, in which file."""
        name, places, is_external = "", [], False
        for number, value in self._fields(view):
            if number == 8 and isinstance(value, memoryview):
                name = _text(value)
            elif number == 13 and isinstance(value, memoryview):
                pair = {key: _text(part) for key, part in self._fields(value) if isinstance(part, memoryview)}
                places += [pair.get(2, "")] if pair.get(1) == "location" else []
            elif number == 14:
                is_external = isinstance(value, int) and value & _UINT32 == 1
        if is_external:
            self.external.update(places or [""])
        return name

    def _value(self, view: memoryview) -> Value:
        name, element, shape = "", "", None
        for number, value in self._fields(view):
            if number == 1 and isinstance(value, memoryview):
                name = _text(value)
            elif number == 2 and isinstance(value, memoryview):
                for kind in self._parts(value, 1):
                    element, shape = self._tensor_type(kind)
        return Value(name, element, shape)

    def _tensor_type(self, view: memoryview) -> tuple[str, tuple[int, ...] | None]:
        element, shape = "", None
        for number, value in self._fields(view):
            if number == 1 and isinstance(value, int):
                element = ELEMENTS.get(value, "")
            elif number == 2 and isinstance(value, memoryview):
                shape = tuple(self._size(part) for part in self._parts(value, 1))
        return element, shape

    def _size(self, view: memoryview) -> int:
        sizes = [value for number, value in self._fields(view) if number == 1 and isinstance(value, int)]
        return sizes[-1] if sizes and 0 < sizes[-1] < 2**31 else -1

    def _parts(self, view: memoryview, *numbers: int) -> Iterator[memoryview]:
        return (value for number, value in self._fields(view) if number in numbers and isinstance(value, memoryview))

    def _fields(self, view: memoryview) -> Iterator[tuple[int, int | memoryview]]:
        """Number and value of each field; of numbers that are no varint the value is 0."""
        at, end = 0, len(view)
        while at < end:
            self.looked_at += 1
            if self.looked_at > MOST_FIELDS:
                raise Refused(f"it has more than {MOST_FIELDS:,} parts", "wrap it in a class of your own, framework: python")
            key, at = _varint(view, at)
            wire, number = key & 7, (key & _UINT32) >> 3
            if wire == _VARINT:
                value, at = _varint(view, at)
                yield number, value
                continue
            size, at = _varint(view, at) if wire == _BYTES else (_FIXED.get(wire, -1), at)
            if size < 0 or at + size > end or not number:
                raise Refused("it is damaged or cut off, or no ONNX model", EXPORT_AGAIN)
            yield number, view[at : at + size] if wire == _BYTES else 0
            at += size


_FIXED = {_FIXED64: 8, _FIXED32: 4}


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    found = shift = 0
    while at < len(view) and shift < 70:
        byte = view[at]
        found |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return found, at
    raise Refused("it is damaged or cut off, or no ONNX model", EXPORT_AGAIN)


def _text(view: memoryview) -> str:
    if len(view) > LONGEST:
        raise Refused(f"it has a name of {len(view)} bytes", EXPORT_AGAIN)
    return bytes(view).decode("utf-8", "replace")
