"""The fake keeps the contract of every target."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from contract import *  # noqa: F403
from contract import Harness, carry_out, deploy, live_id, roll_back, wanted

from mlship.errors import Exit, MlshipError
from mlship.releases.history import History
from mlship.releases.release import Proof, Release, Served, ServedModel
from mlship.targets.base import Deployment, Records
from mlship.targets.fake import FakeTarget, World
from mlship.targets.plan import plan


class FakeHarness:
    def __init__(self) -> None:
        self.world = World()

    def open(self) -> FakeTarget:
        return FakeTarget("churn", "", self.world)

    def deployment(self, version: int, broken: str = "") -> Deployment:
        self.world.faults = {"stage": broken} if broken else {}
        served = Served(f"sha256:{version:064x}", (ServedModel("churn", f"{version:064x}"),))
        proof = Proof(({"age": 30},), {"predictions": [version]}, {"rtol": 1e-6, "atol": 1e-9})
        release = Release(0, served, 0.0, proofs={"churn": proof})
        return Deployment("churn", "", "fake", "memory", release, {}, {"labels": {}})

    def left(self) -> list[str]:
        return [str(key) for key in self.world.services]


@pytest.fixture
def harness() -> Iterator[FakeHarness]:
    yield FakeHarness()


def test_a_release_that_breaks_after_the_shift_is_taken_back(harness: FakeHarness) -> None:
    first = deploy(harness, 1).history.live
    target = harness.open()
    decided = plan("deploy", wanted_without_faults(harness, 2), target.observe())
    harness.world.faults = {"shift": "answers"}
    with pytest.raises(MlshipError) as failed:
        carry_out(target, decided)
    assert failed.value.exit is Exit.VERIFY_FAILED
    assert live_id(harness) == first


def test_a_target_at_fault_does_not_reject_the_release(harness: FakeHarness) -> None:
    target = harness.open()
    decided = plan("deploy", wanted_without_faults(harness, 1), target.observe())
    harness.world.faults = {"shift": "refuses"}
    with pytest.raises(MlshipError, match="shift was refused"):
        carry_out(target, decided)
    harness.world.faults = {}
    assert harness.open().observe().history is None
    assert deploy(harness, 1).history.rejected == {}


def test_what_cannot_be_restored_is_exit_7(harness: FakeHarness) -> None:
    deploy(harness, 1)
    target = harness.open()
    decided = plan("deploy", wanted_without_faults(harness, 2), target.observe())
    harness.world.faults = {"shift": "answers", "restore": "refuses"}
    with pytest.raises(MlshipError, match="could not be brought back") as failed:
        carry_out(target, decided)
    assert failed.value.exit is Exit.NOT_RESTORED


def test_a_world_that_moved_after_the_plan_is_left_alone(harness: FakeHarness) -> None:
    target = harness.open()
    decided = plan("deploy", wanted_without_faults(harness, 1), target.observe())
    deploy(harness, 2)
    with pytest.raises(MlshipError, match="something changed between the plan and now"):
        carry_out(target, decided)


def test_a_rejected_release_keeps_its_reason(harness: FakeHarness) -> None:
    deploy(harness, 1)
    deploy(harness, 2)
    history = roll_back(harness).history
    again = harness.deployment(2).release.served
    assert history.rejection(again).startswith("r2-")


def wanted_without_faults(harness: Harness, version: int) -> Deployment:
    return wanted(harness, harness.open(), version)


def test_a_release_that_cannot_be_recorded_is_taken_back(harness: FakeHarness) -> None:
    class FullRecords:
        def __init__(self, records: Records) -> None:
            self._records = records

        def __getattr__(self, name: str) -> Any:
            return getattr(self._records, name)

        def commit(self, history: History, expected: int) -> None:
            raise MlshipError("nothing more can be written")

    class FullTarget(FakeTarget):
        @property
        def records(self) -> Any:
            return FullRecords(super().records)

    first = deploy(harness, 1).history.live
    target = FullTarget("churn", "", harness.world)
    with pytest.raises(MlshipError, match="it cannot be recorded: nothing more can be written") as failed:
        carry_out(target, plan("deploy", wanted(harness, target, 2), target.observe()))
    assert failed.value.exit is Exit.VERIFY_FAILED
    assert live_id(harness) == first
