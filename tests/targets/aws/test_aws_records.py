"""History and lease in S3: who compares wins, and what was lost on the way is found."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from aws_door import FakeDoor

from mlship.errors import Exit, MlshipError
from mlship.releases.history import History
from mlship.releases.records import LeaseHeld, LeaseLost
from mlship.targets.aws.records import S3Records
from mlship.targets.aws.scope import Scope

HISTORY = History("churn", "prod", "aws", generation=1)
PREFIX = "mlship/churn/prod/"


def records(door: FakeDoor, **changes: Any) -> S3Records:
    return S3Records(door, lambda: "acme", Scope("churn", "prod"), **{"makes_bucket": False, **changes})


def test_a_history_is_read_as_it_was_committed() -> None:
    door = FakeDoor()
    assert records(door).read() is None
    records(door).commit(HISTORY, 0)
    assert records(door).read() == HISTORY
    assert {said["ExpectedBucketOwner"] for name, said in door.asked} == {"123456789012"}


def test_of_two_who_commit_the_same_generation_one_has_lost() -> None:
    door = FakeDoor()
    records(door).commit(HISTORY, 0)
    with pytest.raises(LeaseLost):
        records(door).commit(replace(HISTORY, generation=2), 0)

    class Overtaken(FakeDoor):
        """Somebody else writes between the look and the write."""

        def _put_object(self, **said: Any) -> Any:
            self.objects[said["Key"]] = (b"{}", "theirs")
            return super()._put_object(**said)

    with pytest.raises(LeaseLost):
        records(Overtaken()).commit(HISTORY, 0)


def test_a_write_whose_answer_was_lost_is_a_write() -> None:
    class Deaf(FakeDoor):
        def _put_object(self, **said: Any) -> Any:
            super()._put_object(**said)
            return "PreconditionFailed"  # of the second try, that the SDK makes on its own

    door = Deaf()
    records(door).commit(HISTORY, 0)
    assert records(door).read() == HISTORY


def test_a_lease_is_one_persons_until_it_ends() -> None:
    door = FakeDoor()
    anna, ben = records(door), records(door)
    lease = anna.acquire("anna", 100.0, 30)
    assert ben.holder(110.0) == "anna"
    with pytest.raises(LeaseHeld, match="anna is changing this project; the lease ends in 20 s"):
        ben.acquire("ben", 110.0, 30)
    assert anna.renew(lease, 101.0) == lease
    assert anna.renew(lease, 110.0).expires == 140.0
    taken = ben.acquire("ben", 141.0, 30)
    for act in (anna.confirm, lambda: anna.renew(lease, 142.0)):
        with pytest.raises(LeaseLost):
            act()
    anna.release(lease)  # not hers any more
    ben.confirm()
    ben.release(taken)
    assert ben.holder(142.0) == ""


def test_a_lease_of_far_away_is_a_clock_that_was_set_back() -> None:
    door = FakeDoor()
    records(door).acquire("anna", 10_000.0, 30)
    records(door).acquire("ben", 100.0, 30)


def test_a_renewal_that_another_thread_overtook_is_one() -> None:
    class Hurried(FakeDoor):
        """Between the look and the write of one thread another one renews."""

        hurries = False

        def _put_object(self, **said: Any) -> Any:
            if self.hurries:
                self.hurries = False
                held.renew(lease, 121.0)
            return super()._put_object(**said)

    door = Hurried()
    held = records(door)
    lease = held.acquire("anna", 100.0, 30)
    door.hurries = True
    assert held.renew(lease, 120.0).expires == 151.0


def test_a_bucket_is_made_once_closed_and_only_where_it_is_ours() -> None:
    door = FakeDoor(has_bucket=False, region="eu-west-1")
    records(door, makes_bucket=True).acquire("anna", 100.0, 30)
    made = dict(door.asked)
    assert made["s3 create_bucket"]["CreateBucketConfiguration"] == {"LocationConstraint": "eu-west-1"}
    assert set(made["s3 put_public_access_block"]["PublicAccessBlockConfiguration"].values()) == {True}
    door.asked.clear()
    records(door).acquire("ben", 200.0, 30)
    assert "s3 head_bucket" not in dict(door.asked)


def test_two_first_commands_may_make_the_bucket_at_once() -> None:
    class Hurried(FakeDoor):
        def _create_bucket(self, **said: Any) -> Any:
            return "BucketAlreadyOwnedByYou"

    assert records(Hurried(has_bucket=False), makes_bucket=True).acquire("anna", 100.0, 30).holder == "anna"


def test_a_key_of_the_company_seals_the_records() -> None:
    door = FakeDoor()
    records(door, kms_key="arn:key").commit(HISTORY, 0)
    (written,) = [said for name, said in door.asked if name == "s3 put_object"]
    assert (written["ServerSideEncryption"], written["SSEKMSKeyId"]) == ("aws:kms", "arn:key")


def test_destroying_takes_both_objects() -> None:
    door = FakeDoor()
    held = records(door)
    held.acquire("anna", 100.0, 30)
    held.commit(HISTORY, 0)
    held.destroy()
    held.destroy()
    assert door.objects == {}


def test_records_of_a_newer_mlship_are_refused() -> None:
    door = FakeDoor(
        objects={
            PREFIX + "lease.json": (b'{"schema": 9, "mlship": "7.0", "token": "", "holder": "", "expires": 0, "ttl_s": 0}', "1")
        }
    )
    with pytest.raises(MlshipError, match=r"the lease was written by mlship 7.0; upgrade mlship") as raised:
        records(door).acquire("anna", 100.0, 30)
    assert raised.value.where == "s3://acme/mlship/churn/prod/lease.json"
    door.objects[PREFIX + "lease.json"] = (b"[]", "2")
    records(door).acquire("anna", 100.0, 30)


def test_a_refusal_of_s3_is_said_as_it_is() -> None:
    class Closed(FakeDoor):
        def _get_object(self, **said: Any) -> Any:
            return "AccessDenied"

    with pytest.raises(MlshipError, match=r"AWS refuses s3 get_object \(AccessDenied\)") as raised:
        records(Closed()).read()
    assert raised.value.exit is Exit.DENIED
