"""A large body under a head that is known passes the parser by, and is answered as if it had not."""

from __future__ import annotations

import random
from typing import Any

import pytest
from wired import Wire, prediction, request

from mlship.server.batching.admission import Backlog
from mlship.server.http.quick_lane import LARGEST
from mlship.server.http.reading import BODY_TIME

ROWS = 3000


def large(amount: float, *lines: str) -> bytes:
    """A request with so many rows, whose length is the same for every amount of one digit."""
    return request("POST", "/predict", *lines, body=b'{"instances": [%s]}' % b", ".join([b"[%g, null]" % amount] * ROWS))


def knowing() -> Wire:
    """A connection whose next request of that length has a head that is known."""
    wire = Wire(max_body=100_000).send(large(1))
    wire.transport.written = b""
    return wire


def predicted(wire: Wire) -> list[float]:
    answers = [answer.json["predictions"] for answer in wire.answers]
    assert all(len(rows) == ROWS and len(set(rows)) == 1 for rows in answers)
    return [rows[0] for rows in answers]


def test_it_may_come_whole_or_in_any_pieces_with_the_next_request_behind_it() -> None:
    draw, wire = random.Random(5), knowing()
    assert len(large(1)) > LARGEST
    raw = large(2) + large(3) + large(4)
    cuts = sorted(draw.sample(range(len(raw)), 12))
    wire.send(large(5), *(raw[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(raw)], strict=True)))
    wire.send(large(6)[:-7], large(6)[-7:] + prediction(7), large(8) + prediction(9))
    sizes = [len(answer.json["predictions"]) for answer in wire.answers]
    assert sizes == [ROWS] * 5 + [1, ROWS, 1]
    assert [answer.json["predictions"][0] for answer in wire.answers] == [10, 4, 6, 8, 12, 14, 16, 18]


def test_the_parser_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    wire, raw = knowing(), large(2)
    monkeypatch.setattr(wire.connection, "_parser", None)
    assert predicted(wire.send(raw[:20_000], raw[20_000:], raw)) == [4, 4]


def test_a_head_is_known_although_its_body_came_after_it() -> None:
    wire, raw = Wire(max_body=100_000), large(2)
    wire.send(raw[:300], raw[300:])
    wire.connection._parser = None
    assert predicted(wire.send(raw)) == [4, 4]


def test_what_is_refused_is_never_put_together(monkeypatch: pytest.MonkeyPatch) -> None:
    wire, raw = knowing(), large(2)
    seen: list[Any] = []
    wire.engine.ease_s = -1.0
    monkeypatch.setattr(wire.engine, "backlog", lambda: Backlog(100, 50.0))
    monkeypatch.setattr(wire.room.app, "open", seen.append)
    wire.send(raw[:20_000], raw[20_000:])
    (answer,) = wire.answers
    assert (answer.status, answer.headers["retry-after"], seen) == (503, "30", [])
    assert wire.connection.is_idle


def test_nobody_holds_what_has_been_read() -> None:
    wire, raw = knowing(), large(2)
    wire.send(raw[:20_000])
    assert not wire.connection.is_between
    wire.send(raw[20_000:])
    assert wire.connection._large is None
    assert wire.connection.is_idle


def test_one_that_comes_too_slowly_is_told_so() -> None:
    wire, raw = knowing(), large(2)
    wire.send(raw[:20_000])
    wire.pass_time(BODY_TIME + 10)
    assert (wire.statuses, wire.transport.state) == ([408], "eof")
    wire.connection.data_received(raw[20_000:])
    assert wire.statuses == [408]


def test_a_client_that_goes_in_the_middle_leaves_nothing() -> None:
    wire = knowing()
    wire.send(large(2)[:20_000])
    wire.connection.connection_lost(None)
    assert (wire.connection._large, wire.answers) == (None, [])


def test_a_head_that_ends_elsewhere_for_the_parser_is_not_kept() -> None:
    wire, raw = Wire(max_body=100_000), large(2)
    lenient = ("lenient_headers", "lenient_optional_cr_before_lf", "lenient_optional_lf_after_cr")
    wire.connection._parser.set_dangerous_leniencies(**dict.fromkeys(lenient, True))
    head, _, body = raw.partition(b"\r\n\r\n")
    strange = head.replace(b"\r\n", b"\n") + b"\n\n" + body
    wire.send(strange[:20_000], strange[20_000:])
    assert (predicted(wire), wire.room.repeated._heads) == ([4], {})


def test_empty_lines_before_a_request_are_no_head() -> None:
    wire, raw = Wire(max_body=100_000), b"\r\n\r\n" + large(2)
    wire.send(raw[:20_000], raw[20_000:])
    assert predicted(wire.send(large(3))) == [4, 6]
