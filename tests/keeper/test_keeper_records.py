"""History and lease: one writer at a time, nothing late, nothing to unlock by hand."""

from __future__ import annotations

import json
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from mlship.keeper.records import CLOCK_STEP_S, UNREADABLE_LEASE_S, Records, Refused, lease_id
from mlship.keeper.state import Damaged, Newer


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def records(tmp_path: Path, clock: Clock) -> Records:
    return Records(tmp_path, clock)


def history(generation: int, note: str = "", schema: int = 1) -> str:
    return json.dumps({"schema": schema, "generation": generation, "note": note, "mlship": "9.9"})


def test_before_the_first_commit_there_is_no_history(records: Records) -> None:
    assert records.read() == {"history": None}


def test_who_has_the_lease_can_be_seen_without_taking_it(records: Records, clock: Clock) -> None:
    assert records.holder() == {"holder": "", "origin": None}
    records.acquire("t1", "anna@laptop pid 1", 60.0, {"pid": 1})
    assert records.holder() == {"holder": "anna@laptop pid 1", "origin": {"pid": 1}}
    clock.now += 61
    assert records.holder()["holder"] == ""


def test_a_commit_is_read_back_as_it_was_given(records: Records) -> None:
    assert records.commit(history(1), expected=0) == {"generation": 1}
    assert records.read() == {"history": history(1)}


def test_a_commit_over_another_generation_is_refused(records: Records) -> None:
    records.commit(history(1), expected=0)
    records.commit(history(2), expected=1)
    with pytest.raises(Refused, match="the history has generation 2, expected was 1"):
        records.commit(history(2, "late"), expected=1)
    assert records.read() == {"history": history(2)}


def test_the_same_commit_again_is_no_error(records: Records) -> None:
    records.commit(history(1), expected=0)
    assert records.commit(history(1), expected=0) == {"generation": 1}


def test_a_commit_must_raise_the_generation(records: Records) -> None:
    with pytest.raises(Refused, match="the new history has generation 1, not above 1"):
        records.commit(history(1), expected=1)


def test_a_commit_needs_a_generation(records: Records) -> None:
    with pytest.raises(Damaged, match="has no generation"):
        records.commit(json.dumps({"schema": 1, "generation": True}), expected=0)


def test_a_newer_history_is_not_overwritten(records: Records) -> None:
    records.commit(history(1, schema=2), expected=0)
    with pytest.raises(Newer, match=r"history\.json was written by mlship 9\.9"):
        records.commit(history(2), expected=1)


@pytest.mark.parametrize("damage", [b"", b'{"schema": 1, "gen', b"{}", b"\xff"])
def test_a_damaged_history_is_not_overwritten(records: Records, tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "history.json").write_bytes(damage)
    with pytest.raises(Damaged):
        records.commit(history(1), expected=0)
    assert (tmp_path / "history.json").read_bytes() == damage


def test_the_lease_is_held_by_one_and_says_by_whom(records: Records, clock: Clock) -> None:
    records.acquire("a" * 32, "anna@x pid 1", 30, {"pid": 1})
    clock.now += 10
    with pytest.raises(Refused, match="anna@x pid 1 has the lease") as held:
        records.acquire("b" * 32, "ben@x pid 2", 30)
    assert held.value.more == {"holder": "anna@x pid 1", "origin": {"pid": 1}, "id": lease_id("a" * 32), "seconds_left": 20}
    assert "a" * 32 not in str(held.value.more)


def test_the_same_holder_may_ask_again_when_the_answer_was_lost(records: Records) -> None:
    records.acquire("a", "anna", 30)
    assert records.acquire("a", "anna", 30) == {"seconds_left": 30}


def test_a_lease_ends_by_itself(records: Records, clock: Clock) -> None:
    records.acquire("a", "anna", 30)
    clock.now += 30.01
    records.acquire("b", "ben", 30)
    with pytest.raises(Refused, match="somebody else took the lease meanwhile"):
        records.renew("a")


def test_an_expired_lease_that_nobody_took_can_be_renewed(records: Records, clock: Clock) -> None:
    records.acquire("a", "anna", 30)
    clock.now += 40
    assert records.renew("a") == {"seconds_left": 30}


def test_a_lease_that_was_given_back_is_free_and_cannot_be_renewed(records: Records) -> None:
    records.acquire("a", "anna", 30)
    records.release("a")
    records.release("a")
    with pytest.raises(Refused, match="somebody else took the lease"):
        records.renew("a")
    records.acquire("b", "ben", 30)


