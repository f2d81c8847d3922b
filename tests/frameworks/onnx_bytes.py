"""ONNX files written by hand: just the fields that tell what a graph takes (onnx.proto of onnx 1.23)."""

from __future__ import annotations

FLOAT, INT64, STRING = 1, 7, 8


def varint(number: int) -> bytes:
    out = b""
    while number > 0x7F:
        out, number = out + bytes([number & 0x7F | 0x80]), number >> 7
    return out + bytes([number])


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def part(field: int, content: bytes | str) -> bytes:
    raw = content.encode() if isinstance(content, str) else content
    return varint(field << 3 | 2) + varint(len(raw)) + raw


def value(name: str, element: int, *shape: int | str) -> bytes:
    """A ValueInfoProto; text is the name of an axis of any length."""
    axes = b"".join(part(1, number(1, size) if isinstance(size, int) else part(2, size)) for size in shape)
    return part(1, name) + part(2, part(1, number(1, element) + part(2, axes)))


def outside(place: str, name: str = "w") -> bytes:
    """A TensorProto whose data lie in another file."""
    return part(8, name) + part(13, part(1, "location") + part(2, place)) + number(14, 1)


def model(
    *inputs: bytes, outputs: tuple[bytes, ...] = (), weights: tuple[bytes, ...] = (), nodes: tuple[bytes, ...] = ()
) -> bytes:
    given = outputs or (value("y", FLOAT, "N", 1),)
    graph = b"".join(
        [
            *(part(1, node) for node in nodes),
            *(part(5, tensor) for tensor in weights),
            *(part(11, each) for each in inputs),
            *(part(12, each) for each in given),
        ]
    )
    return number(1, 10) + part(2, "by-hand") + part(7, graph) + part(8, number(2, 21))
