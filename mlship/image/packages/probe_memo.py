"""What an interpreter told of itself, remembered while everything that it read for it is as it was."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mlship.memo import Memo, State, is_settled, state_of

# what moves an isolated interpreter's search path, or the libraries that it is made of
_VARIABLES = ("HOME", "PYTHONUSERBASE", "PYTHONNOUSERSITE", "PYTHONEXECUTABLE", "__PYVENV_LAUNCHER__", "LD_LIBRARY_PATH",
              "LD_PRELOAD", "DYLD_LIBRARY_PATH", "DYLD_FRAMEWORK_PATH")  # fmt: skip
_METADATA = ("METADATA", "PKG-INFO", "RECORD", "INSTALLER", "direct_url.json", "top_level.txt", "requires.txt")
_DISTRIBUTIONS = (".dist-info", ".egg-info")
_PATHS = (".pth", ".py", ".egg-link")  # a line of a .pth may run a module beside it


class ProbeMemo:
    """The answer of one interpreter to one program. Use: `recall`, else probe and `keep`."""

    def __init__(self, memo: Memo, python: Path, program: str, environ: Mapping[str, str]) -> None:
        self._memo = memo
        self._python = python
        self._facts = [program, os.path.realpath(python), {name: environ.get(name) for name in _VARIABLES}]
        self._began_ns = memo.now_ns()

    def recall(self) -> dict[str, Any] | None:
        known = self._memo.recall("interpreter", str(self._python), self._facts)
        if known is None or known["seen"] != [list(pair) for pair in self._seen(known["answer"])]:
            return None
        return dict(known["answer"])

    def keep(self, answer: Mapping[str, Any]) -> None:
        """Only of an interpreter that is the program itself: a shim that starts another may choose another tomorrow."""
        if os.path.realpath(answer.get("executable") or "") != self._facts[1] or "search_path" not in answer:
            return
        seen = list(self._seen(answer))
        if is_settled((tuple(state) for _, state in seen), self._began_ns):
            self._memo.keep("interpreter", str(self._python), self._facts, {"answer": answer, "seen": seen})

    def _seen(self, answer: Mapping[str, Any]) -> Iterator[tuple[str, list[int]]]:
        """Each file and folder that the answer was read from, with its state."""
        beside = self._python.parent
        for place in (self._python, beside / "pyvenv.cfg", beside.parent / "pyvenv.cfg"):
            yield str(place), list(state_of(place))
        for folder in answer["search_path"]:
            yield folder, list(state_of(folder))
            yield from ((path, list(state)) for path, state in _entries(folder))


def _entries(folder: str) -> Iterator[tuple[str, State]]:
    try:
        with os.scandir(folder) as listed:
            names = sorted(entry.name for entry in listed)
    except OSError:
        return
    for name in names:
        path = f"{folder}/{name}"
        if name.endswith(_PATHS):
            yield path, state_of(path)
        elif name.endswith(_DISTRIBUTIONS) or name == "EGG-INFO":
            yield path, state_of(path)
            yield from ((f"{path}/{inner}", state_of(f"{path}/{inner}")) for inner in _METADATA)
