"""The interpreter that proved the last model, started again before it is known what it will be asked.

`mlship build` spends its first half second on its own files, and the process that then loads the new model its first half on
packages that are the same as last time. Where the files of the project changed, that process begins first: locked down, with the
modules that the last model needed. Whoever asks it names the program and the environment; if they are not its own, it is let go.
"""

from __future__ import annotations

import hashlib
import json
import signal
import socket
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlship.disk import make_folder, scratch_folder, used, write_memo
from mlship.errors import MlshipError
from mlship.home import Home
from mlship.runner import Command, Process, Runner, has_ended

_HERE = "{here}"  # in what is kept: the folder of the process, another one each time
_ENDS_S = 5.0


@dataclass(frozen=True)
class Question:
    """A program that is asked one thing. limits: what it is locked down with, as `mlship.server.inspect` takes them."""

    argv: tuple[str, ...]
    environ: Mapping[str, str]
    limits: Mapping[str, Any]


class Primed:
    """For one command: at most one process. words: what of the command line says which project is meant.

    folder: where the files of the question may lie, None where nothing was started. To be used in a `with` block: the process
    and its folder are gone behind it.
    """

    def __init__(self, home: Home, runner: Runner, words: Sequence[str]) -> None:
        key = hashlib.sha256(json.dumps(list(words)).encode()).hexdigest()
        self._file = home.memo / f"primed-{key}.json"
        self._work = home.cache / "work"
        self._runner = runner
        self._held = ExitStack()
        self._kept: dict[str, Any] = {}
        self._process: Process | None = None
        self._channel: socket.socket | None = None
        self.folder: Path | None = None

    def __enter__(self) -> Primed:
        with suppress(OSError, MlshipError, ValueError, KeyError, TypeError):  # it only saves time
            self._kept = json.loads(self._file.read_bytes())
            if _stats(self._kept["files"]) != self._kept["files"] and Path(self._kept["argv"][0]).exists():
                self._start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._process is not None and kind is None:
            with suppress(OSError, MlshipError):  # nothing was asked: the files are others, and what they make is the same
                write_memo(self._file, json.dumps({**self._kept, "files": _stats(self._kept["files"])}).encode())
        self._end(is_waited_for=kind is not KeyboardInterrupt)
        self._held.close()

    def is_for(self, needs: Sequence[str], own: Collection[str] = ()) -> bool:
        """Whether nothing was imported that a model of these needs has no use for, its memory is measured, too, and nothing that its
        own code is in the place of. own: top-level names of that code's modules.
        """
        if self._process is None or list(needs) != self._kept["needs"]:
            return False
        return not any(name.partition(".")[0] in own for name in self._kept["modules"])

    def ask(self, question: Question, asked: Mapping[str, Any], timeout_s: float) -> bytes:
        """The answer; empty where no process runs, it is another one, or it ended without a word. To be asked once.

        Raises TimeoutError.
        """
        if self._process is None or self._channel is None or not self._fits(question):
            return b""
        try:
            self._channel.settimeout(timeout_s)
            self._channel.sendall(json.dumps(asked).encode() + b"\n")
            return b"".join(iter(lambda: self._channel.recv(1 << 16) if self._channel else b"", b""))
        except TimeoutError:
            raise
        except OSError:
            return b""
        finally:
            self._end()

    def keep(
        self, question: Question, folder: Path, modules: Sequence[str], needs: Sequence[str], files: Iterable[Path]
    ) -> None:
        """For the next command of these words. folder: that the question's paths lie in. modules: to import. needs: the runtime,
        and the packages that the model names. files: when one of them is another one, that command will have something to ask.
        """
        found: dict[str, Any] = {
            "argv": list(question.argv),
            "environ": {name: text.replace(str(folder), _HERE) for name, text in question.environ.items()},
            "limits": {**question.limits, "writable": ""},
            "modules": list(modules),
            "needs": list(needs),
            "files": _stats([[str(path.absolute())] for path in files]),
        }
        with suppress(OSError, MlshipError):
            make_folder(self._file.parent)
            write_memo(self._file, json.dumps(found).encode())
        self._end()  # what was begun for other packages, and not asked

    def _start(self) -> None:
        used(self._file)
        make_folder(self._work)
        folder = self._held.enter_context(scratch_folder(self._work))
        writable_in(folder).mkdir()
        ours, theirs = socket.socketpair()
        self._held.callback(ours.close)
        with theirs:
            command = Command(tuple(self._kept["argv"]), cwd=writable_in(folder), environ=self._environ(folder))
            self._process = self._runner.start(command, channel=theirs.fileno())
        self._channel, self.folder = ours, folder
        first = {"modules": self._kept["modules"], "runtime": self._kept["needs"][0]}
        limits = {**self._kept["limits"], "writable": str(writable_in(folder))}
        ours.sendall(json.dumps({"ahead": first, **limits}).encode() + b"\n")

    def _environ(self, folder: Path) -> dict[str, str]:
        return {name: text.replace(_HERE, str(folder)) for name, text in self._kept["environ"].items()}

    def _fits(self, question: Question) -> bool:
        kept, folder = self._kept, self.folder
        return (
            folder is not None
            and list(question.argv) == kept["argv"]
            and dict(question.environ) == self._environ(folder)
            and {**question.limits, "writable": ""} == kept["limits"]
        )

    def _end(self, *, is_waited_for: bool = True) -> None:
        """It ends in any case: on a full machine the kernel takes seconds for the walls of a process that has just begun, and an
        interrupted command does not wait for them."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGKILL)
            if is_waited_for:
                has_ended(self._process, _ENDS_S)
        self._process = None


def writable_in(folder: Path) -> Path:
    """The only folder in which the process may write."""
    return folder / "writable"


def _stats(files: Iterable[Sequence[Any]]) -> list[list[Any]]:
    """[path, size, time, inode] for each [path, ...]; zeros for one that is not there."""
    found = []
    for path, *_ in files:
        try:
            stat = Path(path).stat()
            found.append([path, stat.st_size, stat.st_mtime_ns, stat.st_ino])
        except OSError:
            found.append([path, 0, 0, 0])
    return found
