"""Requests that wait for their turn's end in a lane are answered, counted and logged as those that go the long way."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import pytest
from crowd import Crowd, ask, modelled, sums
from served import Answer, answers
from wired import request

from mlship.server.batching.engine import FEW, TURN_S, Batching
from mlship.server.board import DRAINING, IN_FLIGHT, OF_STATUS, STATE, Board
from mlship.server.core import ServedModel
from mlship.server.http.quick_lane import TOGETHER
from mlship.server.http.surplus import Surplus
from mlship.server.monitoring import log

CLIENTS = 12


def knowing(model: ServedModel | None = None, clients: int = CLIENTS, **options: Any) -> Crowd:
    """Clients whose next request of one row, written in 32 bytes, has a head that is known."""
    crowd = Crowd(model or modelled(sums), clients, **options)
    crowd.engine.queue(crowd.model).pace.learn(1, 0.001)
    crowd.send(*[ask([1.5, 2.5])] * clients)
    crowd.turn()
    return forgetting(crowd)


def forgetting(crowd: Crowd) -> Crowd:
    for transport in crowd.transports:
        transport.written = b""
    crowd.sizes.clear()
    return crowd


def waiting(crowd: Crowd) -> int:
    lane = crowd.engine.queue(crowd.model).lane
    return lane.waiting if lane is not None else 0


def counted(crowd: Crowd) -> list[float]:
    """Answers of /predict by status."""
    return crowd.slot.requests(crowd.connections[0]._room.app.paths.index("/predict"))


def rows(count: int) -> list[bytes]:
    return [ask([index + 0.5, 2.5]) for index in range(count)]


def body(text: bytes) -> bytes:
    return request("POST", "/predict", "Content-Type: application/json", body=text.ljust(len(b'{"instances": [[1.5, 2.5]]}')))


def told(answer: Answer) -> tuple[int, Any]:
    document = answer.json
    document.pop("request_id", None)
    return answer.status, document


def test_a_turns_requests_are_one_call_of_the_model_and_each_gets_its_own_answer() -> None:
    crowd = knowing()
    crowd.send(*rows(9))
    assert waiting(crowd) == 9
    crowd.turn()
    assert crowd.sizes == [9]
    assert crowd.predictions() == [[index + 3.0] for index in range(9)]
    assert len({answer.headers["x-request-id"] for answer in crowd.answers()}) == 9
    assert waiting(crowd) == 0


def test_answers_are_the_same_by_the_lane_and_by_the_long_way_whatever_comes() -> None:
    draw = random.Random(3)
    texts = [
        *(b'{"instances": [[%g, 2.5]]}' % number for number in (0.5, 1.5, 7.25, -1, 3)),
        b'{"instances": [[1,2],[3,4]]}',
        b'{"instances": [[-1, 2]]}',
        b'{"instances": [[1, true]]}',
        b'{"instances": [[1, null]]}',
        b'{"instances": [[1, 2, 3]]}',
        b'{"instances": [[1, "f"]]}',
        b'{"instances": []}',
        b'{"instances": [[1, 1e999]]}',
        b'{"x": [',
        b']}',
        b'{"instances":[[1,2]]},{"a":1',
        b"{}",
        b"",
    ]  # fmt: skip
    quick, long = knowing(), knowing()
    for _ in range(40):
        sent = [body(draw.choice(texts)) for _ in range(CLIENTS)]
        for crowd in (forgetting(quick), forgetting(long)):
            for connection in crowd.connections if crowd is long else ():
                connection._may_wait = False
            crowd.send(*sent)
            crowd.turn()
        assert list(map(told, quick.answers())) == list(map(told, long.answers()))
    assert counted(quick) == counted(long)
    assert quick.slot.rows() == long.slot.rows()


def test_what_comes_before_and_after_in_the_same_turn_keeps_its_order() -> None:
    crowd = knowing()
    crowd.send(*rows(3), ask([1, 1], [2, 2], [3, 3], [4, 4]), *rows(2))
    assert waiting(crowd) == 0
    crowd.turn()
    assert crowd.sizes == [9]
    assert crowd.predictions() == [[3], [4], [5], [2, 4, 6, 8], [3], [4]]


def test_a_second_request_of_a_connection_follows_the_first() -> None:
    crowd = knowing(clients=2)
    crowd.send(*rows(2))
    crowd.connections[0].data_received(ask([9, 9]) + request())
    crowd.turn()
    first = answers(crowd.transports[0].written)
    assert [answer.json["predictions"] for answer in first[:2]] == [[3], [18]]
    assert [answer.status for answer in first] == [200, 200, 200]
    assert crowd.sizes == [3]


def test_who_is_gone_is_not_computed_and_who_has_shut_one_side_is_answered() -> None:
    crowd = knowing(clients=3)
    crowd.send(*rows(3))
    crowd.connections[0].connection_lost(None)
    crowd.connections[1].eof_received()
    crowd.turn()
    assert crowd.sizes == [2]
    assert crowd.predictions() == [[4], [5]]
    assert [transport.state for transport in crowd.transports] == ["open", "closed", "open"]


def test_a_connection_that_closes_is_not_written_to_nor_counted() -> None:
    crowd = knowing(clients=3)
    before = sum(counted(crowd))
    crowd.send(*rows(3))
    crowd.transports[1].state = "aborted"
    crowd.turn()
    assert crowd.predictions() == [[3], [5]]
    assert sum(counted(crowd)) == before + 2


def test_nothing_is_written_to_a_connection_that_is_lost_with_a_wrong_body_and_its_neighbours_are_answered() -> None:
    crowd = knowing(clients=3)
    crowd.send(body(b"{}"), *rows(2))
    crowd.transports[0].state = "aborted"
    crowd.connections[0].connection_lost(None)
    crowd.turn()
    assert crowd.transports[0].written == b""
    assert crowd.predictions() == [[3], [4]]


@pytest.mark.parametrize("text", [b'{"instances": [[-1, 2.5]]}', b"{}"], ids=["a row that is refused", "no rows"])
def test_a_refusal_is_not_written_to_a_connection_that_closes(text: bytes) -> None:
    crowd = knowing(clients=2)
    crowd.send(body(text))
    crowd.transports[0].state = "closed"
    crowd.turn()
    assert crowd.transports[0].written == b""


def test_a_row_that_the_model_refuses_alone_is_asked_once() -> None:
    crowd = knowing()
    crowd.send(body(b'{"instances": [[-1, 2.5]]}'))
    assert waiting(crowd) == 1
    crowd.turn()
    assert crowd.sizes == [1]
    assert [answer.status for answer in crowd.answers()] == [422]


def test_the_only_client_is_answered_at_once_and_with_a_second_one_at_the_end_of_the_turn() -> None:
    crowd = knowing(clients=1)
    for _ in range(2):
        crowd.send(*rows(1))
        assert crowd.predictions() == [[3]]
    crowd.send(body(b'{"instances": [[-1, 2.5]]}'))
    answered = answers(crowd.transports[0].written)
    assert [answer.status for answer in answered] == [200, 200, 422]
    assert sum(counted(crowd)) == 4
    crowd.turn()
    assert crowd.sizes == [1, 1, 1]
    two = knowing(clients=2)
    two.send(*rows(1))
    assert two.answers() == []


@pytest.mark.parametrize("clients", [1, 3])
def test_a_model_that_is_no_quick_one_is_asked_in_its_thread(clients: int) -> None:
    crowd = knowing(clients=clients)
    crowd.engine._is_quick = lambda seconds: False  # type: ignore[method-assign]
    crowd.send(*rows(clients))
    for _ in range(2000):
        crowd.turn()
        if len(crowd.answers()) == clients:
            break
        crowd.engine._thread.join(0.001)  # type: ignore[union-attr]
    assert crowd.predictions() == [[3], [4], [5]][:clients]


def test_what_is_too_much_for_one_call_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    crowd = knowing(batching=Batching(max_rows=2))
    pace = crowd.engine.queue(crowd.model).pace
    monkeypatch.setattr(pace, "learn", lambda rows, seconds: None)  # a halt in the first call would end joining
    monkeypatch.setattr(pace, "call_s", 0.001)
    monkeypatch.setattr(pace, "row_s", 0.0)
    crowd.send(*rows(5))
    crowd.turn()
    assert crowd.sizes == [2, 2, 1]


@pytest.mark.parametrize("batching", [Batching(max_delay_s=0.05)], ids=["a delay"])
def test_where_calls_wait_for_others_none_waits_in_a_lane(batching: Batching) -> None:
    crowd = knowing(batching=batching)
    crowd.send(*rows(5))
    assert waiting(crowd) == 0


def test_nothing_waits_unread_where_there_may_be_no_time_for_it() -> None:
    crowd = knowing()
    crowd.engine.ease_s = 0.0
    crowd.send(*rows(2))
    assert waiting(crowd) == 0


def test_a_server_that_drains_says_so_in_each_answer() -> None:
    crowd = knowing(clients=2)
    crowd.send(*rows(2))
    crowd.slot.cells[STATE] = DRAINING
    crowd.turn()
    assert [answer.headers["connection"] for answer in crowd.answers()] == ["close", "close"]


def test_beyond_the_most_connections_known_heads_are_refused_too() -> None:
    crowd = knowing(clients=1)
    surplus = Surplus(crowd.connections[0]._room)
    surplus.connection_made(crowd.transports[0])
    surplus.data_received(ask([1.5, 2.5]))
    crowd.turn()
    assert [answer.status for answer in crowd.answers()] == [503]


def test_each_request_has_its_line_in_the_access_log(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[bytes] = []
    monkeypatch.setattr(log, "write", lambda descriptor, text: lines.extend(text.splitlines()))
    crowd = knowing(clients=2)
    room = crowd.connections[0]._room
    room.access.share = 1.0
    crowd.send(*rows(2))
    crowd.turn()
    room.access.flush()
    logged = [json.loads(line) for line in lines]
    assert [line["request_id"] for line in logged] == [answer.headers["x-request-id"] for answer in crowd.answers()]
    assert [(line["route"], line["status"], line["rows"], line["bytes_in"]) for line in logged] == [
        ("/predict", 200, 1, 27)
    ] * 2


def test_answers_that_are_counted_at_once_are_counted_as_one_by_one() -> None:
    at_once, apart = Board(1, 2).slot(0), Board(1, 2).slot(0)
    now = 100.0
    started = sorted(now - second for second in (0.00005, 0.0002, 0.003, 0.003, 0.4, 99.0))
    at_once.count_answers(1, started, now)
    for began in started:
        apart.count_request(1, 200, now - began)
    assert at_once.requests(1) == apart.requests(1)
    assert at_once.latencies(1, 0) == pytest.approx(apart.latencies(1, 0))


def test_more_than_a_call_gains_from_are_answered_before_the_rest_is_read() -> None:
    crowd = knowing(clients=2 * FEW + 3)
    asked = wide(crowd)
    quickly(crowd, 1e-6)
    crowd.send(*asked)
    assert crowd.sizes == [FEW, FEW]
    assert waiting(crowd) == 3
    assert [len(transport.written) > 0 for transport in crowd.transports] == [True] * 2 * FEW + [False] * 3
    crowd.turn()
    assert crowd.sizes == [FEW, FEW, 3]
    assert crowd.predictions() == [[index + 103.0] for index in range(2 * FEW + 3)]
    assert counted(crowd)[OF_STATUS[200]] == 3 * (2 * FEW + 3)


def test_a_model_that_has_enough_leaves_the_others_to_wait_for_more() -> None:
    other = modelled(sums, name="other")
    crowd = knowing(clients=2 * FEW, other=other)
    asked = [ask([index + 100.5, 2.5], path=("/predict", "/predict/other")[index % 2]) for index in range(2 * FEW)]
    crowd.send(*asked)
    crowd.turn()
    forgetting(crowd)
    quickly(crowd, 1e-6)
    dear = crowd.engine.queue(other).pace
    dear.call_s, dear.row_s = 0.004, 0.0
    vars(dear)["learn"] = lambda rows, seconds: None
    loaded: Any = other.loaded
    loaded.sizes.clear()
    crowd.send(*asked)
    assert (crowd.sizes, loaded.sizes) == ([FEW], [])
    assert crowd.slot.cells[IN_FLIGHT] == FEW - 1
    crowd.turn()
    assert (crowd.sizes, loaded.sizes) == ([FEW], [FEW])
    assert crowd.predictions() == [[index + 103.0] for index in range(2 * FEW)]


def test_a_dear_call_is_shared_by_all_and_a_dear_row_waits_for_the_end_of_the_turn() -> None:
    for call_s, row_s in ((0.004, 0.0), (1e-6, 0.0005)):
        crowd = knowing(clients=2 * FEW)
        asked = wide(crowd)
        quickly(crowd, call_s, row_s)
        crowd.send(*asked)
        assert crowd.sizes == []
        crowd.turn()
        assert sum(crowd.sizes) == 2 * FEW


def test_a_turn_that_reads_for_long_is_answered_at_its_end() -> None:
    crowd = knowing(clients=2 * FEW)
    asked = wide(crowd)
    quickly(crowd, 1e-6)
    crowd.send(asked[0])
    crowd.engine._turn_began -= TURN_S
    for connection, raw in zip(crowd.connections[1:], asked[1:], strict=True):
        connection.data_received(raw)
    assert crowd.sizes == []
    crowd.turn()
    assert crowd.sizes == [2 * FEW]


def test_bodies_that_are_long_together_are_answered_before_the_rest_is_read() -> None:
    crowd = knowing(clients=30)
    quickly(crowd, 1e-6)
    raw = request("POST", "/predict", "Content-Type: application/json", body=b'{"instances": [[1.5, 2.5]]}' + b" " * 12_000)
    for _ in range(2):
        crowd.send(*[raw] * 30)
        crowd.turn()
    forgetting(crowd)
    crowd.send(*[raw] * 30)
    assert crowd.sizes == [TOGETHER // 12_027 + 1]
    crowd.turn()
    assert sum(crowd.sizes) == 30
    forgetting(crowd)
    crowd.engine.queue(crowd.model).pace.call_s = 0.004  # worth waiting for more
    crowd.send(*[raw] * 30)
    crowd.turn()
    assert crowd.sizes == [30]


def test_what_goes_the_long_way_is_answered_with_the_lane_that_has_enough() -> None:
    crowd = knowing(clients=FEW + 1)
    asked = wide(crowd)
    quickly(crowd, 1e-6)
    crowd.send(ask([1.5, 2.5], [3.5, 4.5], [5.5, 6.5]), *asked[1:])
    crowd.turn()
    assert crowd.predictions() == [[4.0, 8.0, 12.0], *[[index + 103.0] for index in range(1, FEW + 1)]]


def test_a_turn_that_was_answered_in_between_reads_for_as_long_as_another() -> None:
    crowd = knowing(clients=FEW + 1)
    asked = wide(crowd)
    quickly(crowd, 1e-6)
    crowd.send(*asked[:FEW])
    assert crowd.engine.began == math.inf
    crowd.connections[FEW].data_received(ask([1.5, 2.5], [3.5, 4.5]))
    assert crowd.engine.began < math.inf
    crowd.turn()
    assert crowd.sizes == [FEW, 2]


def wide(crowd: Crowd) -> list[bytes]:
    """A request of each client, all under one head that is known from then on."""
    asked = [ask([index + 100.5, 2.5]) for index in range(len(crowd.connections))]
    crowd.send(*asked)
    crowd.turn()
    forgetting(crowd)
    return asked


def quickly(crowd: Crowd, call_s: float, row_s: float = 0.0) -> None:
    """A cost line that no busy machine changes."""
    pace = crowd.engine.queue(crowd.model).pace
    pace.call_s, pace.row_s = call_s, row_s
    vars(pace)["learn"] = lambda rows, seconds: None
    del crowd.engine._is_quick
