"""Heads that are recognised without the parser mean what the parser would have made of them."""

from __future__ import annotations

import pytest
from wired import Wire, prediction, request

from mlship.server.http.repeated_heads import HEADS, Repeated


def known(wire: Wire) -> int:
    return len(wire.room.repeated._heads)


def test_a_head_that_comes_again_is_answered_like_the_first() -> None:
    wire = Wire().send(prediction(1), prediction(2), prediction(3), prediction(44), prediction(5))
    assert [answer.json["predictions"] for answer in wire.answers] == [[2], [4], [6], [88], [10]]
    assert len({answer.headers["x-request-id"] for answer in wire.answers}) == 5
    assert known(wire) == 2


def test_a_known_head_may_still_come_in_pieces_with_others_or_with_too_much() -> None:
    raw = prediction(1)
    wire = Wire()
    wire.room.entrance.is_free = lambda request: True  # type: ignore[method-assign]
    wire.send(raw)
    wire.send(raw[:50], raw[50:])
    wire.send(raw[:-3], raw[-3:])
    wire.send(raw + raw)
    wire.send(raw + b"BREW / HTTP/1.1\r\n\r\n")
    assert wire.statuses == [200] * 6 + [400]


@pytest.mark.parametrize(
    "raw",
    [
        request("GET", "/livez", "Connection: close"),
        b"GET /livez HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        request("GET", "/livez", "X-Request-Id: abc"),
        request("POST", "/predict", "Transfer-Encoding: chunked") + b"2\r\n{}\r\n0\r\n\r\n",
        request("POST", "/predict", "Expect: 100-continue", body=b"{}"),
        request("GET", "/livez", "X: " + "x" * 2000),
        request() + request(),
    ],
)
def test_only_the_plainest_heads_are_kept(raw: bytes) -> None:
    assert known(Wire().send(raw)) == 0


def test_what_is_kept_is_bounded() -> None:
    repeated = Repeated()
    for index in range(3 * HEADS):
        repeated.learn(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % index, "GET", b"/%d" % index, {"host": "a"})
    assert len(repeated._heads) <= HEADS
