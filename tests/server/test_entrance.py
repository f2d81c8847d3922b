"""Too much work is refused before its body is read; what nobody waits for is not computed; health is answered meanwhile."""

from __future__ import annotations

import time

import pytest
from wired import Wire, prediction, request

from mlship.server.batching import entrance
from mlship.server.batching.entrance import LONGEST_S, PARSE_S
from mlship.server.board import REASONS
from mlship.server.http.connection import Connection
from mlship.server.http.surplus import MOST, most_connections, newcomer
from mlship.server.messages import Request, Response

BROKEN = request("POST", "/predict", body=b"{")


def busy(rows: int) -> Wire:
    """A server whose model takes half a second a row, with so many requests waiting, each on its own connection."""
    wire = Wire()
    (model,) = wire.room.service.models.values()
    pace = wire.engine.queue(model).pace
    pace.learn(1, 0.5)
    pace.learn(2, 1.0)
    for _ in range(rows):
        wire.connection.data_received(prediction(1))
        assert wire.statuses == []
        wire.connect()
    return wire


def test_what_there_is_no_time_for_is_refused_before_its_body_is_read_and_the_connection_stays() -> None:
    wire = busy(rows=2)
    wire.connection.data_received(BROKEN)
    (answer,) = wire.answers
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert answer.json["error"]["code"] == "overloaded"
    assert answer.json["error"]["message"] == (
        "there is work for 1.00 s before this request, which is more than it can wait for; try again"
    )
    assert (wire.transport.state, "connection" in answer.headers) == ("open", False)
    assert wire.slot.refusals()[0] == 1
    wire.loop.turn()  # the work is done
    assert wire.send(prediction(4)).statuses == [503, 200]


def test_refusals_of_one_turn_are_alike_but_for_their_ids() -> None:
    wire = busy(rows=2)
    wire.connection.data_received(BROKEN)
    wire.connection.data_received(request("POST", "/predict", "X-Request-Id: mine", body=b"{"))
    wire.connection.data_received(request("POST", "/predict", "X-Request-Timeout-Ms: 2000", body=b"{"))
    told = [answer.json for answer in wire.answers]
    ids = [document.pop("request_id") for document in told]
    assert ids == [answer.headers["x-request-id"] for answer in wire.answers]
    assert ids[1] == "mine" and told[0] == told[1] == told[2]
    assert [(answer.status, answer.headers["retry-after"]) for answer in wire.answers] == [(503, "1")] * 3
    assert wire.slot.refusals()[0] == 3


def test_a_refused_body_in_pieces_is_drained_and_the_next_request_read() -> None:
    wire = busy(rows=2)
    head, _, body = prediction(1).partition(b"\r\n\r\n")
    for part in (head + b"\r\n\r\n", body[:5], body[5:], request("GET", "/livez")):
        wire.connection.data_received(part)
    assert wire.statuses == [503, 200]


def test_health_and_metrics_are_answered_while_predictions_are_refused() -> None:
    wire = busy(rows=2)
    for path in ("/livez", "/readyz", "/metrics", "/mlship/release"):
        wire.connection.data_received(request("GET", path))
    assert wire.statuses == [200] * 4


def test_nothing_is_refused_where_nothing_waits() -> None:
    assert busy(rows=0).send(prediction(1)).statuses == [200]


def test_a_caller_with_little_time_is_refused_at_once() -> None:
    wire = busy(rows=1)
    wire.connection.data_received(prediction(1, "X-Request-Timeout-Ms: 900"))
    assert wire.statuses == [503]
    wire.connect()
    wire.connection.data_received(prediction(1, "X-Request-Timeout-Ms: 1900"))
    assert wire.statuses == []


def test_a_time_that_cannot_be_read_is_the_callers_mistake() -> None:
    (answer,) = Wire().send(prediction(1, "X-Request-Timeout-Ms: soon")).answers
    assert answer.status == 400
    assert answer.json["error"]["message"] == "X-Request-Timeout-Ms is 'soon'; write whole milliseconds, at least 1"


@pytest.mark.parametrize(
    ("fields", "aged_s", "said"),
    [
        ((), 2.5, "no answer within 2 s (serve.request_timeout)"),
        (("X-Request-Timeout-Ms: 300",), 0.0, "no answer within 0.3 s (X-Request-Timeout-Ms)"),
    ],
)
def test_work_that_comes_out_of_the_queue_too_late_is_not_computed(fields: tuple[str, ...], aged_s: float, said: str) -> None:
    wire = Wire()
    wire.connection.data_received(prediction(-2, *fields))  # computed, it would fail with 500
    (turn,) = wire.connection._turns
    turn.request.started -= aged_s
    if fields:
        flush, wire.loop.asked = wire.loop.asked, []
        wire.pass_time(0.4)
        wire.loop.asked = flush
    wire.loop.turn()
    (answer,) = wire.answers
    assert (answer.status, answer.json["error"]["message"]) == (504, said)
    assert wire.slot.refusals()[1] == 1


