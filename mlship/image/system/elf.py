"""What a shared library says of itself: its name, what it needs and where it looks for it, which machine it is for.

Source: System V ABI, chapters 4 and 5 (generic), and the LSB's chapter on symbol versions (.gnu.version_r).
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

X86_64, AARCH64 = 62, 183  # e_machine (System V ABI)
_LOAD, _DYNAMIC = 1, 2
_NEEDED, _STRTAB, _SONAME, _RPATH, _RUNPATH = 1, 5, 14, 15, 29
_VERNEED, _VERNEEDNUM = 0x6FFFFFFE, 0x6FFFFFFF
# Bounds that no real library comes near: a damaged file ends the reading, not the build
_LARGEST_DYNAMIC, _LONGEST_NAME, _MOST_VERSIONS = 1 << 20, 1 << 16, 1 << 14


@dataclass(frozen=True)
class Library:
    """machine: e_machine. soname: empty where it has none. needed: names of the libraries that it loads.

    rpath, runpath: folders as written, `$ORIGIN` unresolved. versions: library -> symbol versions that it must have
    (`libc.so.6` -> `GLIBC_2.34`, ...).
    """

    machine: int
    soname: str
    needed: tuple[str, ...]
    rpath: tuple[str, ...] = ()
    runpath: tuple[str, ...] = ()
    versions: dict[str, tuple[str, ...]] = field(default_factory=dict)


def library(path: Path) -> Library | None:
    """The library's own words, or None for a file that is not a 64-bit little-endian ELF file with a dynamic section."""
    try:
        with path.open("rb") as file:
            if file.read(6) != b"\x7fELF\x02\x01":
                return None
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                return _read(content)
    except (OSError, struct.error, ValueError):
        return None


def _read(content: mmap.mmap) -> Library | None:
    machine = struct.unpack_from("<H", content, 18)[0]
    loads, dynamic = _segments(content)
    if dynamic is None:
        return None
    tags = _tags(content, *dynamic)
    strings = _file_offset(_value(tags, _STRTAB), loads)
    if strings is None:
        return None

    def texts(wanted: int) -> tuple[str, ...]:
        return tuple(_text(content, strings + value) for tag, value in tags if tag == wanted)

    return Library(
        machine,
        next(iter(texts(_SONAME)), ""),
        texts(_NEEDED),
        rpath=_folders(texts(_RPATH)),
        runpath=_folders(texts(_RUNPATH)),
        versions=_versions(content, strings, _file_offset(_value(tags, _VERNEED), loads), _value(tags, _VERNEEDNUM)),
    )


def _segments(content: mmap.mmap) -> tuple[list[tuple[int, int, int]], tuple[int, int] | None]:
    """(address, offset, length) of what is loaded, and (offset, length) of the dynamic section."""
    offset = struct.unpack_from("<Q", content, 32)[0]
    size, count = struct.unpack_from("<HH", content, 54)
    loads: list[tuple[int, int, int]] = []
    dynamic: tuple[int, int] | None = None
    for number in range(count):
        kind, _, start, address, _, length = struct.unpack_from("<IIQQQQ", content, offset + number * size)
        if kind == _LOAD:
            loads.append((address, start, length))
        elif kind == _DYNAMIC:
            dynamic = (start, min(length, _LARGEST_DYNAMIC))
    return loads, dynamic


def _tags(content: mmap.mmap, start: int, length: int) -> list[tuple[int, int]]:
    tags: list[tuple[int, int]] = []
    for position in range(start, start + length - 15, 16):
        tag, value = struct.unpack_from("<qQ", content, position)
        if tag == 0:
            break
        tags.append((tag, value))
    return tags


def _value(tags: list[tuple[int, int]], wanted: int) -> int:
    return next((value for tag, value in tags if tag == wanted), 0)


def _versions(content: mmap.mmap, strings: int, start: int | None, count: int) -> dict[str, tuple[str, ...]]:
    """Elf64_Verneed, a chain of libraries, each with a chain of Elf64_Vernaux."""
    found: dict[str, tuple[str, ...]] = {}
    position = start
    for _ in range(min(count, _MOST_VERSIONS)):
        if position is None:
            break
        _, names, file, first, following = struct.unpack_from("<HHIII", content, position)
        wanted = _chain(content, strings, position + first, names)
        name = _text(content, strings + file)
        found[name] = (*found.get(name, ()), *wanted)
        position = position + following if following else None
    return found


def _chain(content: mmap.mmap, strings: int, position: int, count: int) -> Iterator[str]:
    for _ in range(count):
        _, _, _, name, following = struct.unpack_from("<IHHII", content, position)
        yield _text(content, strings + name)
        if not following:
            return
        position += following


def _folders(texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(folder for text in texts for folder in text.split(":") if folder)


def _file_offset(address: int, loads: list[tuple[int, int, int]]) -> int | None:
    if address:
        for start, offset, length in loads:
            if start <= address < start + length:
                return address - start + offset
    return None


def _text(content: mmap.mmap, start: int) -> str:
    end = content.find(b"\0", start, start + _LONGEST_NAME) if 0 <= start < len(content) else -1
    return content[start:end].decode(errors="replace") if end >= 0 else ""
