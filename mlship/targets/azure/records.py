"""History and lease of one project in one environment: two blobs, each replaced only by who has seen it last.

Put Blob with If-None-Match creates, with If-Match replaces (learn.microsoft.com/rest/api/storageservices, "Specifying conditional
headers for Blob service operations"). Container Apps and online endpoints take no ETag: this lease is all that orders their changes.
"""

from __future__ import annotations

from collections.abc import Callable

from mlship.targets.azure.blobs import Blob
from mlship.targets.azure.door import Door
from mlship.targets.azure.refusal import CHANGED, Refused
from mlship.targets.azure.scope import CONTAINER
from mlship.targets.object_records import ObjectRecords


class BlobRecords(ObjectRecords[Blob]):
    """account: its name, empty where it is not there; make: makes it."""

    def __init__(self, door: Door, account: Callable[[], str], prefix: str, make: Callable[[], None]) -> None:
        super().__init__()
        self._door = door
        self._account = account
        self._prefix = prefix
        self._make_account = make

    def shared_place(self) -> str:
        """What stays when these records go: other projects have theirs there."""
        account = self._account()
        return f"storage account {account}" if account else ""

    def _make(self) -> None:
        self._make_account()

    def _get(self, name: str) -> Blob | None:
        account = self._account()
        return self._door.read_blob(account, CONTAINER, self._prefix + name) if account else None

    def _write(self, name: str, raw: bytes, before: Blob | None) -> bool:
        try:
            self._door.write_blob(self._account(), CONTAINER, self._prefix + name, raw, before)
        except Refused as no:
            # missing: what was to be replaced is gone
            if no.said not in CHANGED and not (before and no.is_missing):
                raise
            return False
        return True

    def _remove(self, name: str) -> None:
        self._door.delete_blob(self._account(), CONTAINER, self._prefix + name)

    def _where(self, name: str) -> str:
        return f"az://{self._account()}/{CONTAINER}/{self._prefix}{name}"
