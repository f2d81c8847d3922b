"""What is refused again under a known head says, counts and logs what the long way does, and is never said where it does not hold."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

import pytest
from wired import Wire, prediction, request

from mlship.server.batching.admission import Backlog
from mlship.server.batching.entrance import SAME_S
from mlship.server.board import DRAINING, STATE
from mlship.server.http.answer_heads import ID_BYTES
from mlship.server.http.connection import WRITE_TIME
from mlship.server.http.quick_lane import LARGEST

LARGE = request("POST", "/predict", body=b'{"instances": [[1, null]]}' + b" " * LARGEST)


def refusing(raw: bytes, way: str) -> Wire:
    """One that has just refused the same request. way: `long`, or `quick`."""
    wire = Wire(max_body=100_000)
    wire.send(raw)  # its head is known now
    wire.engine.ease_s = -1.0
    vars(wire.engine)["backlog"] = lambda: Backlog(100, 50.0)
    wire.connect()
    wire.connection.data_received(raw)
    assert wire.statuses == [503]
    wire.connect()
    if way == "long":
        vars(wire.room.refusals)["again"] = lambda head: None
    else:
        vars(wire.connection)["_admit"] = None
    return wire


def told(wire: Wire) -> Any:
    """The answer but for its id and the second, and what was counted."""
    (answer,) = wire.answers
    document = dict(answer.json)
    assert document.pop("request_id") == answer.headers["x-request-id"]
    headers = {name: text for name, text in answer.headers.items() if name not in ("x-request-id", "date")}
    return answer.status, headers, document, wire.slot.refusals(), wire.slot.requests(wire.room.app.paths.index("/predict"))


@pytest.mark.parametrize("raw", [prediction(1), LARGE], ids=["small", "large"])
def test_it_is_told_and_counted_as_the_long_way_does(raw: bytes) -> None:
    seen = []
    for way in ("long", "quick"):
        wire = refusing(raw, way)
        wire.connection.data_received(raw)
        seen.append(told(wire))
        assert wire.connection.is_idle
    assert seen[0] == seen[1]
    assert seen[0][0] == 503


@pytest.mark.parametrize("raw", [prediction(1), LARGE], ids=["small", "large"])
@pytest.mark.parametrize("way", ["long", "quick"])
def test_who_reads_none_of_it_is_held_no_longer_than_any_other(raw: bytes, way: str) -> None:
    wire = refusing(raw, way)
    write = wire.transport.write

    def written_to_who_reads_nothing(data: bytes) -> None:
        write(data)
        wire.connection.pause_writing()

    vars(wire.transport)["write"] = written_to_who_reads_nothing
    wire.connection.data_received(raw)
    wire.pass_time(WRITE_TIME)
    assert (wire.transport.is_reading, wire.transport.state) == (False, "aborted")


def test_its_length_is_told_right_however_many_have_had_an_id_before() -> None:
    wire = refusing(prediction(1), "quick")
    wire.room.heads._number = 2**32
    wire.room.heads.new_second()
    wire.connection.data_received(prediction(1))
    (answer,) = wire.answers
    assert len(answer.headers["x-request-id"]) == ID_BYTES
    assert answer.headers["content-length"] == str(len(wire.transport.written.partition(b"\r\n\r\n")[2]))


def test_a_large_body_in_pieces_is_refused_when_it_is_whole() -> None:
    wire = refusing(LARGE, "quick")
    wire.connection.data_received(LARGE[:9000])
    assert wire.statuses == []
    wire.connection.data_received(LARGE[9000:])
    assert wire.statuses == [503]


def test_each_has_an_id_of_its_own_and_is_logged_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    wire = refusing(LARGE, "quick")
    lines: list[bytes] = []
    monkeypatch.setattr("mlship.server.monitoring.log.write", lambda descriptor, line: lines.append(line))
    wire.room.access.flush()
    lines.clear()
    wire.connection.data_received(LARGE)
    wire.connection.data_received(LARGE)
    ids = [answer.headers["x-request-id"] for answer in wire.answers]
    assert len(set(ids)) == 2
    wire.room.access.flush()
    logged = [json.loads(line) for line in b"".join(lines).splitlines()]
    assert [(line["request_id"], line["status"], line["route"], line["bytes_in"]) for line in logged] == [
        (each, 503, "/predict", len(LARGE) - LARGE.find(b"\r\n\r\n") - 4) for each in ids
    ]
    assert [line["bytes_out"] for line in logged] == [len(answer.body) for answer in wire.answers]


def test_an_answer_that_is_owed_goes_first() -> None:
    wire = refusing(prediction(1), "quick")
    del wire.connection._admit
    wire.connection.data_received(request("GET", "/livez") + prediction(1))
    wire.connection.data_received(prediction(1))
    assert wire.statuses == [200, 503, 503]


@pytest.mark.parametrize("ends", ["the work is done", "a while has passed", "the server is going"])
def test_it_is_not_said_where_it_does_not_hold(ends: str) -> None:
    wire = refusing(prediction(1), "quick")
    del wire.connection._admit
    if ends == "the work is done":
        wire.engine.settled += 1
        wire.engine.ease_s = 1.0
        assert wire.send(prediction(1)).statuses == [200]
    elif ends == "a while has passed":
        last = wire.room.entrance._last
        assert last is not None and 0 < last.until - time.perf_counter() <= SAME_S
        wire.room.entrance._last = replace(last, until=time.perf_counter())
        vars(wire.engine)["backlog"] = lambda: Backlog(1, 0.0)
        assert wire.send(prediction(1)).statuses == [200]
    else:
        wire.slot.cells[STATE] = DRAINING
        wire.connection.data_received(prediction(1))
        (answer,) = wire.answers
        assert (answer.status, answer.headers["connection"]) == (503, "close")


@pytest.mark.parametrize(
    ("method", "target", "headers", "is_known"),
    [
        ("POST", "/predict", {}, True),
        ("POST", "/predict", {"x-request-timeout-ms": "5"}, False),
        ("GET", "/livez", {}, False),
        ("POST", "/v2/models/demo/infer", {}, False),
        ("POST", "/nowhere", {}, False),
        ("POST", "/predict?a=1", {}, False),
    ],
)
def test_requests_with_words_or_a_time_of_their_own_go_the_long_way(
    method: str, target: str, headers: dict[str, str], is_known: bool
) -> None:
    assert (Wire().room.app.refused_as(method, target, headers) is not None) == is_known