def test_giving_back_a_lost_lease_leaves_the_new_holder_alone(records: Records, clock: Clock) -> None:
    records.acquire("a", "anna", 30)
    clock.now += 31
    records.acquire("b", "ben", 30)
    records.release("a")
    assert records.renew("b") == {"seconds_left": 30}


def test_a_holder_that_was_asleep_changes_nothing_after_somebody_had_the_lease(records: Records, clock: Clock) -> None:
    """Its own time is over without harm as long as nobody came; nor does it help that the other one has gone again."""
    records.acquire("a", "anna", 30)
    clock.now += 31
    with records.alone("a"):
        pass
    records.acquire("b", "ben", 30)
    records.release("b")
    with pytest.raises(Refused, match="somebody else had the lease meanwhile"), records.alone("a"):
        pass
    with records.alone(""):
        pass


def test_the_lease_of_a_dead_holder_can_be_taken_over_by_its_id(records: Records) -> None:
    records.acquire("a", "anna", 30)
    with pytest.raises(Refused):
        records.acquire("b", "ben", 30, over="0" * 16)
    records.acquire("b", "ben", 30, over=lease_id("a"))


def test_nobody_commits_under_the_valid_lease_of_another(records: Records, clock: Clock) -> None:
    records.acquire("a", "anna", 30)
    with pytest.raises(Refused) as lost:
        records.commit(history(1), expected=0, token="b")
    assert lost.value.code == "lease-lost"
    records.commit(history(1), expected=0, token="a")
    clock.now += 31
    records.commit(history(2), expected=1, token="b")


def test_a_clock_that_was_set_back_does_not_lock_for_ever(records: Records, clock: Clock) -> None:
    records.acquire("a", "anna", 30)
    clock.now -= CLOCK_STEP_S + 1
    records.acquire("b", "ben", 30)


def test_a_lease_is_neither_endless_nor_empty(records: Records) -> None:
    for ttl_s in (0, -1, 1e9):
        with pytest.raises(Refused, match="is not between 0 and 3600"):
            records.acquire("a", "anna", ttl_s)


@pytest.mark.parametrize(
    "damage", ["", "{", '{"schema": 1}', '{"schema": 1, "token": 7, "holder": "x", "expires": 1, "ttl_s": 1}']
)
def test_an_unreadable_lease_counts_as_held_until_it_must_have_ended(
    records: Records, tmp_path: Path, clock: Clock, damage: str
) -> None:
    lease = tmp_path / "lease.json"
    lease.write_text(damage)
    os.utime(lease, (clock.now, clock.now))
    with pytest.raises(Refused, match="somebody whose lease cannot be read has the lease"):
        records.acquire("b", "ben", 30)
    clock.now += UNREADABLE_LEASE_S + 1
    records.acquire("b", "ben", 30)


def test_a_lease_that_is_a_link_is_never_followed(records: Records, tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "elsewhere").write_text("precious")
    (tmp_path / "lease.json").symlink_to(tmp_path / "elsewhere")
    clock.now = (tmp_path / "lease.json").lstat().st_mtime + UNREADABLE_LEASE_S + 1
    records.acquire("b", "ben", 30)
    assert (tmp_path / "elsewhere").read_text() == "precious"


def test_a_newer_lease_is_refused_by_name(records: Records, tmp_path: Path) -> None:
    (tmp_path / "lease.json").write_text('{"schema": 2, "mlship": "9.9"}')
    with pytest.raises(Newer, match=r"lease\.json was written by mlship 9\.9"):
        records.acquire("b", "ben", 30)


def test_of_many_at_once_exactly_one_gets_the_lease(tmp_path: Path) -> None:
    with ProcessPoolExecutor(4, multiprocessing.get_context("fork")) as pool:
        got = list(pool.map(_try, [tmp_path] * 16, map(str, range(16))))
    assert sum(got) == 1


def test_of_many_commits_at_once_exactly_one_lands(tmp_path: Path) -> None:
    with ProcessPoolExecutor(4, multiprocessing.get_context("fork")) as pool:
        got = list(pool.map(_try_commit, [tmp_path] * 16, map(str, range(16))))
    assert sum(got) == 1


def _try(folder: Path, token: str) -> bool:
    try:
        Records(folder).acquire(token, token, 30)
    except Refused:
        return False
    return True


def _try_commit(folder: Path, note: str) -> bool:
    try:
        Records(folder).commit(history(1, note), expected=0)
    except Refused:
        return False
    return True
