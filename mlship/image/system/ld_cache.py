"""/etc/ld.so.cache, written without ldconfig: which file the loader takes for which library name.

Source: glibc, sysdeps/generic/dl-cache.h and elf/cache.c (the format glibc-ld.so.cache1.1, alone in the file since 2.32).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from functools import cmp_to_key
from pathlib import Path

from mlship.image.system import elf

# _DL_CACHE_DEFAULT_ID: FLAG_ELF_LIBC6 with FLAG_X8664_LIB64 or FLAG_AARCH64_LIB64
_FLAGS = {elf.X86_64: 0x0303, elf.AARCH64: 0x0A03}
_MAGIC = b"glibc-ld.so.cache1.1"
_LITTLE_ENDIAN = 2
_HEADER = struct.Struct("<20sIIB3xI12x")
_ENTRY = struct.Struct("<iIIIQ")


def ld_cache(root: Path, folders: Iterable[str]) -> bytes:
    """The cache for the libraries below `root`. folders: searched in this order, relative to root (`usr/lib`); the first
    file that carries a name wins."""
    return _cache([(soname, _FLAGS[machine], path) for soname, (machine, path) in libraries(root, folders).items()])


def libraries(root: Path, folders: Iterable[str]) -> dict[str, tuple[int, str]]:
    """What the loader finds below `root` without being told where: name -> (e_machine, absolute path inside the image)."""
    found: dict[str, tuple[int, str]] = {}
    for folder in folders:
        for soname, machine, path in _libraries(root, folder):
            found.setdefault(soname, (machine, path))
    return found


def _libraries(root: Path, folder: str) -> Iterator[tuple[str, int, str]]:
    if not (root / folder).is_dir():
        return
    for file in sorted((root / folder).iterdir()):
        if ".so" not in file.name or file.is_symlink() or not file.is_file():
            continue
        known = elf.library(file)
        if known is not None and known.machine in _FLAGS:
            soname = known.soname or file.name
            # what the loader opens is the name that others ask for, where it exists
            name = soname if (root / folder / soname).exists() else file.name
            yield soname, known.machine, f"/{folder}/{name}"


def _cache(libraries: list[tuple[str, int, str]]) -> bytes:
    """The loader searches by halves and expects descending order (elf/cache.c, compare)."""
    libraries = sorted(libraries, key=cmp_to_key(_descending))
    start = _HEADER.size + _ENTRY.size * len(libraries)
    entries, strings = bytearray(), bytearray()
    for soname, flags, path in libraries:
        key = start + len(strings)
        strings += soname.encode() + b"\0"
        value = start + len(strings)
        strings += path.encode() + b"\0"
        entries += _ENTRY.pack(flags, key, value, 0, 0)
    header = _HEADER.pack(_MAGIC, len(libraries), len(strings), _LITTLE_ENDIAN, 0)
    return header + bytes(entries) + bytes(strings)


def _descending(left: tuple[str, int, str], right: tuple[str, int, str]) -> int:
    return _compare(right[0], left[0])


def _compare(left: str, right: str) -> int:
    """_dl_cache_libcmp: like strcmp, but runs of digits compare as numbers."""
    i = j = 0
    while i < len(left):
        if left[i].isdigit():
            if j >= len(right) or not right[j].isdigit():
                return 1
            first, i = _number(left, i)
            second, j = _number(right, j)
            if first != second:
                return first - second
        elif j < len(right) and right[j].isdigit():
            return -1
        elif j >= len(right) or left[i] != right[j]:
            return ord(left[i]) - (ord(right[j]) if j < len(right) else 0)
        else:
            i, j = i + 1, j + 1
    return 0 - (ord(right[j]) if j < len(right) else 0)


def _number(text: str, start: int) -> tuple[int, int]:
    end = start
    while end < len(text) and text[end].isdigit():
        end += 1
    return int(text[start:end]), end
