"""The smallest shared libraries: a dynamic section in one segment that maps the file at address 0."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

from mlship.image.system import elf

NEEDED, SONAME, RPATH, RUNPATH = 1, 14, 15, 29
SYMBOLS, ALLOCATED = 2, 2  # sh_type, sh_flags


def make_library(
    path: Path,
    soname: str = "",
    needed: tuple[str, ...] = (),
    machine: int = elf.X86_64,
    *,
    rpath: str = "",
    runpath: str = "",
    versions: Mapping[str, tuple[str, ...]] | None = None,
) -> Path:
    strings = Strings()
    named = [(SONAME, soname), *((NEEDED, name) for name in needed), (RPATH, rpath), (RUNPATH, runpath)]
    tags = [(tag, strings.add(text)) for tag, text in named if text]
    chain = _version_chain(strings, versions or {})
    dynamic_at = 64 + 2 * 56
    length = 16 * (len(tags) + 4)
    strings_at = dynamic_at + length
    versions_at = strings_at + len(strings.content)
    tags += [(5, strings_at), (0x6FFFFFFE, versions_at), (0x6FFFFFFF, len(versions or {})), (0, 0)]
    header = b"\x7fELF\x02\x01\x01" + bytes(9)
    header += struct.pack("<HHIQQQIHHHHHH", 3, machine, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    size = versions_at + len(chain)
    segments = struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, size, size, 4096)
    segments += struct.pack("<IIQQQQQQ", 2, 6, dynamic_at, dynamic_at, 0, length, length, 8)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(header + segments + b"".join(struct.pack("<qQ", *tag) for tag in tags) + strings.content + chain)
    return path


def with_sections(path: Path, *, flags: int = 0, debug: int = 50_000, behind: bytes = b"") -> Path:
    """A library with one section of debug information behind what is loaded, then the table of sections."""
    content = bytearray(make_library(path, "liba.so.1", ("libc.so.6",)).read_bytes())
    loaded = len(content)
    content += b"d" * debug
    struct.pack_into("<Q", content, 40, len(content))
    struct.pack_into("<HHH", content, 58, 64, 2, 0)
    content += bytes(64) + struct.pack("<IIQQQQIIQQ", 0, SYMBOLS, flags, 0, loaded, debug, 0, 0, 1, 0) + behind
    path.write_bytes(content)
    return path


class Strings:
    def __init__(self) -> None:
        self.content = b"\0"

    def add(self, text: str) -> int:
        start = len(self.content)
        self.content += text.encode() + b"\0"
        return start


def _version_chain(strings: Strings, versions: Mapping[str, tuple[str, ...]]) -> bytes:
    """Elf64_Verneed with their Elf64_Vernaux, in the order of a linker."""
    content = b""
    for number, (library, names) in enumerate(versions.items(), 1):
        following = 16 * (1 + len(names)) if number < len(versions) else 0
        content += struct.pack("<HHIII", 1, len(names), strings.add(library), 16, following)
        for place, name in enumerate(names, 1):
            content += struct.pack("<IHHII", 0, 0, 2, strings.add(name), 16 if place < len(names) else 0)
    return content
