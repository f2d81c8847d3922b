"""History and lease of one project in one environment: two objects of S3, each replaced only by who has seen it last.

S3 and not SSM parameters: a history with its proofs is larger than the 8 KB that a parameter holds, and here the write that compares is
the record itself, so that no commit can name what is not there. PutObject with If-None-Match creates, with If-Match replaces
(docs.aws.amazon.com/AmazonS3, conditional-writes, 2026-11); both emulators that the tests use know both. What it says of each release
lies beside the release's image, too (artifacts.py): that follows the history, and tells when this is gone.
"""

from __future__ import annotations

import functools
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from mlship.errors import MlshipError
from mlship.oci.registry.push_variant import PushVariant
from mlship.releases.history import History
from mlship.releases.release_record import ReleaseRecord
from mlship.targets.aws import stack
from mlship.targets.aws.artifacts import ReleaseArtifacts
from mlship.targets.aws.delivery import VARIANT
from mlship.targets.aws.door import Door, Refused, check_account
from mlship.targets.aws.scope import Scope
from mlship.targets.aws.tombstone import is_tombstone, left_by, tombstone
from mlship.targets.base import Opening, Outcome
from mlship.targets.object_records import HISTORY, LEASE, ObjectRecords

_CHANGED = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")
MISSING = ("NoSuchKey", "NoSuchBucket", "404")


@dataclass(frozen=True)
class Kept:
    """An object, and what tells its next version from it."""

    raw: bytes
    etag: str


class LostRecords(MlshipError):
    """Nothing is where the history should be, and something tells that there was one."""

    def __init__(self, what: str, where: str, fix: str) -> None:
        super().__init__(what, where, fix, code="lost-records")


