"""The members of an archive that mlship wrote, by name: found by their headers, before any content is believed.

Not by tarfile: it follows links, extensions of four dialects and sizes that are read into memory. Whatever mlship would not have
written is refused.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from mlship.oci.layer import CHUNK

MOST = 10_000
_BLOCK = 512
_PAX_AT_MOST = 4096  # of one file's long name or size
_END = bytes(_BLOCK)


class Strange(ValueError):
    """Why a file is no archive, or not a whole one, in words."""


@dataclass(frozen=True)
class Member:
    """Where in the file, and how many bytes."""

    start: int
    size: int


def members(file: BinaryIO) -> dict[str, Member]:
    """Every file of the archive. Raises Strange."""
    length = file.seek(0, os.SEEK_END)
    found: dict[str, Member] = {}
    start, records = 0, dict[str, str]()
    while True:
        header = _at(file, start, _BLOCK)
        if start == 0 and header[:2] == b"\x1f\x8b":
            raise Strange("it is compressed: gunzip it first")
        if header == _END:
            return found
        kind, name, size = _header(header)
        size = int(records.pop("size", size))
        content = start + _BLOCK
        start = content + size + -size % _BLOCK
        if start > length:
            raise Strange("it is cut: the end is missing")
        if kind == b"x":
            records = _records(file, content, size)
            continue
        name = records.pop("path", name)
        if kind == b"0":
            _add(found, name, Member(content, size))
        elif kind != b"5" or size:
            raise Strange(f"{name[:80]!r} is neither a file nor a folder")


def _add(found: dict[str, Member], name: str, member: Member) -> None:
    parts = name.split("/")
    if not name or any(part in ("", ".", "..") for part in parts):
        raise Strange(f"{name[:80]!r} is no name of a file in it")
    if name in found:
        raise Strange(f"{name[:80]!r} is in it twice")
    if len(found) >= MOST:
        raise Strange(f"there are more than {MOST} files in it")
    found[name] = member


def chunks(file: BinaryIO, member: Member) -> Iterator[bytes]:
    """The member's content in pieces of at most CHUNK bytes. Raises Strange where the file ends before it."""
    file.seek(member.start)
    left = member.size
    while left:
        chunk = file.read(min(left, CHUNK))
        if not chunk:
            raise Strange("it is cut: the end is missing")
        left -= len(chunk)
        yield chunk


def small(file: BinaryIO, member: Member, at_most: int) -> bytes:
    """A document as a whole. Raises Strange when it is larger."""
    if member.size > at_most:
        raise Strange(f"a document in it has {member.size} bytes")
    return b"".join(chunks(file, member))


def sum_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _at(file: BinaryIO, start: int, size: int) -> bytes:
    file.seek(start)
    found = file.read(size)
    if len(found) < size:
        raise Strange("it is cut: the end is missing" if start else "it is no archive of mlship")
    return found


def _header(header: bytes) -> tuple[bytes, str, int]:
    """(kind, name, size) of a ustar header (POSIX.1-2017, pax)."""
    try:
        said = int(header[148:156].rstrip(b"\0 "), 8)
        size = int(header[124:136].rstrip(b"\0 "), 8)
        name = header[:100].split(b"\0")[0].decode()
        prefix = header[345:500].split(b"\0")[0].decode()
    except ValueError:
        raise Strange("it is damaged, or no archive of mlship") from None
    if sum(header[:148]) + 8 * 32 + sum(header[156:]) != said or size < 0:
        raise Strange("it is damaged, or no archive of mlship")
    return header[156:157].replace(b"\0", b"0"), f"{prefix}/{name}" if prefix else name, size


def _records(file: BinaryIO, start: int, size: int) -> dict[str, str]:
    """Of a PAX header: `<length> key=value\\n`, where mlship writes a long path and a large size."""
    if size > _PAX_AT_MOST:
        raise Strange("a name in it is too long")
    raw, found = _at(file, start, size), dict[str, str]()
    while raw:
        length, _, _ = raw.partition(b" ")
        if not length.isdigit() or not 0 < int(length) <= len(raw):
            raise Strange("it is damaged, or no archive of mlship")
        key, _, value = raw[len(length) + 1 : int(length)].rstrip(b"\n").decode(errors="replace").partition("=")
        found[key] = value
        raw = raw[int(length) :]
    if found.keys() - {"path", "size"} or not found.get("size", "0").isdecimal() or len(found.get("size", "")) > 18:
        raise Strange("it is damaged, or no archive of mlship")
    return found
