"""History and lease of one project in one environment: two blobs, each replaced only by who has seen it last.

Put Blob with If-None-Match creates, with If-Match replaces (learn.microsoft.com/rest/api/storageservices, "Specifying conditional
headers for Blob service operations"). Container Apps and online endpoints take no ETag: this lease is all that orders their changes.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import asdict, replace

from mlship import __version__
from mlship.errors import MlshipError
from mlship.releases.history import History
from mlship.releases.records import SCHEMA, Lease, LeaseHeld, LeaseLost, history_from_json, history_to_json
from mlship.targets.azure.blobs import Blob
from mlship.targets.azure.door import Door
from mlship.targets.azure.refusal import CHANGED, Refused
from mlship.targets.azure.scope import CONTAINER

FRESH = 0.9  # a lease with so much of its time left need not be written again
CLOCK_STEP_S = 5.0  # how far a clock may be set back before a lease counts as ended, as in keeper/records.py
HISTORY, LEASE = "history.json", "lease.json"


class BlobRecords:
    """Implements targets.base.Records. account: its name, empty where it is not there; make: makes it."""

    def __init__(self, door: Door, account: Callable[[], str], prefix: str, make: Callable[[], None]) -> None:
        self._door = door
        self._account = account
        self._prefix = prefix
        self._make = make
        self._token = ""

    def confirm(self) -> None:
        """Raises LeaseLost when somebody else has the lease that was taken here."""
        held = self._lease() if self._token else None
        if self._token and (held is None or held[0].token != self._token):
            raise LeaseLost()

    def read(self) -> History | None:
        kept = self._get(HISTORY)
        return history_from_json(kept.raw, self._where(HISTORY)) if kept else None

    def commit(self, history: History, expected: int) -> None:
        kept = self._get(HISTORY)
        present = history_from_json(kept.raw, self._where(HISTORY)) if kept else None
        if (present.generation if present else 0) != expected:
            raise LeaseLost()
        self._put(HISTORY, history_to_json(history, __version__), kept)

    def acquire(self, holder: str, now: float, ttl_s: float) -> Lease:
        found = self._lease()
        if found is None:
            self._make()
        elif _is_valid(found[0], now):
            raise LeaseHeld(found[0].holder, found[0].expires - now)
        lease = Lease(secrets.token_hex(16), holder, now + ttl_s, ttl_s)
        try:
            self._put(LEASE, _lease_bytes(lease), found[1] if found else None)
        except LeaseLost:
            raise LeaseHeld(self.holder(now) or "somebody else", ttl_s) from None
        self._token = lease.token
        return lease

    def holder(self, now: float) -> str:
        found = self._lease()
        return found[0].holder if found and _is_valid(found[0], now) else ""

    def renew(self, lease: Lease, now: float) -> Lease:
        """Two threads of a command may renew at once: who comes second sees what the first has written."""
        found = self._lease()
        if found is None or found[0].token != lease.token:
            raise LeaseLost("somebody else took over this project meanwhile")
        if found[0].expires - now > lease.ttl_s * FRESH:
            return found[0]
        renewed = replace(lease, expires=now + lease.ttl_s)
        try:
            self._put(LEASE, _lease_bytes(renewed), found[1])
        except LeaseLost:
            now_there = self._lease()
            if now_there is None or now_there[0].token != lease.token:
                raise
            return now_there[0]
        return renewed

    def release(self, lease: Lease) -> None:
        """Marked as ended and not deleted: who deletes cannot compare, and would end the lease of whoever came next."""
        self._token = ""
        found = self._lease()
        if found is None or found[0].token != lease.token:
            return
        try:
            self._put(LEASE, _lease_bytes(replace(found[0], token="", holder="", expires=0.0)), found[1])
        except LeaseLost:
            return

    def shared_place(self) -> str:
        """What stays when these records go: other projects have theirs there."""
        account = self._account()
        return f"storage account {account}" if account else ""

    def destroy(self) -> None:
        """Both objects; the account stays, other projects have theirs in it."""
        for name in (HISTORY, LEASE):
            self._door.delete_blob(self._account(), CONTAINER, self._prefix + name)

    def _lease(self) -> tuple[Lease, Blob] | None:
        """None where there is none. One that cannot be read counts as ended: leases are only ever written whole."""
        kept = self._get(LEASE)
        if kept is None:
            return None
        try:
            said = json.loads(kept.raw)
            newer = said["schema"] > SCHEMA
            lease = Lease(**{name: said[name] for name in ("token", "holder", "expires", "ttl_s", "schema")})
        except (ValueError, KeyError, TypeError, RecursionError):
            return Lease("", "", 0.0, 0.0), kept
        if newer:
            raise MlshipError(
                f"the lease was written by mlship {said.get('mlship', 'of a newer version')}",
                self._where(LEASE),
                "upgrade mlship: pip install --upgrade mlship",
                code="newer-records",
            )
        return lease, kept

    def _get(self, name: str) -> Blob | None:
        account = self._account()
        return self._door.read_blob(account, CONTAINER, self._prefix + name) if account else None

    def _put(self, name: str, raw: bytes, before: Blob | None) -> None:
        """Raises LeaseLost when the object is not what it was any more."""
        try:
            self._door.write_blob(self._account(), CONTAINER, self._prefix + name, raw, before)
        except Refused as no:
            # missing: what was to be replaced is gone
            if no.said not in CHANGED and not (before and no.is_missing):
                raise
            present = self._get(name)
            if present is None or present.raw != raw:  # else it was written, and only the answer was lost
                raise LeaseLost() from None

    def _where(self, name: str) -> str:
        return f"az://{self._account()}/{CONTAINER}/{self._prefix}{name}"


def _lease_bytes(lease: Lease) -> bytes:
    return json.dumps({**asdict(lease), "mlship": __version__}).encode() + b"\n"


def _is_valid(lease: Lease, now: float) -> bool:
    return 0 < lease.expires - now <= lease.ttl_s + CLOCK_STEP_S
