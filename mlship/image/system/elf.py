"""What a shared library says of itself: its name, what it needs, which machine it is for."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

X86_64, AARCH64 = 62, 183  # e_machine (System V ABI)
_LOAD, _DYNAMIC = 1, 2
_NEEDED, _STRTAB, _SONAME = 1, 5, 14
_LARGEST_DYNAMIC = 1 << 20


@dataclass(frozen=True)
class Library:
    """machine: e_machine. soname: empty where it has none. needed: names of the libraries that it loads."""

    machine: int
    soname: str
    needed: tuple[str, ...]


def library(path: Path) -> Library | None:
    """The library's own words, or None for a file that is not a 64-bit little-endian ELF file with a dynamic section."""
    try:
        content = path.read_bytes()
        if content[:6] != b"\x7fELF\x02\x01":
            return None
        return _read(content)
    except (OSError, struct.error):
        return None


def _read(content: bytes) -> Library | None:
    machine, offset, size, count = (
        struct.unpack_from("<H", content, 18)[0],
        struct.unpack_from("<Q", content, 32)[0],
        struct.unpack_from("<H", content, 54)[0],
        struct.unpack_from("<H", content, 56)[0],
    )
    loads: list[tuple[int, int, int]] = []
    dynamic: tuple[int, int] | None = None
    for number in range(count):
        kind, _, start, address, _, length = struct.unpack_from("<IIQQQQ", content, offset + number * size)
        if kind == _LOAD:
            loads.append((address, start, length))
        elif kind == _DYNAMIC:
            dynamic = (start, min(length, _LARGEST_DYNAMIC))
    if dynamic is None:
        return None
    tags = _tags(content, *dynamic)
    strings = next((_file_offset(value, loads) for tag, value in tags if tag == _STRTAB), None)
    if strings is None:
        return None
    names = [(tag, _text(content, strings + value)) for tag, value in tags if tag in (_NEEDED, _SONAME)]
    soname = next((name for tag, name in names if tag == _SONAME), "")
    return Library(machine, soname, tuple(name for tag, name in names if tag == _NEEDED))


def _tags(content: bytes, start: int, length: int) -> list[tuple[int, int]]:
    tags: list[tuple[int, int]] = []
    for position in range(start, start + length - 15, 16):
        tag, value = struct.unpack_from("<qQ", content, position)
        if tag == 0:
            break
        tags.append((tag, value))
    return tags


def _file_offset(address: int, loads: list[tuple[int, int, int]]) -> int | None:
    for start, offset, length in loads:
        if start <= address < start + length:
            return address - start + offset
    return None


def _text(content: bytes, start: int) -> str:
    end = content.find(b"\0", start)
    return content[start:end].decode(errors="replace") if 0 <= start < len(content) and end >= 0 else ""
