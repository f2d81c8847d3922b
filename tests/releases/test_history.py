"""History decides what is live, what may come back and what is remembered."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mlship.errors import MlshipError
from mlship.releases.history import Entry, EntryAction, History, Underway
from mlship.releases.records import history_from_json, history_to_json
from mlship.releases.release import Proof, Release, Served, ServedModel, release_id

GOLDEN = Path(__file__).parent / "records-v1.json"
GOLDEN_UNDERWAY = Path(__file__).parent / "records-v1-underway.json"


def release(sequence: int, content: str = "") -> Release:
    served = Served(
        content=content or f"sha256:{sequence:064x}",
        models=(ServedModel("churn", "ab" * 32),),
        serving={"protocols": ["native"]},
        env={"LOG_LEVEL": "info"},
        resources={"cpu": 1000, "memory": 2**31},
    )
    proof = Proof(({"age": 30},), {"predictions": [1]}, {"rtol": 1e-6, "atol": 1e-9})
    return Release(sequence, served, 1_760_000_000.0, proofs={"churn": proof}, mlship="0.1.0")


def deployed(history: History, new: Release) -> History:
    entry = Entry(history.generation + 1, new.id, "deploy", "anna@test", 1_760_000_000.0)
    return history.deployed(new, entry, {"labels": {}})


def with_releases(count: int) -> History:
    history = History("churn", "prod", "local")
    for sequence in range(1, count + 1):
        history = deployed(history, release(sequence))
    return history


def rolled_back(history: History) -> History:
    candidate = history.rollback_candidate()
    assert candidate is not None
    entry = Entry(history.generation + 1, candidate.id, "rollback", "anna@test", 1_760_000_000.0)
    return history.rolled_back(candidate, entry, "wrong answers", history.operating)


def test_the_id_tells_sequence_and_content() -> None:
    first = release(12)
    assert first.id == release_id(12, first.served) == f"r12-{first.served.digest()[:6]}"


def test_anything_that_callers_can_notice_makes_another_release() -> None:
    served = release(1).served
    others = [
        replace(served, content="sha256:0"),
        replace(served, env={"LOG_LEVEL": "debug"}),
        replace(served, resources={"cpu": 2000, "memory": 2**31}),
        replace(served, secrets={"KEY": "2"}),
        replace(served, serving={"protocols": ["native", "sagemaker"]}),
    ]
    assert len({served.digest(), *(other.digest() for other in others)}) == 6


def test_sequences_are_never_given_twice() -> None:
    history, dropped = with_releases(7).pruned(2)
    assert [known.sequence for known in dropped] == [1, 2, 3, 4, 5]
    assert history.next_sequence == 8


def test_rollback_goes_to_the_last_good_release_that_was_not_rolled_back_from() -> None:
    history = rolled_back(with_releases(3))
    assert history.live_release is not None and history.live_release.sequence == 2
    history = rolled_back(history)
    assert history.live_release is not None and history.live_release.sequence == 1
    assert history.rollback_candidate() is None
    assert set(history.rejected.values()) == {"wrong answers"}


def test_a_rejected_content_is_known_again_by_its_digest() -> None:
    history = rolled_back(with_releases(2))
    same_content = release(9, content=release(2).served.content)
    assert history.rejection(same_content.served) == f"{release(2).id}: wrong answers"
    assert history.rejection(release(5).served) == ""


def test_deploying_rejected_content_again_clears_the_rejection() -> None:
    history = rolled_back(with_releases(2))
    again = release(3, content=release(2).served.content)
    history = deployed(history, again)
    assert history.rejection(again.served) == ""


def test_a_rollback_to_an_unknown_release_names_the_known_ones() -> None:
    history = with_releases(2)
    with pytest.raises(MlshipError, match=r"no release r41 .*known: r1-[0-9a-f]{6}, r2-[0-9a-f]{6}"):
        history.find("r41")
    assert history.find("r2") == history.find(release(2).id)


def test_failed_releases_take_no_room_from_good_ones() -> None:
    history = with_releases(2)
    for sequence in (3, 4, 5):
        bad = release(sequence)
        history = history.refused(bad, Entry(history.generation + 1, bad.id, "rejected", "anna", 0.0), "crashed")
    kept, _ = history.pruned(2)
    assert [known.sequence for known in kept.releases] == [1, 2, 4, 5]


def test_records_survive_the_trip_through_json() -> None:
    history = rolled_back(with_releases(3))
    assert history_from_json(history_to_json(history, "0.1.0"), "here") == history


def test_records_of_schema_1_are_read_for_ever() -> None:
    history = history_from_json(GOLDEN.read_bytes(), "here")
    assert history == rolled_back(with_releases(3))


def test_newer_records_are_refused_with_the_version_that_wrote_them() -> None:
    with pytest.raises(MlshipError, match=r"written by mlship 7\.0; upgrade mlship"):
        history_from_json(b'{"schema": 2, "mlship": "7.0; upgrade mlship"}', "history.json")
    with pytest.raises(MlshipError, match=r"history.json  the records were written by mlship 7.0; upgrade mlship"):
        raise_as_text(b'{"schema": 2, "mlship": "7.0"}')


def raise_as_text(raw: bytes) -> None:
    try:
        history_from_json(raw, "history.json")
    except MlshipError as error:
        raise MlshipError(str(error)) from None


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[]", b"[" * 99999, b'{"schema": 1}', b'{"schema": "x"}', b'{"schema": 1, "releases": 3}']
)
def test_damaged_records_are_never_guessed(raw: bytes) -> None:
    with pytest.raises(MlshipError, match="records"):
        history_from_json(raw, "history.json")


def underway(history: History, new: Release) -> History:
    begun = Underway(new, history.live, "deploy", -1, 0.0, 1_760_000_100.0)
    return history.begun(begun, entry(history, new, "begin"))


def entry(history: History, new: Release, action: EntryAction) -> Entry:
    return Entry(history.generation + 1, new.id, action, "anna@test", 1_760_000_200.0)


def test_what_is_under_way_is_not_live_yet_and_its_sequence_is_taken() -> None:
    history = underway(with_releases(2), release(3))
    assert history.live == release(2).id
    assert history.next_sequence == 4
    assert history.is_underway(release(9, content=release(3).served.content).served)


def test_a_step_says_when_it_began_and_ends_a_pause() -> None:
    history = underway(with_releases(1), release(2))
    history = history.stepped(0, 0.05, {release(2).id: {"requests": 3}}, entry(history, release(2), "step"))
    history = history.paused("too few requests", entry(history, release(2), "pause"))
    assert history.underway is not None and history.underway.paused == "too few requests"
    history = history.stepped(1, 0.25, {}, entry(history, release(2), "step"))
    assert history.underway is not None
    assert (history.underway.step, history.underway.share, history.underway.since) == (1, 0.25, 1_760_000_200.0)
    assert history.underway.paused == ""


def test_what_is_taken_back_is_rejected_and_what_was_live_stays() -> None:
    history = underway(with_releases(1), release(2))
    history = history.failing("p95 too high", entry(history, release(2), "pause"))
    history = history.aborted("p95 too high", entry(history, release(2), "abort"))
    assert history.underway is None
    assert history.live == release(1).id
    assert history.rejection(release(2).served) == f"{release(2).id}: p95 too high"
    assert [entry.generation for entry in history.entries] == [1, 2, 3, 4]


def test_a_commit_ends_what_was_under_way() -> None:
    assert deployed(underway(with_releases(1), release(2)), release(2)).underway is None


def test_rejected_content_that_was_let_in_again_is_not_refused_on_its_way() -> None:
    rejected = rolled_back(with_releases(2))
    again = release(3, content=release(2).served.content)
    assert rejected.rejection(again.served)
    assert underway(rejected, again).rejection(again.served) == ""


def test_nothing_steps_where_nothing_began() -> None:
    history = with_releases(1)
    with pytest.raises(ValueError, match="nothing is under way"):
        history.paused("why", entry(history, release(1), "pause"))


def test_what_is_under_way_survives_the_trip_through_json() -> None:
    history = underway(with_releases(1), release(2))
    history = history.stepped(0, 0.05, {"r1": {"requests": 1.0}}, entry(history, release(2), "step"))
    assert history_from_json(history_to_json(history, "0.1.0"), "here") == history


def half_way() -> History:
    history = with_releases(1)
    begun = Underway(
        release(2), history.live, "deploy", -1, 0.0, 1_760_000_100.0, {"labels": {}}, deployment={"keep": 5}, change=0.04
    )
    history = history.begun(begun, entry(history, release(2), "begin"))
    history = history.stepped(0, 0.05, {release(2).id: {"requests": 0.0}}, entry(history, release(2), "step"))
    return history.paused("30 of the 200 requests that it takes to judge", entry(history, release(2), "pause"))


def test_records_of_a_rollout_that_was_left_half_way_are_read_for_ever() -> None:
    assert history_from_json(GOLDEN_UNDERWAY.read_bytes(), "here") == half_way()
