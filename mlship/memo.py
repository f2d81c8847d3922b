"""What was found out once and need not be found out again: kept with all that it depended on, and used only while that is equal."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from mlship.disk import write_memo
from mlship.errors import MlshipError

# A file may change again within one tick of its file system's clock and look the same: what is younger is not trusted, as git
# does not trust it. Two seconds are FAT's tick, the longest of all. File systems that note parts of a second tick with the kernel
# (10 ms at most: HZ is 100 or more) or finer: ten times as long is enough there, and a model that was just trained is read once.
SETTLED_NS = 2_000_000_000
SETTLED_FINE_NS = 100_000_000
_SECOND_NS = 1_000_000_000

State = tuple[int, ...]


class Memo:
    """A small file for each (kind, subject), with the digest of the facts that the finding depends on.

    Losing one costs only time: what is missing, cut or of other facts is found out anew. folder: None remembers nothing.
    """

    def __init__(self, folder: Path | None, clock: Callable[[], int] = time.time_ns) -> None:
        self._folder = folder
        self._clock = clock

    @property
    def folder(self) -> Path | None:
        return self._folder

    def recall(self, kind: str, subject: str, facts: Any) -> Any | None:
        """What was kept with equal facts; None where nothing was. facts: what JSON can write."""
        if self._folder is None:
            return None
        try:
            kept = json.loads(self._path(kind, subject).read_bytes())
            return kept["found"] if kept["facts"] == _digest(facts) and kept["subject"] == subject else None
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def keep(self, kind: str, subject: str, facts: Any, found: Any) -> None:
        """Instead of what was kept for this subject. A disk that takes nothing is no reason to fail: the work is done."""
        if self._folder is None:
            return
        document = {"subject": subject, "facts": _digest(facts), "found": found}
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_memo(self._path(kind, subject), json.dumps(document, ensure_ascii=False).encode())
        except (OSError, MlshipError):
            return

    def now_ns(self) -> int:
        """The time to give `is_settled`: taken before the first byte is read."""
        return self._clock()

    def _path(self, kind: str, subject: str) -> Path:
        assert self._folder is not None
        return self._folder / f"{kind}-{hashlib.sha256(subject.encode(errors='surrogateescape')).hexdigest()[:32]}.json"


FORGETFUL = Memo(None)


def state_of(path: str | Path) -> State:
    """Size, times of change (a program can set the first, not the second), inode, device; empty where nothing is."""
    try:
        seen = os.stat(path)  # noqa: PTH116 -- asked for thousands of files, most of them named by text
    except OSError:
        return ()
    return seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns, seen.st_ino, seen.st_dev


def is_settled(states: Iterable[State], began_ns: int) -> bool:
    """Whether a change since then shows in these states, whatever the tick of the clock that stamps files."""
    return all(began_ns - max(state[1], state[2]) > _tick_ns(state) for state in states if state)


def _tick_ns(state: State) -> int:
    """By the second time, which no program sets: parts of a second in it are the file system's own."""
    return SETTLED_FINE_NS if state[2] % _SECOND_NS else SETTLED_NS


def sources_digest(*modules: Any) -> str:
    """Hex sha256 over the sources of modules: a finding depends on the program that finds."""
    return hashlib.sha256(b"\0".join(Path(module.__file__).read_bytes() for module in modules)).hexdigest()


def _digest(facts: Any) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
