"""Records of releases beside their images: what they say, and the history that is made again of them."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from mlship.errors import MlshipError
from mlship.releases.history import Entry, EntryAction, History
from mlship.releases.release import Proof, Release, Served, ServedModel
from mlship.releases.release_record import (
    ReleaseRecord,
    lost_generations,
    record_from_json,
    record_of,
    record_to_json,
    recovered,
)

OPERATING = {"service": "lambda", "replicas": {"min": 1, "max": 1}}


def release(number: int) -> Release:
    served = Served(f"sha256:{number:064x}", (ServedModel("churn", f"{number:064x}"),), secrets={"KEY": "7"})
    return Release(
        number, served, float(number), proofs={"churn": Proof(({"age": 30},), {"predictions": [number]})}, mlship="0.1.0"
    )


FIRST, SECOND, THIRD = release(1), release(2), release(3)


def entry(history: History, of: Release, action: EntryAction) -> Entry:
    return Entry(history.generation + 1, of.id, action, "anna@here pid 7", 10.0, operating=OPERATING)


def deployed(history: History, of: Release) -> History:
    return history.deployed(of, entry(history, of, "deploy"), OPERATING)


def three() -> History:
    history = History("churn", "prod", "aws")
    for one in (FIRST, SECOND, THIRD):
        history = deployed(history, one)
    return history


def records(history: History) -> list[ReleaseRecord]:
    return [record_of(history, one) for one in history.releases]


def again(history: History, serving: str) -> History:
    """Through the documents, as they lie in a registry."""
    return recovered([record_from_json(record_to_json(one), "here") for one in records(history)], serving, "ben", 99.0)


def test_a_record_is_read_as_it_was_written_and_is_the_same_whoever_writes_it() -> None:
    record = record_of(three(), SECOND)
    raw = record_to_json(record)
    assert record_from_json(raw, "here") == record
    assert record_to_json(record_of(three(), SECOND)) == raw
    told = json.loads(raw)
    assert (told["release"]["served"]["secrets"], [one["action"] for one in told["entries"]]) == ({"KEY": "7"}, ["deploy"])


def test_a_history_of_which_nothing_was_let_go_comes_back_whole() -> None:
    history = three()
    found = again(history, THIRD.id)
    assert (found.live, found.releases, found.entries[:-1], found.operating) == (
        *(THIRD.id, history.releases, history.entries, OPERATING),
    )
    last = found.entries[-1]
    assert (last.generation, last.action, last.release, last.by, last.when) == (4, "recover", THIRD.id, "ben", 99.0)
    assert last.why == f"recovered from the records beside the images of {FIRST.id}, {SECOND.id}, {THIRD.id}"
    assert found.rollback_candidate() == SECOND and found.next_sequence == 4


def test_a_release_that_was_rolled_back_from_stays_rejected_and_the_other_live() -> None:
    history = three()
    back = history.rolled_back(SECOND, entry(history, SECOND, "rollback"), "too slow", OPERATING)
    found = again(back, SECOND.id)
    assert (found.live, dict(found.rejected), found.rollback_candidate()) == (SECOND.id, {THIRD.id: "too slow"}, FIRST)
    assert again(back, "").live == SECOND.id, "nothing answered: what was committed last is live"


def test_what_serves_is_live_and_what_was_committed_after_it_is_not_gone_back_to() -> None:
    """The rollback was committed, and the command killed before it was attached."""
    found = again(three(), SECOND.id)
    assert found.live == SECOND.id and found.rollback_candidate() == FIRST
    assert found.rejected == {THIRD.id: f"committed after {SECOND.id}, which serves now: it was rolled back from"}


def test_what_serves_is_not_rejected_whatever_its_record_says() -> None:
    """It was deployed again, and the command killed before that was attached."""
    history = three()
    back = history.rolled_back(SECOND, entry(history, SECOND, "rollback"), "too slow", OPERATING)
    assert dict(again(back, THIRD.id).rejected) == {
        SECOND.id: f"committed after {THIRD.id}, which serves now: it was rolled back from"
    }


def test_what_is_lost_is_said() -> None:
    history = replace(three(), releases=(FIRST, THIRD))
    found = again(history, "r9-aaaaaa")
    assert lost_generations(found.entries[:-1]) == (2,)
    assert found.live == THIRD.id
    assert "who did what in generation 2 is lost" in found.entries[-1].why
    assert "r9-aaaaaa answered callers then, and nothing is known of it" in found.entries[-1].why
    assert "nothing answered then" in again(history, "").entries[-1].why


def test_a_record_of_a_newer_mlship_and_a_damaged_one_are_refused() -> None:
    told = json.loads(record_to_json(record_of(three(), FIRST)))
    with pytest.raises(MlshipError, match=r"was written by mlship 0\.1\.0") as newer:
        record_from_json(json.dumps({**told, "schema": 2}).encode(), "here")
    assert newer.value.fix == "upgrade mlship: pip install --upgrade mlship"
    for raw in (b"", b"[]", b"{}", b'{"schema": 1}', json.dumps({**told, "entries": [{}]}).encode()):
        with pytest.raises(MlshipError, match="the release record cannot be read"):
            record_from_json(raw, "here")
