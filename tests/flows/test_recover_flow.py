"""What a history becomes that is made again of the records beside the images, and when a record that is missing there is attached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from mlship.flows import prepared, recover
from mlship.flows.context import Context, Where
from mlship.flows.opening import Opened
from mlship.home import Home
from mlship.progress import Silent
from mlship.releases.history import Entry, History
from mlship.releases.records import LeaseLost
from mlship.releases.release import Release, Served, ServedModel
from mlship.releases.release_record import ReleaseRecord, record_of
from mlship.runner import LocalRunner
from mlship.targets.base import Answer, Observed, Replica, Request
from mlship.targets.fake import FakeRecords, FakeTarget, Service, World

KEY = ("churn", "")
SILENCE = Answer(0)


def release(number: int) -> Release:
    return Release(number, Served(f"sha256:{number:064x}", (ServedModel("churn", f"{number:064x}"),)), float(number))


FIRST, SECOND = release(1), release(2)


def two() -> History:
    history = History("churn", "", "fake")
    for one in (FIRST, SECOND):
        entry = Entry(history.generation + 1, one.id, "deploy", "anna@here pid 7", 10.0)
        history = history.deployed(one, entry, {})
    return history


@dataclass
class BesideFakes(FakeRecords):
    """records: those beside the images. said: histories of which records were attached."""

    world: World
    records: tuple[ReleaseRecord, ...] = ()
    lacking: bool = False
    said: list[History] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(self.world, KEY)

    def attach(self, history: History) -> tuple[str, ...]:
        self.said.append(history)
        return ()

    def lacks(self, history: History) -> bool:
        return self.lacking

    def attached(self) -> Mapping[str, str]:
        return {}

    def beside_images(self) -> tuple[ReleaseRecord, ...]:
        return self.records


class Platform(FakeTarget):
    """Has what the test says, and answers so."""

    def __init__(self, records: BesideFakes, there: Observed, answer: Answer) -> None:
        super().__init__(*KEY, records.world)
        self._beside, self._there, self._answer = records, there, answer

    @property
    def records(self) -> BesideFakes:
        return self._beside

    def observe(self) -> Observed:
        return replace(self._there, history=self._beside.read())

    def ask(self, request: Request) -> Answer:
        return self._answer


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(Home(tmp_path), LocalRunner(), Silent(), {}, tmp_path, lambda: 1_760_000_000.0, "ben@test pid 1")


def place(records: BesideFakes, answer: Answer = SILENCE, **there: Any) -> Opened:
    return Opened("churn", "", "fake", "memory", Platform(records, Observed(None, **there), answer), None)


def test_where_nobody_is_reached_the_platform_says_what_serves(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    records = BesideFakes(World(), tuple(record_of(two(), one) for one in (FIRST, SECOND)))
    vouched = Answer(0, b"no way", is_unreached=True, vouched=FIRST.id)
    monkeypatch.setattr(recover, "opened", lambda *_: place(records, vouched, serving=FIRST.id))
    made = recover.recover(context, Where())
    assert (made.live, list(made.rejected)) == (FIRST.id, [SECOND.id])
    assert "nothing answered" not in made.entries[-1].why


def test_the_number_of_a_release_without_a_record_is_given_to_no_other(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """r3 was under way, or its command was killed between its commit and its record; what answers otherwise is no release."""
    records = BesideFakes(World(), tuple(record_of(two(), one) for one in (FIRST, SECOND)))
    running = (Replica("a-1", "r3-aaaaaa", True), Replica("a-2", "somebody's", True))
    there: dict[str, Any] = {
        "serving": SECOND.id,
        "replicas": running,
        "restorable": frozenset({FIRST.id, SECOND.id, "r4-bbbbbb"}),
    }
    monkeypatch.setattr(recover, "opened", lambda *_: place(records, **there))
    made = recover.recover(context, Where())
    kept = records.read()
    assert kept is not None and kept.next_sequence == 5 and kept.live == SECOND.id
    assert [(one.generation, one.release, one.action) for one in made.entries[-3:]] == [
        (3, SECOND.id, "recover"),
        (4, "r3-aaaaaa", "recover"),
        (5, "r4-bbbbbb", "recover"),
    ]
    assert records.said == [kept], "what is attached is what is committed"


def test_a_missing_record_is_attached_as_the_history_is_by_then(context: Context) -> None:
    world = World(services={KEY: Service()})
    seen = Observed(two().refused(release(3), Entry(3, release(3).id, "rejected", "anna@here pid 7", 11.0), "slow"))
    records = BesideFakes(world, lacking=True)
    records.commit(two(), 0)
    assert prepared.attached(context, place(records), seen) == ()
    assert records.said == [two()] and records.holder(context.clock()) == ""


def test_whoever_changes_the_project_attaches_what_is_missing(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    records = BesideFakes(World(), lacking=True)
    records.commit(two(), 0)
    records.acquire("ben@there pid 9", context.clock(), 30.0)
    assert prepared.attached(context, place(records), Observed(two())) == () and records.said == []
    other = BesideFakes(World(), lacking=True)

    def taken(*_: Any) -> None:
        raise LeaseLost()

    monkeypatch.setattr(other, "renew", taken)
    other.commit(two(), 0)
    assert prepared.attached(context, place(other), Observed(two())) == () and other.said == []
