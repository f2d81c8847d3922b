"""A compiled model on disk: eight bytes of magic, the length of a JSON header, the header, and the arrays that it names.

No pickle: the header says what to compute by name, the arrays are bytes of known types at places that the header tells.
"""

from __future__ import annotations

import json
import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlship.server.runtimes.base import LoadError

MAGIC = b"MLSHIP\x00\x01"
SCHEMA = 1
ALIGNED = 64  # bytes: what vector units like, and a whole cache line
TYPES = ("<f8", "<f4", "<i8", "|u1")
LARGEST_HEADER = 256 * 2**20  # bytes; categories of text stand in it
_HEAD = struct.Struct("<8sQ")


@dataclass(frozen=True)
class Plan:
    """header: what to compute, see plan_steps.py and plan_heads.py. arrays: numpy, read only, mapped from the file."""

    header: Mapping[str, Any]
    arrays: Mapping[str, Any]


def plan_bytes(header: Mapping[str, Any], arrays: Mapping[str, Any]) -> bytes:
    """The file's content. arrays: numpy, of one of TYPES. Equal plans give equal bytes."""
    import numpy

    listed: dict[str, Any] = {}
    place = 0
    pieces: list[bytes] = []
    for name in sorted(arrays):
        array = numpy.ascontiguousarray(arrays[name])
        if array.dtype.str not in TYPES:
            raise ValueError(f"the array {name} is {array.dtype.str}")
        content = array.tobytes()
        listed[name] = {"type": array.dtype.str, "shape": list(array.shape), "at": place}
        pieces.append(content + bytes(-len(content) % ALIGNED))
        place += len(pieces[-1])
    text = json.dumps({**header, "schema": SCHEMA, "arrays": listed}, sort_keys=True, ensure_ascii=False).encode()
    text += b" " * (-(_HEAD.size + len(text)) % ALIGNED)
    return b"".join((_HEAD.pack(MAGIC, len(text)), text, *pieces))


def read_plan(path: Path) -> Plan:
    """Checks that every array lies in the file. Raises LoadError."""
    try:
        with path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise LoadError(f"{path.name} cannot be read: {error}") from None
    return plan_from(mapped, path.name)


def plan_from(content: mmap.mmap | bytes, name: str) -> Plan:
    """What `plan_bytes` gave. name: of the file, for people. Raises LoadError."""
    try:
        header, start = _header(content)
        arrays = {name: _array(content, start, said) for name, said in header["arrays"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError, struct.error) as error:
        raise LoadError(f"{name} is no compiled model, or is damaged ({error}); build the image again") from None
    return Plan(header, arrays)


def _header(mapped: mmap.mmap | bytes) -> tuple[dict[str, Any], int]:
    magic, length = _HEAD.unpack_from(mapped)
    if magic != MAGIC:
        raise ValueError("its first bytes are other ones")
    start = _HEAD.size + length
    if length > LARGEST_HEADER or start > len(mapped):
        raise ValueError("its header is cut")
    header = json.loads(mapped[_HEAD.size : start])
    if header["schema"] != SCHEMA:
        raise ValueError(f"its schema is {header['schema']!r}, this server knows {SCHEMA}")
    return header, start


def _array(mapped: mmap.mmap | bytes, start: int, said: Mapping[str, Any]) -> Any:
    import numpy

    kind, shape, place = said["type"], said["shape"], said["at"]
    if kind not in TYPES or any(type(size) is not int or size < 0 for size in (*shape, place)) or place % ALIGNED:
        raise ValueError("an array is of a type or shape that none has")
    count = 1
    for size in shape:
        count *= size
    # frombuffer refuses what is beyond the file's end
    return numpy.frombuffer(mapped, dtype=kind, count=count, offset=start + place).reshape(shape)
