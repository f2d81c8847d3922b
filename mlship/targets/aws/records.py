"""History and lease of one project in one environment: two objects of S3, each replaced only by who has seen it last.

S3 and not SSM parameters: a history with its proofs is larger than the 8 KB that a parameter holds, and here the write that compares is
the record itself, so that no commit can name what is not there. PutObject with If-None-Match creates, with If-Match replaces
(docs.aws.amazon.com/AmazonS3, conditional-writes, 2026-11); both emulators that the tests use know both.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

from mlship.targets.aws import stack
from mlship.targets.aws.door import Door, Refused, check_account
from mlship.targets.aws.scope import Scope
from mlship.targets.base import Opening
from mlship.targets.object_records import ObjectRecords

_CHANGED = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")
MISSING = ("NoSuchKey", "NoSuchBucket", "404")


@dataclass(frozen=True)
class Kept:
    """An object, and what tells its next version from it."""

    raw: bytes
    etag: str


class S3Records(ObjectRecords[Kept]):
    """bucket: its name; made at the first lease where `makes_bucket`."""

    def __init__(self, door: Door, bucket: Callable[[], str], prefix: str, *, makes_bucket: bool, kms_key: str = "") -> None:
        super().__init__()
        self._door = door
        self._bucket = bucket
        self._prefix = prefix
        self._makes_bucket = makes_bucket
        self._kms_key = kms_key

    def shared_place(self) -> str:
        return f"bucket {self._bucket()}" if self._makes_bucket else ""

    def _get(self, name: str) -> Kept | None:
        try:
            found = self._door.call("s3", "get_object", **self._place(name))
        except Refused as no:
            if no.said in MISSING:
                return None
            raise
        return Kept(found["Body"].read(), str(found["ETag"]))

    def _write(self, name: str, raw: bytes, before: Kept | None) -> bool:
        only = {"IfMatch": before.etag} if before else {"IfNoneMatch": "*"}
        sealed = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": self._kms_key} if self._kms_key else {}
        try:
            self._door.call("s3", "put_object", **self._place(name), Body=raw, ContentType="application/json", **only, **sealed)
        except Refused as no:
            # NoSuchKey: what was to be replaced is gone
            if no.said not in _CHANGED and not (before and no.said == "NoSuchKey"):
                raise
            return False
        return True

    def _remove(self, name: str) -> None:
        self._door.call("s3", "delete_object", **self._place(name))

    def _make(self) -> None:
        """Raises MlshipError where the name is another account's."""
        if not self._makes_bucket:
            return
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
