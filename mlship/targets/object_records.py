"""History and lease of one project in one environment: two objects of a store that writes only over what the writer has seen.

The same for every cloud; a cloud says how its store is read, written and made.
"""

from __future__ import annotations

import json
import secrets
from abc import ABC, abstractmethod
from dataclasses import asdict, replace
from typing import Generic, Protocol, TypeVar

from mlship import __version__
from mlship.errors import MlshipError
from mlship.releases.history import History
from mlship.releases.records import SCHEMA, Lease, LeaseHeld, LeaseLost, history_from_json, history_to_json

FRESH = 0.9  # a lease with so much of its time left need not be written again
CLOCK_STEP_S = 5.0  # how far a clock may be set back before a lease counts as ended, as in keeper/records.py
HISTORY, LEASE = "history.json", "lease.json"


class Version(Protocol):
    """An object as it was seen, with whatever its store tells a later version by."""

    @property
    def raw(self) -> bytes: ...


Kept = TypeVar("Kept", bound=Version)


class ObjectRecords(ABC, Generic[Kept]):
    """Implements targets.base.Records and InSharedPlace."""

    def __init__(self) -> None:
        self._token = ""

    @abstractmethod
    def shared_place(self) -> str: ...

    @abstractmethod
    def _make(self) -> None:
        """Where the objects will lie is there afterwards. Called where no lease was found."""

    @abstractmethod
    def _get(self, name: str) -> Kept | None:
        """None where it is not there, or what it lies in is not."""

    @abstractmethod
    def _write(self, name: str, raw: bytes, before: Kept | None) -> bool:
        """False where the store says that the object is not what it was any more."""

    @abstractmethod
    def _remove(self, name: str) -> None: ...

    @abstractmethod
    def _where(self, name: str) -> str:
        """For people."""

    def confirm(self) -> None:
        """Raises LeaseLost when somebody else has the lease that was taken here."""
        held = self._lease() if self._token else None
        if self._token and (held is None or held[0].token != self._token):
            raise LeaseLost()

    def read(self) -> History | None:
        return self._history(self._get(HISTORY))

    def commit(self, history: History, expected: int) -> None:
        kept = self._get(HISTORY)
        present = self._history(kept)
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

    def destroy(self) -> None:
        """Both objects; what they lie in stays, other projects have theirs in it."""
        for name in (HISTORY, LEASE):
            self._remove_present(name)

    def _remove_present(self, name: str) -> None:
        if self._get(name) is not None:
            self._remove(name)

    def _history(self, kept: Kept | None) -> History | None:
        return history_from_json(kept.raw, self._where(HISTORY)) if kept else None

    def _lease(self) -> tuple[Lease, Kept] | None:
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

    def _put(self, name: str, raw: bytes, before: Kept | None) -> None:
        """Raises LeaseLost when the object is not what it was any more."""
        if self._write(name, raw, before):
            return
        present = self._get(name)
        if present is None or present.raw != raw:  # else it was written, and only the answer was lost
            raise LeaseLost()


def _lease_bytes(lease: Lease) -> bytes:
    return json.dumps({**asdict(lease), "mlship": __version__}).encode() + b"\n"


def _is_valid(lease: Lease, now: float) -> bool:
    return 0 < lease.expires - now <= lease.ttl_s + CLOCK_STEP_S
