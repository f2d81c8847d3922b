"""History and lease in Cloud Storage: a write names the generation that it replaces, and the bucket is this project's own."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import cast

import pytest

from mlship.errors import Exit, MlshipError
from mlship.releases.history import History
from mlship.releases.records import LeaseHeld, LeaseLost
from mlship.targets.base import InSharedPlace
from mlship.targets.gcp.door import CHANGED, CONFLICT, Door, Kept, Refused
from mlship.targets.gcp.records import StorageRecords

HISTORY = History("churn", "prod", "gcp", generation=1)


def refused(code: str) -> Refused:
    return Refused("NO", "Google Cloud refuses storage", "", Exit.NOT_RESTORED, code)


@dataclass
class Store:
    """A door to a bucket that is a dictionary. taken: its name is another project's. deaf: the next write's answer is lost."""

    project: str = "acme.com:ml"
    region: str = "europe-west1"
    objects: dict[str, Kept] = field(default_factory=dict)
    buckets: set[str] = field(default_factory=set)
    taken: bool = False
    deaf: bool = False

    def find_bucket(self, bucket: str) -> bool:
        return bucket in self.buckets

    def make_bucket(self, bucket: str, labels: dict[str, str]) -> None:
        if self.taken:
            raise refused(CONFLICT)
        self.buckets.add(bucket)

    def read_object(self, bucket: str, name: str) -> Kept | None:
        return self.objects.get(name)

    def write_object(self, bucket: str, name: str, raw: bytes, generation: int) -> None:
        present = self.objects.get(name)
        if (present.generation if present else 0) != generation:
            raise refused(CHANGED)
        self.objects[name] = Kept(raw, generation + 1)
        if self.deaf:
            self.deaf = False
            raise refused(CHANGED)

    def delete_object(self, bucket: str, name: str) -> None:
        del self.objects[name]


def records(store: Store, bucket: str = "") -> StorageRecords:
    return StorageRecords(cast(Door, store), bucket, "churn/prod/")


def test_mlships_own_bucket_is_made_at_the_first_lease() -> None:
    store = Store()
    held = records(store)
    assert held.read() is None and not store.buckets
    held.acquire("anna", 100.0, 30)
    assert store.buckets == {"mlship-acme-com-ml-europe-west1"}
    assert isinstance(held, InSharedPlace) and held.shared_place() == "bucket mlship-acme-com-ml-europe-west1"
    assert records(store, "given").shared_place() == ""


def test_a_bucket_of_another_project_is_refused() -> None:
    with pytest.raises(MlshipError, match="is another project's") as raised:
        records(Store(taken=True)).acquire("anna", 100.0, 30)
    assert raised.value.exit is Exit.DENIED


def test_of_two_who_write_one_has_lost_and_a_lost_answer_is_none() -> None:
    store = Store()
    anna, ben = records(store, "given"), records(store, "given")
    store.deaf = True
    lease = anna.acquire("anna", 100.0, 30)
    with pytest.raises(LeaseHeld, match="anna"):
        ben.acquire("ben", 110.0, 30)
    anna.commit(HISTORY, 0)
    with pytest.raises(LeaseLost):
        ben.commit(replace(HISTORY, generation=2), 0)
    assert ben.read() == HISTORY
    ben.acquire("ben", 131.0, 30)
    for act in (anna.confirm, lambda: anna.renew(lease, 132.0)):
        with pytest.raises(LeaseLost):
            act()
    ben.destroy()
    ben.destroy()
    assert store.objects == {}
