"""Counts are added up over reloads, restarts and releases."""

from __future__ import annotations

from typing import Any

import pytest

from mlship.keeper.ledger import counted, empty, folded, is_document, totals, wanted


def worker(requests: int, name: str = "r1-abcdef-1", errors: int = 0) -> dict[str, Any]:
    server = {"requests": requests, "errors": errors, "retries": 0, "redispatches": 0}
    return {"servers": {name: server}, "front": {"requests": requests, "errors": errors, "denied": 0}}


def requests(document: dict[str, Any]) -> dict[str, int]:
    return {name: counts["requests"] for name, counts in totals(document)["servers"].items()}


def test_both_back_ends_and_the_front_are_counted() -> None:
    said = counted(
        [
            {"pxname": "callers", "svname": "FRONTEND", "req_tot": "9", "hrsp_5xx": "2", "dreq": "1"},
            {
                "pxname": "model",
                "svname": "r1-abcdef-1",
                "req_tot": "5",
                "hrsp_5xx": "1",
                "econ": "2",
                "eresp": "3",
                "wretr": "4",
            },
            {"pxname": "model", "svname": "BACKEND", "req_tot": "8"},
            {"pxname": "panic", "svname": "r1-abcdef-1", "req_tot": "3", "hrsp_5xx": "", "wredis": "6"},
        ]
    )
    assert said == {
        "servers": {"r1-abcdef-1": {"requests": 10, "errors": 6, "retries": 4, "redispatches": 6}},
        "front": {"requests": 9, "errors": 2, "denied": 1},
    }


def test_what_a_worker_has_more_than_last_time_is_added() -> None:
    document = folded(empty(), {"1:7": worker(10)}, alive=["1:7"])
    document = folded(document, {"1:7": worker(15)}, alive=["1:7"])
    assert requests(document) == {"r1-abcdef-1": 15}
    assert totals(document)["front"]["requests"] == 15


def test_an_old_worker_and_its_successor_count_side_by_side() -> None:
    document = folded(empty(), {"1:7": worker(10)}, alive=["1:7"])
    document = folded(document, {"1:7": worker(12), "2:8": worker(3)}, alive=["1:7", "2:8"])
    document = folded(document, {"2:8": worker(4)}, alive=["2:8"])
    assert requests(document) == {"r1-abcdef-1": 16}
    assert list(document["workers"]) == ["2:8"]


def test_a_worker_with_the_same_process_id_after_a_restart_is_another_one() -> None:
    document = folded(empty(), {"1:7": worker(10)}, alive=["1:7"])
    assert requests(folded(document, {"9:7": worker(11)}, alive=["9:7"])) == {"r1-abcdef-1": 21}


def test_counters_that_somebody_cleared_are_counted_from_zero() -> None:
    document = folded(empty(), {"1:7": worker(10)}, alive=["1:7"])
    assert requests(folded(document, {"1:7": worker(2)}, alive=["1:7"])) == {"r1-abcdef-1": 12}


def test_servers_stay_known_for_the_last_five_releases() -> None:
    document = empty()
    for number in range(8):
        document = wanted(document, {f"r{number}-abcdef-1": f"r{number}-abcdef"}, now=float(number))
    assert sorted(requests(document)) == [f"r{number}-abcdef-1" for number in range(3, 8)]


def test_what_is_wanted_stays_known_however_old_it_is() -> None:
    document = empty()
    for number in range(8):
        document = wanted(document, {"r0-abcdef-1": "r0-abcdef", f"r{number}-abcdef-2": f"r{number}-abcdef"}, now=float(number))
    assert "r0-abcdef-1" in requests(document)


def test_the_ledger_does_not_grow_for_ever() -> None:
    document = empty()
    for turn in range(5):
        servers = {f"r1-abcdef-{turn * 900 + number}": "r1-abcdef" for number in range(900)}
        document = wanted(document, servers, now=float(turn))
    assert len(document["seen"]) == len(document["servers"]) == 2000
    assert set(servers) <= set(document["seen"])


@pytest.mark.parametrize("name", ["workers", "servers", "front", "seen"])
@pytest.mark.parametrize("damage", [None, [], {"x": None}, {"x": {"requests": "1"}}, {"x": -1}])
def test_a_damaged_ledger_is_known_as_such(name: str, damage: Any) -> None:
    assert is_document(folded(empty(), {"1:7": worker(1)}, alive=["1:7"]))
    assert not is_document({**empty(), name: damage})