class S3Records(ObjectRecords[Kept]):
    """Implements targets.base.BesideImages, too. bucket: its name; made at the first lease where `makes_bucket`. scope: whose they are.

    artifacts: what lies beside the images; None where nobody looks there.
    """

    def __init__(
        self,
        door: Door,
        bucket: Callable[[], str],
        scope: Scope,
        *,
        makes_bucket: bool,
        kms_key: str = "",
        artifacts: ReleaseArtifacts | None = None,
    ) -> None:
        super().__init__()
        self._door = door
        self._bucket = bucket
        self._scope = scope
        self._makes_bucket = makes_bucket
        self._kms_key = kms_key
        self._artifacts = artifacts

    def shared_place(self) -> str:
        return f"bucket {self._bucket()}" if self._makes_bucket else ""

    def read(self) -> History | None:
        """Raises LostRecords, too, where there is none although records of releases lie beside their images."""
        kept = self._get(HISTORY)
        history = self._history(kept)
        there = self._beside(kept) if history is None else {}
        if there:
            raise LostRecords(
                f"the history of {self._name} is gone: nothing is at {self._where(HISTORY)}, and {len(there)} of its releases have"
                f" a record beside their image ({', '.join(there)}); nothing was changed",
                next(iter(there.values())).rpartition(":")[0],
                f"{self._command('history', '--recover')} makes it again of these; {self._command('destroy')} takes all of it away",
            )
        return history

    def must_know(self, history: History | None, releases: Iterable[str]) -> None:
        """releases: ids of what is on the platform. A number above 1 was only ever given to a release after one that was recorded.

        Raises LostRecords where nothing is recorded all the same.
        """
        later = sorted(release for release in releases if not release.startswith("r1-"))
        if history is None and later:
            raise LostRecords(
                f"the history of {self._name} is gone: nothing is at {self._where(HISTORY)}, and {', '.join(later)} came after a"
                " release that was recorded; no record lies beside their images either; nothing was changed",
                self._where(HISTORY),
                "bring the object back from a version or a backup of the bucket (another bucket: targets.aws.bucket);"
                f" {self._command('destroy')} takes all of it away",
            )

    def attach(self, history: History) -> tuple[str, ...]:
        return self._artifacts.attach(history) if self._artifacts else ()

    def lacks(self, history: History) -> bool:
        return self._artifacts is not None and self._artifacts.lack(history)

    def attached(self) -> Mapping[str, str]:
        return self._beside(self._get(HISTORY))

    def beside_images(self) -> tuple[ReleaseRecord, ...]:
        return self._artifacts.records(self._left(self._get(HISTORY))) if self._artifacts else ()

    def taken_away(self, rest: Callable[[], Outcome]) -> Outcome:
        """Everything goes: `rest`, what then still lies in a repository of others, and the history last, so that a killed command goes on.

        Who may not delete there leaves these records, and is told; a tombstone in the place of the history says that they are of nothing.
        """
        artifacts = self._artifacts.fixed() if self._artifacts else None
        gone = rest()
        if not gone.ok:
            return gone
        left, notes = _removed(artifacts) if artifacts else ({}, ())
        if left:
            self._put(HISTORY, tombstone(left), self._get(HISTORY))
            self._remove_present(LEASE)
        else:
            self.destroy()
        return replace(gone, notes=(*gone.notes, *notes))

    def recorded_repository(self) -> str:
        """The one that mlship.yaml named at the last deploy; empty where it named none, or where nobody can read that any more."""
        try:
            history = self._history(self._get(HISTORY))
        except MlshipError as error:
            if error.code != "damaged-records":
                raise
            history = None
        return str((history.operating.get("settings") or {}).get("repository") or "") if history else ""

    def _beside(self, kept: Kept | None) -> Mapping[str, str]:
        """kept: what is in the place of the history."""
        return self._artifacts.there(self._left(kept)) if self._artifacts else {}

    def _left(self, kept: Kept | None) -> Mapping[str, str]:
        return left_by(kept.raw, self._where(HISTORY)) if kept and is_tombstone(kept.raw) else {}

    def _history(self, kept: Kept | None) -> History | None:
        return None if kept and is_tombstone(kept.raw) else super()._history(kept)

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
        return {"Bucket": self._bucket(), "Key": self._scope.records + name, "ExpectedBucketOwner": self._door.account}

    def _where(self, name: str) -> str:
        return f"s3://{self._bucket()}/{self._scope.records}{name}"

    @property
    def _name(self) -> str:
        return " ".join(filter(None, (self._scope.project, self._scope.environment)))

    def _command(self, verb: str, *words: str) -> str:
        place = ["--env", self._scope.environment] if self._scope.environment else []
        said = ["mlship", verb, self._scope.project, "--target", "aws", *place, "--region", self._door.region, *words]
        return shlex.join(said)


def _removed(artifacts: ReleaseArtifacts) -> tuple[Mapping[str, str], tuple[str, ...]]:
    """What of the records beside images stays all the same (tag -> digest), and what to say of it."""
    left: Mapping[str, str] = {}
    try:
        left = artifacts.tagged()
        artifacts.remove(left)
    except Refused as no:
        if no.code != "denied":
            raise
        return left, (f"not the records of its releases in ECR, which a later deploy passes over: {no.what}",)
    return {}, ()


def own_bucket(door: Door) -> str:
    """Of all projects of the account in this region, where nobody names another one."""
    return f"mlship-{door.account}-{door.region}"


def records_of(opening: Opening, door: Door, variant: PushVariant = VARIANT) -> S3Records:
    """Of the project that is opened, whatever service runs it. variant: the form in which that takes images."""
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

    def repository() -> str:
        """Said in mlship.yaml, or told by the foundation once it stands; empty before that. Where a killed destroy has taken that away the
        history still tells.
        """
        if settings.get("repository"):
            return str(settings["repository"])
        found = stack.read(door, scope.stem)
        told = found.outputs.get("Repository", "") if found else ""
        return told or records.recorded_repository()

    kms_key = str(settings.get("kms_key") or "")
    artifacts = ReleaseArtifacts(door, scope, opening.environ, repository, variant)
    records = S3Records(door, bucket, scope, makes_bucket=not settings.get("bucket"), kms_key=kms_key, artifacts=artifacts)
    return records
