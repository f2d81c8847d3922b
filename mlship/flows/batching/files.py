"""The files of a batch prediction: whole under their names, or unfinished in a folder beside them from which the same command goes on.

Whenever it is killed, the state file says how far the others are whole: it is replaced in one step after they are on the disk, and
what stands behind that point in them is cut off before the run goes on.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

from mlship.disk import disk_errors, make_folder, remove_tree, sync_folder, write_atomic
from mlship.errors import Exit, MlshipError

SCHEMA = 1
STATE, ANSWERS, REJECTS, LOCK, MADE = "state.json", "answers", "rejects", "lock", "made"
OTHER_PLACE = "name another place with --out"
Put = Callable[[Path], object]


@dataclass(frozen=True)
class Subject:
    """What the answers depend on; a run goes on only with the same. sha256, size: of the data. content: of the image."""

    sha256: str
    size: int
    content: str
    model: str
    form: str
    out_form: str
    header: bool | None
    limit: int | None


@dataclass(frozen=True)
class Reached:
    """How far a run is. position: where the data goes on. rows: read; answers, rejects: bytes that stand in their files.

    failed: rejected rows that the model itself failed with. head: the header of the answers. reason: of the first reject. model: what
    is told of it in the end: project, model, sha256, title, note.
    """

    position: int = 0
    rows: int = 0
    rejected: int = 0
    failed: int = 0
    answers: int = 0
    rejects: int = 0
    seconds: float = 0.0
    head: str = ""
    reason: str = ""
    model: Mapping[str, str] = field(default_factory=dict)
    is_done: bool = False


class Unfinished:
    """The folder of one run: `<out>.unfinished/`. Nobody else writes into it as long as `unfinished` holds it."""

    def __init__(self, folder: Path, other: str = OTHER_PLACE) -> None:
        """other: how another place for it is named."""
        self.folder = folder
        self._other = other
        self._out = folder.with_suffix("")
        self._answers: BinaryIO | None = None
        self._rejects: BinaryIO | None = None

    @property
    def answers(self) -> Path:
        return self.folder / ANSWERS

    def reached(self, subject: Subject, again: str) -> Reached:
        """Where an earlier run was stopped; the beginning where there was none.

        Raises MlshipError where it was about other data or another image, or where its files are damaged. again: see going_on.
        """
        state = self._state()
        if state is None:
            return Reached()
        try:
            if state["schema"] > SCHEMA:
                raise MlshipError(f"{self.folder} was written by a newer mlship", fix=f"upgrade mlship, or {self._anew}")
            before, reached = Subject(**state["subject"]), Reached(**state["reached"])
        except (KeyError, TypeError):
            raise self._damaged() from None
        if before != subject:
            raise MlshipError(
                f"an unfinished run for these answers was {changed(before, subject)}",
                where=str(self.folder),
                fix=f"{going_on(before, subject, again)} to go on with it, or {self._anew}",
                code="changed",
            )
        if reached.is_done and reached.answers and not self.answers.exists() and not self._out.exists():
            # it was killed when its answers had their name, and since then somebody has removed them
            with disk_errors(self.folder, self._other):
                (self.folder / STATE).unlink()
            return Reached()
        return reached

    def begin(self, reached: Reached) -> None:
        """Opens the files, and cuts off what was written behind the last checkpoint. Raises MlshipError for damaged ones."""
        with disk_errors(self.folder, self._other):
            self._answers = _cut(self.folder / ANSWERS, reached.answers)
            self._rejects = _cut(self.folder / REJECTS, reached.rejects)
        if self._answers is None or self._rejects is None:
            raise self._damaged()

    def append(self, answers: bytes, rejects: bytes) -> None:
        assert self._answers is not None and self._rejects is not None
        with disk_errors(self.folder, self._other):
            self._answers.write(answers)
            self._rejects.write(rejects)

    def checkpoint(self, subject: Subject, reached: Reached) -> None:
        """From here the run goes on, whatever happens afterwards."""
        with disk_errors(self.folder, self._other):
            for file in (self._answers, self._rejects):
                if file is not None:
                    file.flush()
                    os.fsync(file.fileno())
        state = {"schema": SCHEMA, "subject": asdict(subject), "reached": asdict(reached)}
        write_atomic(self.folder / STATE, json.dumps(state, indent=1, ensure_ascii=False).encode() + b"\n", other=self._other)

    def publish(self, answers: Put | None, rejects: Put | None, made: Callable[[Path, Path], None] | None) -> None:
        """Hands the files on, and ends. It may be repeated, and begun again after it was killed.

        answers, rejects: take a file to where it belongs, in one step; None where there are none. made: makes the answers, second, of
        what stands in the first.
        """
        self.close()
        with disk_errors(self.folder, self._other):
            whole = self.folder / ANSWERS
            if made is not None and answers is not None and whole.exists():
                made(whole, self.folder / MADE)
                whole = self.folder / MADE
        if rejects is not None and (self.folder / REJECTS).exists():
            rejects(self.folder / REJECTS)
        if answers is not None and whole.exists():
            answers(whole)
        remove_tree(self.folder)

    def close(self) -> None:
        for file in (self._answers, self._rejects):
            if file is not None:
                file.close()
        self._answers = self._rejects = None

    def _state(self) -> Mapping[str, Any] | None:
        try:
            state = json.loads((self.folder / STATE).read_bytes())
        except FileNotFoundError:
            return None
        except ValueError:
            raise self._damaged() from None
        if not isinstance(state, dict):
            raise self._damaged()
        return state

    def _damaged(self) -> MlshipError:
        return MlshipError(f"{self.folder} is not as an unfinished run leaves it", fix=self._anew, code="damaged")

    @property
    def _anew(self) -> str:
        return f"rm -r {self.folder} to begin anew"


def moved_to(place: Path) -> Put:
    """Gives a file that is on the disk this name, in one step that survives a power cut."""

    def move(file: Path) -> None:
        with disk_errors(place.parent, OTHER_PLACE):
            file.replace(place)
            sync_folder(place.parent)

    return move


@contextmanager
def unfinished(out: Path, other: str = OTHER_PLACE) -> Iterator[Unfinished]:
    """The folder beside `out`, held by this process alone. other: how another place is named, where the disk takes no more.

    Raises MlshipError where another one has it.
    """
    folder = out.with_name(f"{out.name}.unfinished")
    handle = _held(folder, other)
    run = Unfinished(folder, other)
    try:
        yield run
    finally:
        run.close()
        if folder.is_dir() and not (folder / STATE).exists():  # nothing was reached
            remove_tree(folder)
        os.close(handle)


def _held(folder: Path, other: str) -> int:
    while True:
        make_folder(folder, other)
        with disk_errors(folder, other):
            handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(handle)
            raise MlshipError(
                "another command is writing these answers",
                where=str(folder),
                fix="wait for it, or end it",
                exit=Exit.LEASE_HELD,
            ) from None
        if _is_there(handle, folder / LOCK):
            return handle
        os.close(handle)  # whoever held it has finished, and removed the folder


def _is_there(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _cut(path: Path, size: int) -> BinaryIO | None:
    """The file, open for more behind `size` bytes; None where it has fewer."""
    with path.open("ab") as file:
        if file.tell() < size:
            return None
        file.truncate(size)
    return path.open("ab")


def going_on(before: Subject, now: Subject, again: str) -> str:
    """What to do for an unfinished run that was about something else. again: the command line of now, without --image. Pure."""
    if (before.sha256, before.size) != (now.sha256, now.size):
        return "bring that data back"
    if replace(now, content=before.content) == before:
        return f"{again} --image {before.content.removeprefix('sha256:')[:12]}"
    return "say the same options"


def changed(before: Subject, now: Subject) -> str:
    """How an unfinished run differs, in words. Pure."""
    if (before.sha256, before.size) != (now.sha256, now.size):
        return f"about other data (sha256 {before.sha256[:12]}, now {now.sha256[:12]})"
    if before.content != now.content:
        was, is_now = (each.content.removeprefix("sha256:")[:12] for each in (before, now))
        return f"with another image ({was}, now {is_now})"
    names = {"model": "--model", "limit": "--limit", "header": "--header", "form": "--data", "out_form": "--out"}
    differing = [names[name] for name in names if replace(now, **{name: getattr(before, name)}) != now]
    return f"asked for with another {', '.join(differing)}"
