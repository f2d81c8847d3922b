"""What DVC tracks: a .dvc file beside the model, or dvc://PATH@REV out of git. Reads pointer, remote and bytes without DVC.

DVC 3 keeps a file at REMOTE/files/md5/ab/cdef...; DVC 2 (no `hash: md5` in the pointer) at REMOTE/ab/cdef..., under an MD5 that
it took of text files with other line ends; a folder is a JSON list of such files, ending in `.dir`
(https://dvc.org/doc/user-guide/project-structure/internal-files, 2026-11). Remotes are folders, s3://, gs:// and azure://.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from mlship.config.addresses import SCHEMES
from mlship.errors import MlshipError, need
from mlship.parallel import in_parallel
from mlship.runner import Command
from mlship.sources.base import MAX_FILES, Body, Item, Opening, Snapshot, base_name, changed, missing, too_many
from mlship.sources.dvc_remote import Place, places

_LARGEST = 64 << 20  # bytes of a pointer, or of the list of a folder's files
_MD5 = re.compile(r"[0-9a-f]{32}(\.dir)?")


@dataclass(frozen=True)
class Out:
    """What a pointer says of one output. md5: with `.dir` for a folder. is_old: of DVC 2. remote: a name, or "" for the default."""

    path: str
    md5: str
    is_old: bool
    remote: str = ""


class DvcSource:
    """find: a version of an earlier snapshot, or "", -> what to fetch and what pins it. folder: .dvc lies there or above."""

    def __init__(self, opening: Opening, folder: Path, find: Callable[[str], tuple[Out, str]]) -> None:
        self._opening = opening
        self._folder = folder
        self._find = find
        self._places: tuple[Place, ...] = ()

    def snapshot(self, version: str = "") -> Snapshot:
        out, pin = self._find(version)
        self._places = places(self._opening, self._folder, out.remote)
        top = self._item(out, out.md5, base_name(out.path))
        if not out.md5.endswith(".dir"):
            return Snapshot(top.name, pin, (top,), is_file=True)
        items = in_parallel(lambda entry: self._item(out, entry[1], entry[0]), self._listed(top))
        return Snapshot(top.name, pin, tuple(items))

    @contextmanager
    def read(self, item: Item, start: int) -> Iterator[Body]:
        number, _, key = item.key.partition("\0")
        with self._places[int(number)].read(replace(item, key=key), start) as body:
            yield body

    def _item(self, out: Out, md5: str, name: str) -> Item:
        """Where the file lies: DVC's own cache on this machine comes first."""
        key = f"{md5[:2]}/{md5[2:]}" if out.is_old else f"files/md5/{md5[:2]}/{md5[2:]}"
        for number, place in enumerate(self._places):
            found = place.stat(key)
            if found is not None:
                digests = {} if out.is_old else {"md5": md5.removesuffix(".dir")}
                return Item(name, f"{number}\0{found.key}", found.size, found.state, digests)
        titles = " nor in ".join(place.title for place in self._places)
        raise missing(f"{name} ({md5[:12]}) is not in {titles}", self._opening.where, "dvc push, where it was trained")

    def _listed(self, top: Item) -> list[tuple[str, str]]:
        """Name and MD5 of each file of a folder."""
        if top.size > _LARGEST:
            raise too_many(self._opening.address, self._opening.where)
        with self.read(top, 0) as body:
            raw = b"".join(body.pieces)
        try:
            entries = [(str(entry["relpath"]), _md5(entry["md5"])) for entry in json.loads(raw)]
        except (ValueError, KeyError, TypeError):
            raise changed(f"the list of the files of {top.name} is damaged", self._opening.where, "dvc push again") from None
        if len(entries) > MAX_FILES:
            raise too_many(self._opening.address, self._opening.where)
        return entries


def open_pointer(opening: Opening) -> DvcSource:
    """A .dvc file of the project, or the file that lies beside one and is not here."""
    path = opening.root / opening.address
    file = path if path.suffix == ".dvc" else path.with_name(f"{path.name}.dvc")

    def find(version: str) -> tuple[Out, str]:
        with file.open("rb") as opened:
            out = _pointed(opened.read(_LARGEST), file.name, opening.where)
        return out, f"md5 {out.md5}"

    return DvcSource(opening, file.parent, find)


def open_source(opening: Opening) -> DvcSource:
    """dvc://PATH@REV; without @REV of the last commit. PATH is below the project's folder."""
    found = SCHEMES["dvc"].shape.fullmatch(opening.address)
    assert found, "mlship.yaml was checked"
    path, revision = found["path"].rstrip("/"), found["rev"] or "HEAD"

    def find(version: str) -> tuple[Out, str]:
        commit = _commit(opening, version.removeprefix("commit ") or revision)
        return _committed(opening, commit, path), f"commit {commit}"

    return DvcSource(opening, opening.root, find)


def _commit(opening: Opening, revision: str) -> str:
    said = _git(opening, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    if said is None:
        fix = "correct model.uri; git fetch --tags, where it is another clone's"
        raise missing(f"git knows no commit {revision} in {opening.root.name}", opening.where, fix)
    return said.decode().strip()


def _committed(opening: Opening, commit: str, path: str) -> Out:
    """From the pointer beside the path, else from the dvc.lock of a pipeline in a folder above."""
    pointer = _git(opening, "show", f"{commit}:./{path}.dvc")
    if pointer is not None:
        return _pointed(pointer, f"{path}.dvc", opening.where)
    for folder in PurePosixPath(path).parents:
        locked = _git(opening, "show", f"{commit}:./{folder}/dvc.lock")
        out = _of_pipeline(locked, str(PurePosixPath(path).relative_to(folder)), opening.where) if locked else None
        if out is not None:
            return out
    raise missing(f"{commit[:12]} has neither {path}.dvc nor a dvc.lock with {path}", opening.where)


def _git(opening: Opening, *words: str) -> bytes | None:
    """What git says; None where it has no such thing."""
    result = opening.runner.run(Command(("git", "-C", str(opening.root), *words), timeout_s=60))
    return result.stdout if result.ok else None


def _pointed(raw: bytes, name: str, where: str) -> Out:
    document = _yaml(raw, name, where)
    try:
        (entry,) = document["outs"]
        return _out(entry)
    except (KeyError, TypeError, ValueError):
        raise _no_pointer(name, where) from None


def _of_pipeline(raw: bytes, path: str, where: str) -> Out | None:
    document = _yaml(raw, "dvc.lock", where)
    try:
        stages = (document.get("stages") or {}).values()
        return next((_out(entry) for stage in stages for entry in stage.get("outs") or () if entry["path"] == path), None)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise _no_pointer("dvc.lock", where) from None


def _out(entry: Mapping[str, Any]) -> Out:
    return Out(str(entry["path"]), _md5(entry["md5"]), entry.get("hash") != "md5", str(entry.get("remote") or ""))


def _md5(said: Any) -> str:
    if not isinstance(said, str) or not _MD5.fullmatch(said):
        raise ValueError(said)
    return said


def _yaml(raw: bytes, name: str, where: str) -> Mapping[str, Any]:
    yaml = need("yaml")
    try:
        document = yaml.safe_load(raw)
    except (yaml.YAMLError, RecursionError, UnicodeDecodeError):
        raise _no_pointer(name, where) from None
    if not isinstance(document, dict):
        raise _no_pointer(name, where)
    return document


def _no_pointer(name: str, where: str) -> MlshipError:
    return MlshipError(
        f"{name} is no pointer of DVC: it names no output with its md5", where, "dvc add it again", code="bad-pointer"
    )
