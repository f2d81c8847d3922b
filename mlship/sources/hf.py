"""hf://ORG/NAME[@REV][/PATH]: a file, a folder or a whole repository of the Hugging Face hub, or of one that speaks as it does.

A small client and not huggingface_hub: three requests do not need its 60 MB with the transfer engine, it keeps a second copy of
every file in a cache of its own, and it follows redirects anywhere. Settings are those that it has: HF_ENDPOINT, HF_TOKEN,
HF_TOKEN_PATH, HF_HOME (https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables, 2026-11).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mlship.config.addresses import SCHEMES
from mlship.errors import MlshipError
from mlship.sources.base import MAX_FILES, Body, Item, Opening, Snapshot, base_name, changed, missing, too_many
from mlship.sources.web import Web

_LOGIN = "set HF_TOKEN, or hf auth login; the owner may have to grant access first"
_COMMIT = re.compile(r"[0-9a-f]{40}")
# The same weights once more, for other libraries: what lies beside safetensors is not fetched with a whole repository.
_TWICE = re.compile(
    r"(pytorch_model.*\.bin(\.index\.json)?|tf_model.*\.h5|flax_model.*\.msgpack|rust_model\.ot|model\.ckpt.*)"
    r"|(onnx|openvino|coreml|original)/.*"
)


class HfSource:
    def __init__(self, opening: Opening, transport: Any = None) -> None:
        found = SCHEMES["hf"].shape.fullmatch(opening.address)
        assert found, "mlship.yaml was checked"
        self._opening = opening
        self._repo, self._revision, self._path = found["repo"], found["rev"] or "main", found["path"] or ""
        self._base = (opening.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")
        token = _token(opening.environ)
        self._web = Web(opening, "the hub", _LOGIN, lambda: f"Bearer {token}" if token else "", transport)

    def snapshot(self, version: str = "") -> Snapshot:
        revision = version.removeprefix("commit ") or self._revision
        url = f"{self._base}/api/models/{self._repo}/revision/{quote(revision, safe='')}?blobs=true"
        said = self._web.document(url, self._opening.address)
        if said is None and version:
            fix = "mlship build --retrained takes what is there now"
            raise changed(f"{self._repo} has the locked {version} no more", self._opening.where, fix)
        if said is None:
            fix = "correct model.uri; a private one needs HF_TOKEN"
            raise missing(f"the hub has no {self._repo} with the revision {revision}", self._opening.where, fix)
        try:
            return self._snapshot(said)
        except (AttributeError, KeyError, TypeError, ValueError):
            raise self._strange() from None

    def read(self, item: Item, start: int) -> AbstractContextManager[Body]:
        commit, _, path = item.key.partition("\0")
        url = f"{self._base}/{self._repo}/resolve/{commit}/{quote(path)}"
        return self._web.body(url, f"{self._opening.address} ({path})", start)

    def _snapshot(self, said: Mapping[str, Any]) -> Snapshot:
        commit, entries = str(said.get("sha", "")), said.get("siblings") or ()
        if not _COMMIT.fullmatch(commit) or not all(isinstance(entry.get("size"), int) for entry in entries):
            raise self._strange()
        if len(entries) > MAX_FILES:
            raise too_many(self._opening.address, self._opening.where)
        files = {str(entry["rfilename"]): entry for entry in entries}
        if self._path in files:
            item = _item(files[self._path], base_name(self._path), commit)
            return Snapshot(base_name(self._path), f"commit {commit}", (item,), is_file=True)
        prefix = f"{self._path.rstrip('/')}/" if self._path else ""
        names = [name for name in files if name.startswith(prefix)]
        items = tuple(_item(files[name], name[len(prefix) :], commit) for name in names)
        if not items:
            raise missing(f"there is no {self._path} in {self._repo} at {commit[:12]}", self._opening.where, self._near(files))
        return Snapshot(base_name(self._path or self._repo), f"commit {commit}", _once(items))

    def _strange(self) -> MlshipError:
        return changed(
            "the hub answers without a commit, or names and sizes of files", self._opening.where, "correct HF_ENDPOINT"
        )

    def _near(self, files: Mapping[str, Any]) -> str:
        shown = ", ".join(sorted(name for name in files if not name.startswith("."))[:5])
        return f"correct model.uri; it has {shown}" if shown else "correct model.uri"


def open_source(opening: Opening) -> HfSource:
    return HfSource(opening)


def _item(said: Mapping[str, Any], name: str, commit: str) -> Item:
    """Large files are told by their SHA-256, others by the id of their git blob."""
    lfs, blob = said.get("lfs") or {}, said.get("blobId")
    digests = {"sha256": str(lfs["sha256"])} if lfs.get("sha256") else {"git": str(blob)} if blob else {}
    return Item(name, f"{commit}\0{said['rfilename']}", int(said["size"]), next(iter(digests.values()), commit), digests)


def _once(items: tuple[Item, ...]) -> tuple[Item, ...]:
    if not any(item.name.endswith(".safetensors") and "/" not in item.name for item in items):
        return items
    return tuple(item for item in items if not _TWICE.fullmatch(item.name))


def _token(environ: Mapping[str, str]) -> str:
    """HF_TOKEN, else the file that `hf auth login` writes."""
    said = environ.get("HF_TOKEN") or environ.get("HUGGING_FACE_HUB_TOKEN")
    if said:
        return said.strip()
    cache = environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    home = environ.get("HF_HOME") or f"{cache}/huggingface"
    try:
        return Path(environ.get("HF_TOKEN_PATH") or f"{home}/token").expanduser().read_text().strip()
    except OSError:
        return ""