def test_a_turn_reads_for_a_while_and_the_rest_waits_its_turn_in_order() -> None:
    wire = Wire()
    wire.engine.began = time.perf_counter() - 2 * PARSE_S  # others have been read for so long
    wire.connection.data_received(prediction(1) + BROKEN + prediction(3) + request())
    assert wire.statuses == []
    wire.loop.turn()
    assert wire.statuses == [200, 400, 200, 200]


@pytest.mark.parametrize(("aged_s", "status", "refusal"), [(0.5, 400, None), (0.9, 503, "overload"), (2.1, 504, "deadline")])
def test_what_has_waited_too_long_to_be_read_leaves_its_time_to_those_behind(
    aged_s: float, status: int, refusal: str | None
) -> None:
    wire = Wire()
    wire.engine.began = time.perf_counter() - 2 * PARSE_S
    wire.connection.data_received(BROKEN)
    wire.connection._turns[0].request.started -= aged_s
    wire.loop.turn()
    assert wire.statuses == [status]
    assert ("retry-after" in wire.answers[0].headers) == (status == 503)
    assert wire.slot.refusals() == [float(reason == refusal) for reason in REASONS]


class Clock:
    """A machine's time, and what of it was computed."""

    now = used = 100.0

    def perf_counter(self) -> float:
        return self.now

    def thread_time(self) -> float:
        return self.used


@pytest.mark.parametrize(
    ("passed_s", "used_s", "cost_s"),
    [(0.3, 0.3, 0.3), (0.05, 0.0, 0.05), (1.5, 0.002, LONGEST_S)],
    ids=["a large body", "a model that waits", "a halted machine"],
)
def test_what_it_costs_to_read_large_bodies_is_learnt_but_not_from_a_halt(
    monkeypatch: pytest.MonkeyPatch, passed_s: float, used_s: float, cost_s: float
) -> None:
    wire, clock = Wire(), Clock()
    monkeypatch.setattr(entrance, "time", clock)

    class Large:
        request = Request("POST", "/predict", {}, "1", started=clock.now)

        def open(self) -> None:
            clock.now += passed_s
            clock.used += used_s

        def done(self, response: Response) -> None:
            raise AssertionError(response)

    waiting = entrance.Entrance(wire.loop, wire.engine, wire.slot, 2.0)
    waiting.wait(Large())
    wire.loop.turn()
    assert waiting._cost.each_s == pytest.approx(cost_s)


def test_what_waits_to_be_read_is_not_read_when_its_client_is_gone() -> None:
    wire = Wire()
    wire.engine.began = time.perf_counter() - 2 * PARSE_S
    wire.connection.data_received(prediction(1))
    wire.connection.connection_lost(None)
    opened: list[object] = []
    wire.room.app.open = lambda request: opened.append(request) or Response(200, b"")  # type: ignore[method-assign,func-returns-value]
    wire.loop.turn()
    assert opened == []


@pytest.mark.parametrize(("fields", "state"), [((), "closed"), (("Connection: close",), "open")])
def test_who_hangs_up_while_its_work_waits_is_gone_unless_it_said_that_it_would(fields: tuple[str, ...], state: str) -> None:
    wire = Wire()
    wire.connection.data_received(prediction(1, *fields))
    flush, wire.loop.asked = wire.loop.asked, []  # a later turn
    assert wire.connection.eof_received() is True
    wire.loop.turn()
    assert wire.transport.state == state
    if state == "open":
        wire.loop.asked = flush
        wire.loop.turn()
        assert wire.statuses == [200]


def test_who_hangs_up_with_its_request_gets_the_answer_of_this_turn() -> None:
    wire = Wire()
    wire.connection.data_received(prediction(1))
    assert wire.connection.eof_received() is True
    wire.loop.turn()
    assert (wire.statuses, wire.transport.state) == ([200], "closed")


def test_beyond_the_most_connections_health_is_answered_and_predictions_are_refused() -> None:
    wire = Wire()
    room = wire.room
    assert type(newcomer(room, most=2)) is Connection
    for raw, status in ((prediction(1), 503), (request("GET", "/livez"), 200)):
        wire.connect()
        extra = newcomer(room, most=1)
        extra.connection_made(wire.transport)
        extra.data_received(raw)
        wire.loop.turn()
        assert (wire.statuses, wire.transport.state) == ([status], "eof")
        assert wire.answers[0].headers["connection"] == "close"
    assert wire.slot.refusals()[REASONS.index("connections")] == 1
    assert 1 <= most_connections() <= MOST
