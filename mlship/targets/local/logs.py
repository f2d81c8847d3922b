"""The log of a release: the end of it, and what is added. Two files: the holder rotates by size."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

PAUSE_S = 0.25


def tail(log: Path, count: int, since: int = 0) -> list[str]:
    """The last lines, taken from the older file too where the newer is short. since: only what stands behind that byte."""
    return _last(_read_from(log, since) if since else _older(log) + _read_from(log, 0), count)


def follow(log: Path, count: int, is_over: Callable[[], bool], pause: Callable[[float], None] = time.sleep) -> Iterator[str]:
    """The last lines, then each whole line as it comes, until `is_over`. A log that was cut is read from its start."""
    present = _read_from(log, 0)
    place = len(present)
    whole, _, rest = present.rpartition(b"\n")
    yield from _last(_older(log) + whole, count)
    while True:
        over = is_over()
        if size(log) < place:
            place, rest = 0, b""
        added = _read_from(log, place)
        place += len(added)
        *lines, rest = (rest + added).split(b"\n")
        yield from (line.decode(errors="replace") for line in lines)
        if over and not added:
            return
        if not added:
            pause(PAUSE_S)


def _last(text: bytes, count: int) -> list[str]:
    lines = text.decode(errors="replace").splitlines()
    return lines[max(len(lines) - count, 0) :]


def _older(log: Path) -> bytes:
    return _read_from(log.with_name(f"{log.name}.1"), 0)


def size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _read_from(path: Path, place: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(place, os.SEEK_SET)
            return file.read()
    except FileNotFoundError:
        return b""
