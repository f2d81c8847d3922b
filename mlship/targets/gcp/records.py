"""History and lease of one project in one environment: two objects of Cloud Storage, each replaced only by who has seen it last.

A write names the generation of what it replaces, 0 for nothing (docs.cloud.google.com/storage/docs/request-preconditions and the
service's discovery document: `ifGenerationMatch`, read 2026-11), so that no paused or killed command can overwrite.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, replace

from mlship import __version__
from mlship.errors import Exit, MlshipError
from mlship.releases.history import History
from mlship.releases.records import SCHEMA, Lease, LeaseHeld, LeaseLost, history_from_json, history_to_json
from mlship.targets.base import Opening
from mlship.targets.gcp.door import CHANGED, CONFLICT, MISSING, Door, Kept, Refused
from mlship.targets.gcp.scope import ROLE, Scope

FRESH = 0.9  # a lease with so much of its time left need not be written again
CLOCK_STEP_S = 5.0  # how far a clock may be set back before a lease counts as ended, as in keeper/records.py


class StorageRecords:
    """Implements targets.base.Records and InSharedPlace. bucket: given, or empty for mlship's own, which the first lease makes."""

    def __init__(self, door: Door, bucket: str, prefix: str) -> None:
        self._door = door
        self._given = bucket
        self._prefix = prefix
        self._is_there = bool(bucket)
        self._token = ""

    @property
    def bucket(self) -> str:
        return self._given or bucket_name(self._door)

    def confirm(self) -> None:
        """Raises LeaseLost when somebody else has the lease that was taken here."""
        held = self._lease() if self._token else None
        if self._token and (held is None or held[0].token != self._token):
            raise LeaseLost()

    def read(self) -> History | None:
        kept = self._get("history.json")
        return history_from_json(kept.raw, self._where("history.json")) if kept else None

    def commit(self, history: History, expected: int) -> None:
        kept = self._get("history.json")
        present = history_from_json(kept.raw, self._where("history.json")) if kept else None
        if (present.generation if present else 0) != expected:
            raise LeaseLost()
        self._put("history.json", history_to_json(history, __version__), kept)

    def acquire(self, holder: str, now: float, ttl_s: float) -> Lease:
        self._make_bucket()
        found = self._lease()
        if found is not None and _is_valid(found[0], now):
            raise LeaseHeld(found[0].holder, found[0].expires - now)
        lease = Lease(secrets.token_hex(16), holder, now + ttl_s, ttl_s)
        try:
            self._put("lease.json", _lease_bytes(lease), found[1] if found else None)
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
            self._put("lease.json", _lease_bytes(renewed), found[1])
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
            self._put("lease.json", _lease_bytes(replace(found[0], token="", holder="", expires=0.0)), found[1])
        except LeaseLost:
            return

    def destroy(self) -> None:
        """Both objects; the bucket stays, other projects have theirs in it."""
        for name in ("history.json", "lease.json"):
            if self._get(name) is not None:
                self._door.delete_object(self.bucket, self._prefix + name)

    def shared_place(self) -> str:
        return f"bucket {self.bucket}" if not self._given else ""

    def _lease(self) -> tuple[Lease, Kept] | None:
        """None where there is none. One that cannot be read counts as ended: leases are only ever written whole."""
        kept = self._get("lease.json")
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
                self._where("lease.json"),
                "upgrade mlship: pip install --upgrade mlship",
                code="newer-records",
            )
        return lease, kept

    def _get(self, name: str) -> Kept | None:
        return self._door.read_object(self.bucket, self._prefix + name) if self._has_bucket() else None

    def _put(self, name: str, raw: bytes, before: Kept | None) -> None:
        """Raises LeaseLost when the object is not what it was any more."""
        try:
            self._door.write_object(self.bucket, self._prefix + name, raw, before.generation if before else 0)
        except Refused as no:
            # missing: what was to be replaced is gone
            if no.code not in (CHANGED, CONFLICT) and not (before and no.code == MISSING):
                raise
            present = self._get(name)
            if present is None or present.raw != raw:  # else it was written, and only the answer was lost
                raise LeaseLost() from None

    def _has_bucket(self) -> bool:
        """mlship's own has to be this project's: the name is one that anybody could have taken."""
        self._is_there = self._is_there or self._door.find_bucket(self.bucket)
        return self._is_there

    def _make_bucket(self) -> None:
        if self._has_bucket():
            return
        try:
            self._door.make_bucket(self.bucket, {ROLE: "records"})
        except Refused as no:
            if no.code != CONFLICT:
                raise
            if not self._door.find_bucket(self.bucket):
                raise MlshipError(
                    f"the bucket {self.bucket} is another project's",
                    fix="write targets.gcp.bucket, one of your own",
                    exit=Exit.DENIED,
                    code="foreign-bucket",
                ) from None
        self._is_there = True

    def _where(self, name: str) -> str:
        return f"gs://{self.bucket}/{self._prefix}{name}"


def bucket_name(door: Door) -> str:
    """mlship's own of this project and region. A project's name may have a domain before it: `example.com:ml`."""
    return f"mlship-{door.project.replace(':', '-').replace('.', '-')}-{door.region}"


def records_of(opening: Opening, door: Door) -> StorageRecords:
    """Of the project that is opened, whatever service runs it."""
    bucket = str(opening.settings.get("bucket") or "")
    return StorageRecords(door, bucket, Scope(opening.project, opening.environment).records)


def _lease_bytes(lease: Lease) -> bytes:
    return json.dumps({**asdict(lease), "mlship": __version__}).encode() + b"\n"


def _is_valid(lease: Lease, now: float) -> bool:
    return 0 < lease.expires - now <= lease.ttl_s + CLOCK_STEP_S
