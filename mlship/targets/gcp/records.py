"""History and lease of one project in one environment: two objects of Cloud Storage, each replaced only by who has seen it last.

A write names the generation of what it replaces, 0 for nothing (docs.cloud.google.com/storage/docs/request-preconditions and the
service's discovery document: `ifGenerationMatch`, read 2026-11), so that no paused or killed command can overwrite.
"""

from __future__ import annotations

from mlship.errors import Exit, MlshipError
from mlship.targets.base import Opening
from mlship.targets.gcp.door import CHANGED, CONFLICT, MISSING, Door, Kept, Refused
from mlship.targets.gcp.scope import ROLE, Scope
from mlship.targets.object_records import ObjectRecords


class StorageRecords(ObjectRecords[Kept]):
    """bucket: given, or empty for mlship's own, which the first lease makes."""

    def __init__(self, door: Door, bucket: str, prefix: str) -> None:
        super().__init__()
        self._door = door
        self._given = bucket
        self._prefix = prefix
        self._is_there = bool(bucket)

    @property
    def bucket(self) -> str:
        return self._given or bucket_name(self._door)

    def shared_place(self) -> str:
        return f"bucket {self.bucket}" if not self._given else ""

    def _get(self, name: str) -> Kept | None:
        return self._door.read_object(self.bucket, self._prefix + name) if self._has_bucket() else None

    def _write(self, name: str, raw: bytes, before: Kept | None) -> bool:
        try:
            self._door.write_object(self.bucket, self._prefix + name, raw, before.generation if before else 0)
        except Refused as no:
            # missing: what was to be replaced is gone
            if no.code not in (CHANGED, CONFLICT) and not (before and no.code == MISSING):
                raise
            return False
        return True

    def _remove(self, name: str) -> None:
        self._door.delete_object(self.bucket, self._prefix + name)

    def _has_bucket(self) -> bool:
        """mlship's own has to be this project's: the name is one that anybody could have taken."""
        self._is_there = self._is_there or self._door.find_bucket(self.bucket)
        return self._is_there

    def _make(self) -> None:
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
