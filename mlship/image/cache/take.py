"""A file with a cache on its way into this machine's: nothing gets a name here before its digest was checked.

What a key leads to cannot be checked, as in any cache: take files only from where you would take images from.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from mlship.disk import disk_errors, locked, make_folder, scratch_file, scratch_folder, write_atomic
from mlship.errors import Exit, MlshipError
from mlship.home import Home
from mlship.image.cache.export import contents_of
from mlship.image.cache.forms import ACCOUNT, FOLDER_KINDS, HEAD, KEY, MEMBER, SCHEMA, form_of
from mlship.oci.archive import need_room
from mlship.oci.archive_members import Member, Strange, chunks, members, small, sum_of
from mlship.oci.image import Descriptor, Layer
from mlship.oci.layout import PROJECT_LABEL, Layout
from mlship.oci.rootfs import unpack_layer
from mlship.progress import Progress
from mlship.units import size_text

_HEAD_AT_MOST, _ACCOUNT_AT_MOST = 4096, 256 << 20


@dataclass(frozen=True)
class Taken:
    """How much was not here before. images: those of the file that are whole here now."""

    path: Path
    blobs: int
    downloads: int
    folders: int
    images: int


def take(home: Home, path: Path, progress: Progress) -> Taken:
    """Adds what the file has and the cache lacks. Raises MlshipError for a file that is damaged or that mlship would not write."""
    try:
        with path.open("rb") as file, disk_errors(home.root):
            return _Taking(home, path, file, progress).all()
    except FileNotFoundError:
        raise MlshipError(f"there is no file {path}", fix="mlship cache export FILE writes one", code="no-file") from None
    except IsADirectoryError:
        raise MlshipError(f"{path} is a folder", fix="name a file that mlship cache export wrote", code="no-file") from None
    except (Strange, ValueError, KeyError, TypeError, AttributeError) as error:
        why = str(error) if isinstance(error, Strange) else "it is damaged, or no cache of mlship"
        raise _refused(path, why) from None


class _Taking:
    """One file that is being taken."""

    def __init__(self, home: Home, path: Path, file: BinaryIO, progress: Progress) -> None:
        self._home, self._path, self._file, self._progress = home, path, file, progress
        self._layout = Layout(home.images)
        self._members = members(file)
        self._account = self._read_account()

    def all(self) -> Taken:
        names = self._members.keys() - {HEAD, ACCOUNT}
        self._check(names)
        make_folder(self._home.root)
        total = sum(self._members[name].size for name in names)
        need_room(self._home.root, total)
        self._progress.step("cache", f"taking {self._path.name}, {size_text(total)}")
        blobs = sum(self._blob(name) for name in sorted(names) if name.startswith("blobs/"))
        debs = sum(self._download(name) for name in sorted(names) if name.startswith("debs/"))
        folders = self._folders()
        self._documents()
        return Taken(self._path, blobs, debs, folders, self._images())

    def _read_account(self) -> dict[str, Any]:
        head = json.loads(small(self._file, self._member(HEAD), _HEAD_AT_MOST))
        if head["schema"] > SCHEMA:
            what = f"the file was written by mlship {str(head.get('mlship'))[:40]}"
            raise MlshipError(what, str(self._path), "upgrade mlship here", code="newer-cache")
        raw = small(self._file, self._member(ACCOUNT), _ACCOUNT_AT_MOST)
        if sum_of(raw) != head["account"]:
            raise Strange(f"{ACCOUNT} is damaged")
        return dict(json.loads(raw))

    def _member(self, name: str) -> Member:
        if name not in self._members:
            raise Strange("it is no cache of mlship" if name == HEAD else f"{name!r} is missing in it")
        return self._members[name]

    def _check(self, names: Iterable[str]) -> None:
        """Names, kinds and documents, before anything is written."""
        for name in names:
            if not MEMBER.fullmatch(name):
                raise Strange(f"{name[:80]!r} does not belong to a cache")
        for folder in self._account["folders"]:
            if folder["kind"] not in FOLDER_KINDS or not KEY.fullmatch(folder["name"]):
                raise Strange(f"{str(folder['name'])[:80]!r} does not belong to a cache")
        documents: Mapping[str, str] = self._account["documents"]
        ids = {name[6:] for name in names if name.startswith("blobs/")} | contents_of(self._account["images"])
        for name, text in documents.items():
            form = form_of(name)
            if form is None or not form.is_led(text, ids, documents):
                raise Strange(f"{name[:80]!r} does not belong to a cache")

    def _blob(self, name: str) -> bool:
        digest = f"sha256:{name[6:]}"
        member = self._members[name]
        if self._layout.has(Descriptor("", digest, member.size)):
            return False
        self._put(self._layout, digest, member)
        return True

    def _put(self, layout: Layout, digest: str, member: Member) -> None:
        with layout.writer() as blob:
            for chunk in chunks(self._file, member):
                blob.write(chunk)
            if blob.described("").digest != digest:
                raise Strange(f"the blob {digest[7:19]} is damaged")
            blob.commit("")

    def _download(self, name: str) -> bool:
        target = self._home.cache / name
        if target.is_file():
            return False
        make_folder(target.parent)
        found = hashlib.sha256()
        with scratch_file(target.parent) as temporary:
            with temporary.open("wb") as file:
                for chunk in chunks(self._file, self._members[name]):
                    file.write(chunk)
                    found.update(chunk)
            if found.hexdigest() != target.name:
                raise Strange(f"the download {target.name[:12]} is damaged")
            temporary.chmod(0o644)
            temporary.replace(target)
        return True

    def _folders(self) -> int:
        lacking = [f for f in self._account["folders"] if not (self._home.cache / f["kind"] / f["name"]).is_dir()]
        with scratch_folder(self._home.cache / "work") as scratch:
            staging = Layout(scratch / "layout")
            for folder in lacking:
                layer = Layer(**{**folder["layer"], "blob": Descriptor(**folder["layer"]["blob"])})
                self._put(staging, layer.blob.digest, self._member(f"folders/{layer.blob.digest[7:]}"))
                self._named(unpack_layer(staging, layer, Home(scratch)), self._home.cache / folder["kind"] / folder["name"])
        return len(lacking)

    def _named(self, made: Path, target: Path) -> None:
        """As packages/wheels.py names what it has installed, under the same lock."""
        lock = target.parent / f".{target.name}.lock"
        with locked(lock):
            if not target.is_dir():
                made.rename(target)
            lock.unlink(missing_ok=True)

    def _documents(self) -> None:
        for name, text in self._account["documents"].items():
            target = self._home.root / name
            if not target.exists():
                make_folder(target.parent)
                write_atomic(target, text.encode())

    def _images(self) -> int:
        """Lists those that are whole; the ones of this machine stay newer."""
        here = [(entry["digest"], _project(entry)) for entry in self._layout.listed()]
        whole = 0
        for entry in self._account["images"]:
            image = self._layout.read_image(Descriptor(str(entry["mediaType"]), str(entry["digest"]), int(entry["size"])))
            if not all(self._layout.has(layer.blob) for layer in image.layers):
                raise Strange(f"the image {image.content[7:19]} is not whole")
            whole += 1
            if (entry["digest"], _project(entry)) not in here:
                self._layout.tag(image.labels.get(PROJECT_LABEL, ""), image)
        return whole


def _project(entry: Mapping[str, Any]) -> str:
    return str((entry.get("annotations") or {}).get(PROJECT_LABEL, ""))


def _refused(path: Path, why: str) -> MlshipError:
    return MlshipError(
        f"{path.name} cannot be taken: {why}",
        str(path),
        "export it again, or copy it again; nothing that is damaged got a name here",
        exit=Exit.BUILD_FAILED,
        code="damaged-cache",
    )
