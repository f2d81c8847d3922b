"""ONNX files, written: the few fields of onnx.proto that compiled models have (onnx 1.23, IR version 10). Equal graphs, equal bytes.

Nothing of onnx is imported: its packages would have to fit those of every environment that trains.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

FLOAT, UINT8, INT64, DOUBLE = 1, 2, 7, 11  # TensorProto.DataType
_OF_DTYPE = {"float32": FLOAT, "uint8": UINT8, "int64": INT64, "float64": DOUBLE}
_IR, _OPSET, _OPSET_ML = 10, 18, 5  # the first with TreeEnsemble; onnxruntime knows it from 1.20 on
_INT, _TENSOR, _INTS = 2, 4, 7  # AttributeProto.AttributeType
_LONGEST = 5  # bytes of a number in `_varints`: up to 2**35, more than any graph counts


def tensor(name: str, array: Any) -> bytes:
    """A TensorProto. array: numpy, of one of the dtypes above."""
    return b"".join(
        (
            *(_number(1, size) for size in array.shape),
            _number(2, _OF_DTYPE[array.dtype.name]),
            _part(8, name),
            _part(9, array.astype(array.dtype.newbyteorder("<")).tobytes()),
        )
    )


def node(op: str, inputs: Sequence[str], output: str, *, domain: str = "", **attributes: Any) -> bytes:
    """A NodeProto. attributes: whole numbers, numpy arrays of such, or what `tensor` gave."""
    return b"".join(
        (
            *(_part(1, name) for name in inputs),
            _part(2, output),
            _part(4, op),
            *(_part(5, _attribute(name, value)) for name, value in sorted(attributes.items())),
            *([_part(7, domain)] if domain else ()),
        )
    )


def value(name: str, dtype: str, *shape: int | str) -> bytes:
    """A ValueInfoProto; text is the name of an axis of any length."""
    axes = b"".join(_part(1, _number(1, size) if isinstance(size, int) else _part(2, size)) for size in shape)
    return _part(1, name) + _part(2, _part(1, _number(1, _OF_DTYPE[dtype]) + _part(2, axes)))


def model(
    nodes: Iterable[bytes], taken: bytes, given: bytes, kept: Iterable[bytes] = (), said: Mapping[str, str] | None = None
) -> bytes:
    """A ModelProto. taken, given: its input and output. kept: tensors. said: what readers find under names of their own."""
    graph = b"".join(
        (
            *(_part(1, one) for one in nodes),
            _part(2, "model"),
            *(_part(5, one) for one in kept),
            _part(11, taken),
            _part(12, given),
        )
    )
    return b"".join(
        (
            _number(1, _IR),
            _part(2, "mlship"),
            _part(7, graph),
            _part(8, _number(2, _OPSET)),
            _part(8, _part(1, "ai.onnx.ml") + _number(2, _OPSET_ML)),
            *(_part(14, _part(1, name) + _part(2, text)) for name, text in sorted((said or {}).items())),
        )
    )


def _attribute(name: str, value: Any) -> bytes:
    if isinstance(value, bytes):
        return _part(1, name) + _part(5, value) + _number(20, _TENSOR)
    if isinstance(value, int):
        return _part(1, name) + _number(3, value) + _number(20, _INT)
    return _part(1, name) + _part(8, _varints(value)) + _number(20, _INTS)


def _varints(numbers: Any) -> bytes:
    """Whole numbers from 0 on, one after the other."""
    import numpy

    rest = numpy.asarray(numbers, dtype="int64")
    groups: Any = numpy.zeros((len(rest), _LONGEST), dtype="uint8")
    used: Any = numpy.zeros((len(rest), _LONGEST), dtype=bool)
    used[:, 0] = True
    for place in range(_LONGEST):
        groups[:, place] = rest & 0x7F
        rest = rest >> 7
        if place + 1 < _LONGEST:
            used[:, place + 1] = rest > 0
            groups[:, place] |= (rest > 0).astype("uint8") << 7
    return bytes(groups[used].tobytes())


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _part(field: int, content: bytes | str) -> bytes:
    raw = content.encode() if isinstance(content, str) else content
    return _varint(field << 3 | 2) + _varint(len(raw)) + raw


def _varint(number: int) -> bytes:
    out = b""
    while number > 0x7F:
        out, number = out + bytes([number & 0x7F | 0x80]), number >> 7
    return out + bytes([number])
