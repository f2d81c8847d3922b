"""Shared libraries without what only debuggers read: nine tenths of some wheels' files (uvloop: 12 of 13.6 MB).

What a process loads is what the program headers name (System V ABI, chapter 5). The sections behind the last of these are
symbols and debug information; they go, with the table that lists them. Nothing that is loaded changes or moves.
"""

from __future__ import annotations

import mmap
import shutil
import struct
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from mlship.oci.layer import Entry

_NO_BITS, _ALLOCATED = 8, 2  # sh_type, sh_flags
_WORTH = 16 * 1024  # bytes; less is left where it is
_SLACK = 64  # bytes of alignment that may lie behind the last section


def without_debug_info(entries: Iterable[Entry], scratch: Path) -> Iterator[Entry]:
    """The same entries; of libraries with much to lose, a shorter copy that is written below `scratch`."""
    for number, entry in enumerate(entries):
        end = loaded_length(entry.source) if entry.source and _is_library(entry.path) else None
        if entry.source is None or end is None:
            yield entry
        else:
            yield replace(entry, source=_shortened(entry.source, end, scratch / f"{number}.so"))


def loaded_length(path: Path) -> int | None:
    """Where the file can end. None: it has little to lose, or what lies behind is not only sections that nobody loads."""
    try:
        with path.open("rb") as file:
            if file.read(6) != b"\x7fELF\x02\x01":
                return None
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                return _end(content)
    except (OSError, struct.error, ValueError):
        return None


def _end(content: mmap.mmap) -> int | None:
    programs, table = struct.unpack_from("<QQ", content, 32)
    size, count, section_size, sections = struct.unpack_from("<HHHH", content, 54)
    spans = [struct.unpack_from("<QQQQ", content, programs + number * size + 8) for number in range(count)]
    end = max((offset + length for offset, _, _, length in spans), default=0)
    last = table + section_size * sections
    for number in range(sections):
        kind, flags, _, offset, length = struct.unpack_from("<IQQQQ", content, table + number * section_size + 4)
        if kind != _NO_BITS and offset + length > end:
            if flags & _ALLOCATED or offset < end:
                return None
            last = max(last, offset + length)
    only_sections = sections > 0 and table >= end and last <= len(content) <= last + _SLACK
    return end if only_sections and len(content) - end >= _WORTH else None


def _shortened(source: Path, end: int, target: Path) -> Path:
    with source.open("rb") as file, target.open("wb") as copy:
        shutil.copyfileobj(file, copy)
        copy.truncate(end)
        for offset, value in ((40, bytes(8)), (60, bytes(4))):  # e_shoff; e_shnum and e_shstrndx: there is no table any more
            copy.seek(offset)
            copy.write(value)
    return target


def _is_library(path: str) -> bool:
    return path.endswith(".so") or ".so." in path.rpartition("/")[2]
