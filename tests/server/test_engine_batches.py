"""Drain batching: what is computed together, what apart, and that nobody gets another's answer."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import time
from typing import Any

import numpy as np
import pytest
import uvloop
from crowd import NUMBERS, Crowd, ask, modelled, sums
from served import answers
from wired import request

from mlship.server.batching import engine
from mlship.server.batching.engine import Batching
from mlship.server.batching.pace import Pace
from mlship.server.batching.queue import Job
from mlship.server.core import ServedModel
from mlship.server.life.warmup import warm_up
from mlship.server.manifest import Feature, Signature
from mlship.server.messages import Call, Request, Response

ROWS = [[float(index), 0.5] for index in range(64)]


def takes_a_millisecond(crowd: Crowd) -> None:
    """And is believed to, however long a busy machine lets it take here."""
    pace = crowd.engine.queue(crowd.model).pace
    pace.learn(1, 0.001)
    vars(pace)["learn"] = lambda rows, seconds: None


def test_all_that_has_come_by_now_is_one_call_of_the_model_and_each_gets_its_own_answer() -> None:
    crowd = Crowd(modelled(sums), 64)
    takes_a_millisecond(crowd)
    crowd.send(*[ask(row) for row in ROWS])
    assert crowd.sizes == []
    crowd.turn()
    assert crowd.sizes == [64]
    assert crowd.predictions() == [[index + 0.5] for index in range(64)]


class Counting(asyncio.Protocol):
    """Counts what it reads; the first byte of a turn asks for a flush."""

    flushes: list[int]
    read = 0

    def data_received(self, data: bytes) -> None:
        if not Counting.read:
            asyncio.get_running_loop().call_soon(self.flush)
        Counting.read += 1

    def flush(self) -> None:
        Counting.flushes.append(Counting.read)
        Counting.read = 0


def test_uvloop_reads_every_readable_socket_before_it_runs_what_call_soon_was_given() -> None:
    Counting.flushes = []
    pairs = [socket.socketpair() for _ in range(200)]

    async def read_all() -> None:
        loop = asyncio.get_running_loop()
        transports = [(await loop.connect_accepted_socket(Counting, ours))[0] for ours, _ in pairs]
        for turn in range(3):
            for _, theirs in pairs:
                theirs.send(b"x")
            while sum(Counting.flushes) < (turn + 1) * len(pairs):
                await asyncio.sleep(0)
        for transport in transports:
            transport.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(read_all(), 10))
    for _, theirs in pairs:
        theirs.close()
    assert Counting.flushes == [200, 200, 200]


def test_rows_are_counted_and_a_request_that_fills_a_call_goes_alone() -> None:
    crowd = Crowd(modelled(sums), 5)
    pace = crowd.engine.queue(crowd.model).pace
    pace.learn(1, 0.002)
    pace.learn(101, 0.012)
    pace.learn = lambda rows, seconds: None  # type: ignore[method-assign]  # 2 ms a call and 0.1 ms a row: beyond some 160 rows joining gains nothing
    large = [[1.0, 1.0]] * 200
    crowd.send(ask([1, 0]), ask(*large), ask([2, 0], [3, 0]), ask([4, 0]), ask(*large))
    crowd.turn()
    assert crowd.sizes == [1, 200, 3, 200]
    assert crowd.predictions() == [[1], [2] * 200, [2, 3], [4], [2] * 200]


def test_max_rows_cuts_a_batch() -> None:
    crowd = Crowd(modelled(sums), 5, batching=Batching(max_rows=2))
    takes_a_millisecond(crowd)
    crowd.send(*[ask(row) for row in ROWS[:5]])
    crowd.turn()
    assert crowd.sizes == [2, 2, 1]


def test_max_delay_waits_for_more_but_not_beyond_max_rows() -> None:
    crowd = Crowd(modelled(sums), 6, batching=Batching(max_rows=4, max_delay_s=0.05))
    takes_a_millisecond(crowd)
    crowd.send(ask(ROWS[0]))
    crowd.turn()
    assert crowd.sizes == []
    crowd.connections[1].data_received(ask(ROWS[1]))
    crowd.loop.now += 0.06
    crowd.turn()
    assert crowd.sizes == [2]
    for connection in crowd.connections[2:]:
        connection.data_received(ask(ROWS[2]))
    crowd.turn()
    assert crowd.sizes == [2, 4]


def test_only_the_request_that_the_model_refuses_is_refused() -> None:
    crowd = Crowd(modelled(sums), 64)
    takes_a_millisecond(crowd)
    asked = [ask(row) for row in ROWS]
    asked[17] = ask([1, 1], [-1, 1])
    crowd.send(*asked)
    crowd.turn()
    got = crowd.answers()
    assert [answer.status for answer in got] == [200] * 17 + [422] + [200] * 46
    problem = got[17].json["error"]["problems"][0]
    assert (problem["row"], problem["message"]) == (1, "the model refuses row 1: ValueError: no row may begin with -1")
    assert [answer.json["predictions"] for answer in got if answer.status == 200] == [
        [index + 0.5] for index in range(64) if index != 17
    ]
    assert len(crowd.sizes) < 20
    assert crowd.model.is_joined


def test_a_call_that_fails_only_together_is_answered_and_never_joined_again(capsys: pytest.CaptureFixture[str]) -> None:
    def small(rows: Any) -> Any:
        if len(rows) > 3:
            raise ValueError("at most three rows")
        return rows[:, 0]

    crowd = Crowd(modelled(small), 8)
    takes_a_millisecond(crowd)
    crowd.send(*[ask(row) for row in ROWS[:8]])
    crowd.turn()
    assert crowd.predictions() == [[float(index)] for index in range(8)]
    assert not crowd.model.is_joined
    assert json.loads(capsys.readouterr().err)["event"] == "batching_off"


def test_a_class_that_writes_into_its_rows_answers_the_neighbours_of_a_bad_row_as_it_does_alone() -> None:
    def doubled(rows: Any) -> Any:
        for row in rows:
            if row["n"][0] == -1:
                raise ValueError("no row may begin with -1")
            row["n"][0] *= 2
        return [row.pop("n")[0] for row in rows]

    crowd = Crowd(modelled(doubled, Signature((), (), "list")), 5)
    takes_a_millisecond(crowd)
    crowd.send(*[ask_objects({"n": [number]}) for number in (1, 2, 3, -1)], ask_objects(*[{"n": [n]} for n in (4, -1, 5, 6)]))
    crowd.turn()
    assert [answer.json.get("predictions") for answer in crowd.answers()] == [[2], [4], [6], None, None]
    problems = crowd.answers()[4].json["error"]["problems"]
    assert [(problem["row"], problem["message"]) for problem in problems] == [
        (1, "the model refuses row 1: ValueError: no row may begin with -1")
    ]


def test_rows_of_another_width_are_not_joined_where_any_are_taken() -> None:
    crowd = Crowd(modelled(lambda rows: np.array(rows).sum(axis=1), Signature((), (), "list")), 4)
    takes_a_millisecond(crowd)
    crowd.send(ask([1, 2]), ask([3, 4]), ask([1, 2, 3]), ask([5, 6]))
    crowd.turn()
    assert (crowd.predictions(), crowd.sizes, crowd.model.is_joined) == ([[3], [7], [6], [11]], [2, 1, 1], True)


def ask_objects(*rows: dict[str, Any]) -> bytes:
    return request("POST", "/predict", "Content-Type: application/json", body=json.dumps({"instances": rows}).encode())


def test_a_model_may_run_a_loop_of_its_own_where_the_servers_loop_asks_it() -> None:
    async def looked_up(rows: Any) -> Any:
        return rows[:, 0]

    async def asked() -> tuple[list[Any], list[Any]]:
        crowd = Crowd(modelled(lambda rows: asyncio.run(looked_up(rows))), 3)
        takes_a_millisecond(crowd)
        crowd.send(ask([1, 1]), ask([2, 2]))
        crowd.turn()
        crowd.connections[2].data_received(ask([3, 3]))
        crowd.turn()
        await asyncio.sleep(0)
        return crowd.predictions(), crowd.sizes

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(asked()) == ([[1], [2], [3]], [2, 1])


def test_whatever_a_model_raises_its_callers_are_answered() -> None:
    def cancelled(rows: Any) -> Any:
        if len(rows) > 1:
            raise ValueError("one row at a time")
        raise asyncio.CancelledError  # no Exception

    crowd = Crowd(modelled(cancelled), 2)
    takes_a_millisecond(crowd)
    crowd.send(ask([1, 1]), ask([1, 1], [2, 2]))
    crowd.turn()
    assert [answer.status for answer in crowd.answers()] == [500, 422]


def test_an_answer_with_too_few_rows_is_nobodys_answer() -> None:
    crowd = Crowd(modelled(lambda rows: rows[: min(len(rows), 2), 0]), 5)
    takes_a_millisecond(crowd)
    crowd.send(*[ask(row) for row in ROWS[:5]])
    crowd.turn()
    assert crowd.predictions() == [[float(index)] for index in range(5)]


def test_work_of_a_client_that_is_gone_is_not_computed_and_its_neighbours_are_answered() -> None:
    crowd = Crowd(modelled(sums), 6)
    takes_a_millisecond(crowd)
    crowd.send(*[ask(row) for row in ROWS[:6]])
    for gone in (0, 3, 5):
        crowd.connections[gone].connection_lost(None)
    crowd.turn()
    assert crowd.sizes == [3]
    assert crowd.predictions() == [[1.5], [2.5], [4.5]]


def test_requests_in_one_packet_are_computed_together_and_answered_in_their_order() -> None:
    crowd = Crowd(modelled(sums), 2)
    takes_a_millisecond(crowd)
    crowd.send(ask([1, 0]) + request() + ask([-1, 0]) + ask([2, 0]), ask([3, 0]))
    crowd.turn()
    first = answers(crowd.transports[0].written)
    assert [answer.status for answer in first] == [200, 200, 422, 200]
    assert [first[0].json["predictions"], first[3].json["predictions"]] == [[1], [2]]
    assert crowd.sizes[0] == 4


def test_what_a_hole_would_turn_into_another_dtype_is_not_joined() -> None:
    whole = Signature((Feature("n", "int64", nullable=True),), (), "frame", True)
    crowd = Crowd(modelled(lambda frame: [str(value) for value in frame["n"]], whole), 3)
    takes_a_millisecond(crowd)
    crowd.send(ask([1]), ask([None]), ask([2]))
    crowd.turn()
    assert crowd.predictions() == [["1"], ["nan"], ["2"]]


@pytest.mark.parametrize(
    ("predict", "is_joined"),
    [
        (lambda rows: rows.sum(axis=1), True),
        (lambda rows: (rows - rows.mean(axis=0)).sum(axis=1), False),
        (lambda rows: np.argsort(np.argsort(rows[:, 0])), False),
        (lambda rows: np.random.default_rng().random(len(rows)), False),
        (lambda rows: rows[:1, 0], False),
    ],
    ids=["row-wise", "centred on the batch", "ranked in the batch", "random", "one answer for all"],
)
@pytest.mark.parametrize("sample", [([1.0, 2.0], [3.0, 5.0]), ([1.0, 2.0],)], ids=["two rows", "one row"])
def test_a_model_whose_answers_depend_on_their_neighbours_is_found_at_the_start(
    predict: Any, is_joined: bool, sample: Any
) -> None:
    model = modelled(predict, NUMBERS, sample)
    warm_up(model, Pace().learn)
    assert model.is_joined is is_joined


def test_a_users_class_without_a_sample_is_not_joined() -> None:
    model = modelled(sums)
    warm_up(model, Pace().learn)
    assert not model.is_joined


def test_the_cost_line_is_known_before_the_first_caller() -> None:
    pace = Pace()
    warm_up(modelled(sums, NUMBERS, ([1.0, 2.0], [3.0, 5.0])), pace.learn)
    assert 0 < pace.expected_s(1) < 0.01


def test_the_cost_line_tells_calls_from_rows_and_follows_what_changes() -> None:
    pace = Pace()
    assert (pace.expected_s(1), pace.worth_joining()) == (float("inf"), 1)
    for rows in (1, 64, 8, 1, 32):
        pace.learn(rows, 0.004 + 0.0001 * rows)
    assert [pace.call_s, pace.row_s] == pytest.approx([0.004, 0.0001])
    assert pace.worth_joining() == pytest.approx(320, abs=1)
    for _ in range(60):
        pace.learn(1, 0.020)
    assert pace.expected_s(1) == pytest.approx(0.020, rel=0.05)
    steady = Pace()
    for _ in range(20):
        steady.learn(10, 0.010)
    assert steady.worth_joining() > 1


def test_a_joined_call_is_not_made_longer_than_its_callers_can_wait_but_gains_half_of_what_it_could() -> None:
    pace = Pace()
    for rows in (1, 64, 8):
        pace.learn(rows, 0.1 + 0.01 * rows)
    assert pace.worth_joining() == pytest.approx(80, abs=1)
    assert pace.worth_joining(longest_s=0.3) == pytest.approx(20, abs=1)
    assert pace.worth_joining(longest_s=0.05) == pytest.approx(10, abs=1)


def test_one_long_stall_of_the_machine_changes_nothing_and_a_model_that_became_slow_is_known_at_the_second_call() -> None:
    pace = Pace()
    for _ in range(40):
        pace.learn(1, 0.001)
        pace.learn(20, 0.002)
    known = pace.expected_s(1), pace.worth_joining()
    pace.learn(10, 30.0)
    assert (pace.expected_s(1), pace.worth_joining()) == known
    pace.learn(1, 0.2)
    assert pace.expected_s(1) > 0.01


def test_stalls_do_not_end_joining() -> None:
    pace = Pace()
    for _ in range(20):
        pace.learn(1, 0.005)
    for _ in range(2):
        pace.learn(2, 0.060)  # the machine did something else for a while
    assert pace.worth_joining() == 1
    for _ in range(60):
        rows = min(64, pace.worth_joining())
        pace.learn(rows, 0.005 + 0.00005 * rows)
    assert pace.worth_joining() >= 64


def test_a_slow_models_calls_run_in_the_thread_and_join_while_one_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    crowd = Crowd(modelled(sums), 6, is_quick=False)
    pace = crowd.engine.queue(crowd.model).pace
    pace.learn(1, 0.001)
    monkeypatch.setattr(pace, "learn", lambda rows, seconds: None)  # a halt in the first call would end joining
    crowd.send(*[ask(row) for row in ROWS[:3]])
    crowd.turn()
    for connection, row in zip(crowd.connections[3:], ROWS[3:6], strict=True):
        connection.data_received(ask(row))
    for _ in range(2000):
        crowd.turn()
        if len(crowd.answers()) == 6:
            break
        crowd.engine._thread.join(0.001)  # type: ignore[union-attr]
    assert crowd.predictions() == [[index + 0.5] for index in range(6)]
    assert crowd.sizes == [3, 3]


def test_who_waits_for_a_running_call_has_an_end_of_time_whatever_those_behind_ask_for() -> None:
    crowd = Crowd(modelled(sums), 2)
    crowd.engine.queue(crowd.model).is_running = True
    crowd.send(ask([1, 1]), ask([2, 2]))
    (first,), (second,) = (connection._turns for connection in crowd.connections)
    second.request.timeout_s = 0.5
    crowd.engine._time(second)
    crowd.turn()
    assert first.timer is not None


class Asked(Job):
    """One row; notes whose turn it was."""

    def __init__(self, model: ServedModel, turns: list[ServedModel]) -> None:
        super().__init__()
        request = Request("POST", "/predict", {}, "1", started=time.perf_counter())
        self.call = Call(request, model, model.prepare([[1.0, 2.0]]), lambda answer: Response(200, b""))
        self._turns = turns

    def done(self, response: Response) -> None:
        self._turns.append(self.call.model)


def test_a_model_that_is_asked_much_leaves_time_for_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "INLINE_S", 1e-9)  # one call a turn
    much, seldom = modelled(sums), modelled(sums)
    much.is_joined = False
    turns: list[ServedModel] = []
    both = Crowd(much, 0).engine
    for model in (much, much, seldom):
        both.submit(Asked(model, turns))
    for _ in range(4):
        both.submit(Asked(much, turns))
        both.flush()
    assert turns == [much, much, seldom, much]


def test_no_answer_is_swapped_whatever_comes_together() -> None:
    crowd = Crowd(modelled(sums), 40)
    takes_a_millisecond(crowd)
    draw = random.Random(5)
    for _ in range(12):
        rows = [[[draw.randint(0, 9999), draw.random()] for _ in range(draw.choice((1, 1, 1, 2, 7)))] for _ in range(40)]
        bad = set(draw.sample(range(40), draw.choice((0, 0, 1, 3))))
        for index in bad:
            rows[index][-1][0] = -1
        for transport in crowd.transports:
            transport.written = b""
        crowd.send(*[ask(*each) for each in rows])
        crowd.turn()
        for index, answer in enumerate(crowd.answers()):
            if index in bad:
                assert answer.status == 422
            else:
                assert answer.json["predictions"] == pytest.approx([sum(row) for row in rows[index]])
