"""Objects of storage accounts: read, and replaced only by who has seen them last."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mlship.errors import MlshipError, need
from mlship.targets.azure.cloud import Cloud
from mlship.targets.azure.refusal import Refused, translated

TRIES = 5
BACKOFF_S = 2  # the SDK's own is 15 s


@dataclass(frozen=True)
class Blob:
    """One object, and what tells its next version from it."""

    raw: bytes
    etag: str


class Blobs:
    """Opened by who we are; else with the account's key, where `key_of` knows how to read it."""

    def __init__(self, cloud: Cloud, credential: Callable[[], Any], transport: Callable[[], Any]) -> None:
        self.key_of: dict[str, Callable[[], str]] = {}
        self._cloud = cloud
        self._credential = credential
        self._transport = transport
        self._clients: dict[tuple[str, ...], Any] = {}
        self._keys: dict[str, str] = {}

    def read(self, account: str, container: str, name: str) -> Blob | None:
        def act() -> Blob:
            found = self._client(account, container, name).download_blob(max_concurrency=1)
            return Blob(found.readall(), str(found.properties.etag))

        try:
            blob: Blob = self._opened(account, f"read {account}/{container}/{name}", act)
        except Refused as no:
            if no.is_missing:
                return None
            raise
        return blob

    def write(self, account: str, container: str, name: str, raw: bytes, before: Blob | None) -> None:
        conditions = need("azure.core", "azure").MatchConditions
        only: dict[str, Any] = {"match_condition": conditions.IfMissing}
        if before is not None:
            only = {"match_condition": conditions.IfNotModified, "etag": before.etag}

        def act() -> None:
            self._client(account, container, name).upload_blob(raw, overwrite=True, **only)

        self._opened(account, f"write {account}/{container}/{name}", act)

    def delete(self, account: str, container: str, name: str) -> None:
        def act() -> None:
            self._client(account, container, name).delete_blob()

        try:
            self._opened(account, f"delete {account}/{container}/{name}", act)
        except Refused as no:
            if not no.is_missing:
                raise

    def make_container(self, account: str, name: str) -> None:
        try:
            self._opened(account, f"make {account}/{name}", lambda: self._client(account, name).create_container())
        except Refused as no:
            if no.said != "ContainerAlreadyExists":
                raise

    def _opened(self, account: str, asked: str, act: Callable[[], Any]) -> Any:
        """Raises MlshipError: what was refused first, where the keys are not to be had either."""
        try:
            return translated(asked, act)
        except Refused as no:
            if no.code != "denied" or account in self._keys or account not in self.key_of:
                raise
            first = no
        try:
            self._keys[account] = self.key_of[account]()
        except MlshipError:
            raise first from None
        self._clients = {of: client for of, client in self._clients.items() if of[0] != account}
        return translated(asked, act)

    def _client(self, account: str, container: str, *name: str) -> Any:
        """Of an object, or of its container. Each is made by itself: clients that another one makes wait in a way of their own."""
        of = (account, container, *name)
        if of not in self._clients:
            module = need("azure.storage.blob", "azure")
            self._clients[of] = (module.BlobClient if name else module.ContainerClient)(
                f"https://{account}.{self._cloud.storage}",
                container,
                *name,
                credential=self._keys.get(account) or self._credential(),
                retry_total=TRIES,
                initial_backoff=BACKOFF_S,
                increment_base=2,
                random_jitter_range=1,
                transport=self._transport(),
                user_agent="mlship",
            )
        return self._clients[of]
