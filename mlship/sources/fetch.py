"""A model out of a source into this machine's store: what is here is not fetched again, what was cut goes on where it stood."""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from mlship.disk import disk_errors, locked, make_folder, remove_tree, used
from mlship.errors import Exit, MlshipError
from mlship.parallel import in_parallel
from mlship.progress import Progress
from mlship.sources.base import (
    MAX_FILES,
    Body,
    Cut,
    Item,
    Snapshot,
    Source,
    changed,
    is_hidden,
    is_inside,
    too_many,
    unreachable,
)
from mlship.sources.store import ModelStore
from mlship.units import size_text

TRIES = 4  # in a row without a byte
_PAUSES_S = (0.5, 1.0, 2.0)
_PARALLEL = 4
_SPARE = 64 * 2**20
_STEP = "model"


@dataclass(frozen=True)
class Fetch:
    """address: for people, without credentials. where: the key that names it. pause: waits, in seconds."""

    store: ModelStore
    source: Source
    progress: Progress
    address: str
    where: str
    pause: Callable[[float], None] = field(default=time.sleep)

    def model(self, snapshot: Snapshot) -> tuple[str, Path]:
        """Its digest, and where it lies. Raises MlshipError: exit 5, 8 or 13; nothing half of it is then in the store."""
        wanted = _visible(snapshot)
        self._refuse(snapshot, wanted)
        place = self._place(snapshot)
        with disk_errors(place):
            make_folder(place)
            used(place)
            told = _Told(self.progress, sum(item.size for item in wanted))
            self.progress.step(_STEP, f"{self.address}, {size_text(told.total)}")
            parts = in_parallel(lambda item: self._file(item, place, told), wanted, _PARALLEL, patience_s=1.0)
            files = [(item.name, part) for item, part in zip(wanted, parts, strict=True)]
            kept = self.store.keep(snapshot.title, files, is_file=snapshot.is_file)
            remove_tree(place)
        return kept

    @contextmanager
    def alone(self, snapshot: Snapshot) -> Iterator[None]:
        """Whoever wants the same model at the same time waits, and then finds it here."""
        with locked(self._place(snapshot).with_suffix(".lock")):
            yield

    def _place(self, snapshot: Snapshot) -> Path:
        return self.store.partial / _place(self.address, snapshot)

    def _refuse(self, snapshot: Snapshot, wanted: tuple[Item, ...]) -> None:
        """What is not begun: names that lead out, an address with no files, a disk that is too small."""
        bad = next((name for name in (snapshot.title, *(item.name for item in wanted)) if not is_inside(name)), None)
        if bad is not None:
            raise MlshipError(
                f"{self.address} has a file whose name leads out of its folder or cannot be written: {bad[:80]!r}",
                self.where,
                "nothing was written; ask whoever put it there",
                exit=Exit.BUILD_FAILED,
                code="unsafe-name",
            )
        if any(item.size < 0 for item in wanted):
            raise changed(f"{self.address}: its source says of a file that it has fewer than no bytes", self.where)
        names = [item.name for item in wanted]
        folders = {name[:end] for name in names for end in range(len(name)) if name[end] == "/"}
        if len({*names}) < len(names) or folders & {*names}:
            raise MlshipError(
                f"{self.address} has two files of one name, or a file and a folder",
                self.where,
                "name the model's own file or folder",
                exit=Exit.BUILD_FAILED,
                code="unsafe-name",
            )
        if len(wanted) > MAX_FILES:
            raise too_many(self.address, self.where)
        if not wanted:
            raise MlshipError(f"{self.address} holds no files", self.where, "correct model.uri", code="missing-model")
        make_folder(self.store.folder)
        free = shutil.disk_usage(self.store.folder).free
        if free < snapshot.size + _SPARE:
            raise MlshipError(
                f"{self.address} is {size_text(snapshot.size)}, and {size_text(free)} are free below {self.store.folder}",
                str(self.store.folder),
                "free some space there, or set MLSHIP_HOME to another disk; nothing was written",
                exit=Exit.BUILD_FAILED,
                code="disk",
            )

    def _file(self, item: Item, place: Path, told: _Told) -> Path:
        part = place / hashlib.sha256(f"{item.name}\0{item.key}\0{item.state}".encode()).hexdigest()[:32]
        for is_again in (False, True):
            self._download(item, part, told)
            wrong = _wrong(part, item)
            if not wrong:
                return part
            part.unlink()
            told.add(-item.size)
            if is_again:
                raise changed(
                    f"{self.address}: {item.name} arrived with other bytes than its source says ({wrong})",
                    self.where,
                    "a proxy in between changed it, or it was replaced meanwhile: run it again",
                )
        raise AssertionError("the second time returns or raises")

    def _download(self, item: Item, part: Path, told: _Told) -> None:
        """Goes on where an earlier try, or an earlier command, was cut."""
        part.touch()
        if part.stat().st_size > item.size:
            os.truncate(part, 0)
        told.add(part.stat().st_size)
        idle = 0
        while part.stat().st_size < item.size:
            before = part.stat().st_size
            try:
                with self.source.read(item, before) as body:
                    _append(part, body, item.size, told)
            except Cut as cut:
                idle = idle + 1 if part.stat().st_size <= before else 0
                if idle >= TRIES:
                    raise unreachable(f"{self.address} does not come any further: {cut}", self.where) from None
                self.pause(_PAUSES_S[min(idle, len(_PAUSES_S) - 1)])
            else:
                if part.stat().st_size <= before:
                    raise changed(f"{self.address}: {item.name} is shorter than its source says", self.where)


class _Told:
    """Adds up what several threads fetched."""

    def __init__(self, progress: Progress, total: int) -> None:
        self.total = total
        self._progress = progress
        self._done = 0
        self._lock = threading.Lock()

    def add(self, size: int) -> None:
        with self._lock:
            self._done += size
            self._progress.amount(_STEP, max(0, min(self._done, self.total)), self.total)


def _append(part: Path, body: Body, size: int, told: _Told) -> None:
    with part.open("r+b") as file:
        told.add(body.start - file.seek(0, os.SEEK_END))
        file.truncate(body.start)
        file.seek(body.start)
        for piece in body.pieces:
            file.write(piece[: size - file.tell()])
            file.flush()  # what came is there, however the command ends
            told.add(len(piece))
            if file.tell() >= size:
                break
        file.flush()
        os.fsync(file.fileno())


def _visible(snapshot: Snapshot) -> tuple[Item, ...]:
    return snapshot.items if snapshot.is_file else tuple(item for item in snapshot.items if not is_hidden(item.name))


def _place(address: str, snapshot: Snapshot) -> str:
    """Of what is on its way: never continued with bytes of another version, nor after a power cut, which may leave holes."""
    facts = "\0".join((address, snapshot.version, _boot()))
    return hashlib.sha256(facts.encode(errors="surrogateescape")).hexdigest()[:32]


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:  # not on this system
        return ""


def _wrong(part: Path, item: Item) -> str:
    """Which of the source's own digests the bytes do not have; empty when all fit."""
    return next((name for name, said in item.digests.items() if _DIGESTS[name](part) != said.lower()), "")


def _of(name: str) -> Callable[[Path], str]:
    def digest(path: Path) -> str:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.new(name, usedforsecurity=False)).hexdigest()

    return digest


def _git_blob(path: Path) -> str:
    """https://git-scm.com/book/en/v2/Git-Internals-Git-Objects: SHA-1 over `blob SIZE NUL` and the bytes."""
    digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


_DIGESTS: Mapping[str, Callable[[Path], str]] = {"sha256": _of("sha256"), "md5": _of("md5"), "git": _git_blob}
