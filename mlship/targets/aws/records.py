"""History and lease of one project in one environment: two objects of S3, each replaced only by who has seen it last.

S3 and not SSM parameters: a history with its proofs is larger than the 8 KB that a parameter holds, and here the write that compares is
the record itself, so that no commit can name what is not there. PutObject with If-None-Match creates, with If-Match replaces
(docs.aws.amazon.com/AmazonS3, conditional-writes, 2026-11); both emulators that the tests use know both.
"""

from __future__ import annotations

import functools
import json
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

from mlship import __version__
from mlship.errors import MlshipError
from mlship.releases.history import History
from mlship.releases.records import SCHEMA, Lease, LeaseHeld, LeaseLost, history_from_json, history_to_json
from mlship.targets.aws import stack
from mlship.targets.aws.door import Door, Refused, check_account
from mlship.targets.aws.scope import Scope
from mlship.targets.base import Opening

FRESH = 0.9  # a lease with so much of its time left need not be written again
CLOCK_STEP_S = 5.0  # how far a clock may be set back before a lease counts as ended, as in keeper/records.py
_CHANGED = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")
MISSING = ("NoSuchKey", "NoSuchBucket", "404")


@dataclass(frozen=True)
class Kept:
    """An object, and what tells its next version from it."""

    raw: bytes
    etag: str


class S3Records:
    """Implements targets.base.Records. bucket: its name; made at the first lease where `makes_bucket`."""

    def __init__(self, door: Door, bucket: Callable[[], str], prefix: str, *, makes_bucket: bool, kms_key: str = "") -> None:
        self._door = door
        self._bucket = bucket
        self._prefix = prefix
        self._makes_bucket = makes_bucket
        self._kms_key = kms_key
        self._token = ""

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
        if self._makes_bucket:
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
                self._door.call("s3", "delete_object", **self._place(name))

    def shared_place(self) -> str:
        return f"bucket {self._bucket()}" if self._makes_bucket else ""

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
        try:
            found = self._door.call("s3", "get_object", **self._place(name))
        except Refused as no:
            if no.said in MISSING:
                return None
            raise
        return Kept(found["Body"].read(), str(found["ETag"]))

    def _put(self, name: str, raw: bytes, before: Kept | None) -> None:
        """Raises LeaseLost when the object is not what it was any more."""
        only = {"IfMatch": before.etag} if before else {"IfNoneMatch": "*"}
        sealed = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": self._kms_key} if self._kms_key else {}
        try:
            self._door.call("s3", "put_object", **self._place(name), Body=raw, ContentType="application/json", **only, **sealed)
        except Refused as no:
            # NoSuchKey: what was to be replaced is gone
            if no.said not in _CHANGED and not (before and no.said == "NoSuchKey"):
                raise
            present = self._get(name)
            if present is None or present.raw != raw:  # else it was written, and only the answer was lost
                raise LeaseLost() from None

    def _make_bucket(self) -> None:
        """Raises MlshipError where the name is another account's."""
        bucket, region = self._bucket(), self._door.region
        try:
            self._door.call("s3", "head_bucket", Bucket=bucket, ExpectedBucketOwner=self._door.account)
            return
        except Refused as no:
            if no.said not in MISSING:
                raise
        place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        try:
            self._door.call("s3", "create_bucket", Bucket=bucket, **place)
        except Refused as no:
            if no.said != "BucketAlreadyOwnedByYou":  # another command made it meanwhile
                raise
        closed = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)
        self._door.call("s3", "put_public_access_block", Bucket=bucket, PublicAccessBlockConfiguration=closed)

    def _place(self, name: str) -> dict[str, str]:
        """Asked of this account's bucket alone: a name can be taken by anybody."""
        return {"Bucket": self._bucket(), "Key": self._prefix + name, "ExpectedBucketOwner": self._door.account}

    def _where(self, name: str) -> str:
        return f"s3://{self._bucket()}/{self._prefix}{name}"


def _lease_bytes(lease: Lease) -> bytes:
    return json.dumps({**asdict(lease), "mlship": __version__}).encode() + b"\n"


def _is_valid(lease: Lease, now: float) -> bool:
    return 0 < lease.expires - now <= lease.ttl_s + CLOCK_STEP_S


def own_bucket(door: Door) -> str:
    """Of all projects of the account in this region, where nobody names another one."""
    return f"mlship-{door.account}-{door.region}"


def records_of(opening: Opening, door: Door) -> S3Records:
    """Of the project that is opened, whatever service runs it."""
    settings = opening.settings
    scope = Scope(opening.project, opening.environment)

    @functools.cache
    def bucket() -> str:
        """Said in mlship.yaml, or told by the foundation where there is no YAML, or mlship's own of this account and region.

        Every command reads the records first: so the wrong profile is found before anything is built.
        """
        check_account(door, settings)
        if settings.get("bucket"):
            return str(settings["bucket"])
        found = stack.read(door, scope.stem)
        told = found.outputs.get("Bucket", "") if found else ""
        return told or own_bucket(door)

    kms_key = str(settings.get("kms_key") or "")
    return S3Records(door, bucket, scope.records, makes_bucket=not settings.get("bucket"), kms_key=kms_key)
