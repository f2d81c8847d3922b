"""gs://BUCKET/OBJECT through the JSON API, with Google's application default credentials; public objects need none.

The JSON API and not google-cloud-storage: two requests do not need its 40 MB, and byte ranges, proxies and redirects are those
of every other source. https://cloud.google.com/storage/docs/json_api/v1/objects (2026-11)
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any
from urllib.parse import quote, urlencode

from mlship.config.addresses import SCHEMES
from mlship.errors import need
from mlship.sources.base import (
    MAX_FILES,
    Body,
    Item,
    Opening,
    Snapshot,
    base_name,
    changed,
    denied,
    too_many,
    unreachable,
)
from mlship.sources.listing import folder_snapshot, object_snapshot
from mlship.sources.web import Web

_SCOPE = "https://www.googleapis.com/auth/devstorage.read_only"
_LOGIN = (
    "gcloud auth application-default login, or name a key file with GOOGLE_APPLICATION_CREDENTIALS; roles/storage.objectViewer"
)
# Objects that were stored compressed come as they are: unpacked on the way they have another size, and no ranges
# (https://cloud.google.com/storage/docs/transcoding).
_AS_STORED = {"Accept-Encoding": "gzip"}
_FIELDS = "name,size,generation,etag,md5Hash"


class GsSource:
    def __init__(self, opening: Opening, transport: Any = None) -> None:
        found = SCHEMES["gs"].shape.fullmatch(opening.address)
        assert found, "mlship.yaml was checked"
        self._opening = opening
        self._bucket, self._path = found["bucket"], found["path"]
        emulator = opening.environ.get("STORAGE_EMULATOR_HOST", "")
        self._base = (emulator if "://" in emulator or not emulator else f"http://{emulator}").rstrip("/")
        token = _Token(opening.where, is_emulator=bool(emulator))
        self._base = self._base or "https://storage.googleapis.com"
        self._web = Web(opening, "Google Cloud Storage", _LOGIN, token.authorization, transport)

    def snapshot(self, version: str = "") -> Snapshot:
        try:
            found = None if self._path.endswith("/") else self._object(version)
            return found or self._folder()
        except (AttributeError, KeyError, TypeError, ValueError):
            what = f"Google Cloud Storage answers without names and sizes for {self._opening.address}"
            raise changed(what, self._opening.where, "correct STORAGE_EMULATOR_HOST") from None

    def read(self, item: Item, start: int) -> AbstractContextManager[Body]:
        key, _, generation = item.key.partition("\0")
        url = f"{self._object_url(key)}?alt=media&generation={generation}"
        return self._web.body(url, f"gs://{self._bucket}/{key}", start, headers=_AS_STORED)

    def stat(self, key: str) -> Item | None:
        """One object of the bucket; None where there is none. Raises as `snapshot`."""
        return self._stat(key, "")

    def _object(self, version: str) -> Snapshot | None:
        return object_snapshot(self._opening, self._path, version, "generation", self._stat)

    def _stat(self, key: str, generation: str) -> Item | None:
        asked = {"fields": _FIELDS, **({"generation": generation} if generation else {})}
        said = self._web.document(f"{self._object_url(key)}?{urlencode(asked)}", f"gs://{self._bucket}/{key}")
        return _item(said, base_name(key)) if said else None

    def _folder(self) -> Snapshot:
        prefix = f"{self._path.rstrip('/')}/"
        asked = {"prefix": prefix, "maxResults": "1000", "fields": f"nextPageToken,items({_FIELDS})"}
        found: list[Item] = []
        while True:
            url = f"{self._base}/storage/v1/b/{quote(self._bucket, safe='')}/o?{urlencode(asked)}"
            page = self._web.document(url, self._opening.address) or {}
            found += [_item(entry, str(entry["name"])[len(prefix) :]) for entry in page.get("items", ())]
            if len(found) > MAX_FILES:
                raise too_many(self._opening.address, self._opening.where)
            if not page.get("nextPageToken"):
                break
            asked["pageToken"] = page["nextPageToken"]
        fix = "correct model.uri; gcloud storage ls shows what is there"
        return folder_snapshot(self._opening, self._path, found, fix)

    def _object_url(self, key: str) -> str:
        return f"{self._base}/storage/v1/b/{quote(self._bucket, safe='')}/o/{quote(key, safe='')}"


class _Token:
    """Application default credentials, asked for once and renewed when they end. Nothing of them is written anywhere."""

    def __init__(self, where: str, *, is_emulator: bool) -> None:
        self._where = where
        self._credentials: Any = None
        self._is_known = is_emulator
        self._lock = threading.Lock()

    def authorization(self) -> str:
        """Empty where there are no credentials: public objects need none. Raises MlshipError where the package is missing."""
        with self._lock:
            if not self._is_known:
                self._credentials, self._is_known = _default_credentials(), True
            if self._credentials is None:
                return ""
            if not self._credentials.valid:
                _refresh(self._credentials, self._where)
            return f"Bearer {self._credentials.token}"


def _default_credentials() -> Any | None:
    auth, exceptions = need("google.auth", "gcp"), need("google.auth.exceptions", "gcp")
    try:
        return auth.default(scopes=[_SCOPE])[0]
    except exceptions.DefaultCredentialsError:
        return None


def _refresh(credentials: Any, where: str) -> None:
    exceptions, requests = need("google.auth.exceptions", "gcp"), need("google.auth.transport.requests", "gcp")
    try:
        credentials.refresh(requests.Request())
    except exceptions.TransportError as error:
        raise unreachable(f"Google's token service cannot be reached: {_line(error)}", where) from None
    except exceptions.GoogleAuthError as error:
        raise denied(f"Google's application default credentials are refused: {_line(error)}", where, _LOGIN) from None


def open_source(opening: Opening) -> GsSource:
    return GsSource(opening)


def _item(said: Mapping[str, Any], name: str) -> Item:
    """Composite objects have no MD5."""
    md5 = said.get("md5Hash")
    digests = {"md5": base64.b64decode(md5).hex()} if md5 else {}
    generation = str(said["generation"])
    return Item(name, f"{said['name']}\0{generation}", int(said["size"]), generation, digests)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
