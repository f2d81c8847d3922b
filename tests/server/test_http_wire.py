# ruff: noqa: E501  tables read best with one case a line
"""HTTP on the wire, in memory: framing, pipelining, limits, time, and what must never happen to any bytes."""

from __future__ import annotations

import gc
import json
import re
import weakref

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from wired import Held, Wire, prediction, request

from mlship.server.http.connection import GRACE_TIME, IDLE_TIME, LINGER_TIME, PIPELINED, WRITE_TIME
from mlship.server.http.reading import BODY_TIME, HEAD_TIME

CHUNKED = "Transfer-Encoding: chunked"


def predictions(wire: Wire) -> list[float]:
    return [answer.json["predictions"][0] for answer in wire.answers]


def test_a_connection_is_kept_and_answers_come_in_order() -> None:
    wire = Wire().send(prediction(1), prediction(2), prediction(3))
    assert predictions(wire) == [2, 4, 6]
    assert wire.transport.state == "open"


def test_pipelined_requests_are_answered_in_order_also_when_the_model_is_slow() -> None:
    wire = Wire(engine=Held)
    wire.send(prediction(1) + request() + prediction(2) + request(path="/nowhere"))
    assert wire.answers == []
    wire.engine.finish()
    assert wire.statuses == [200, 200]
    wire.engine.finish()
    assert wire.statuses == [200, 200, 200, 404]


def test_reading_pauses_while_many_requests_wait_behind_a_slow_one() -> None:
    wire = Wire(engine=Held).send(prediction(1), *[request()] * PIPELINED)
    assert not wire.transport.is_reading
    wire.connection.pause_writing()
    wire.connection.resume_writing()
    assert not wire.transport.is_reading
    wire.engine.finish()
    assert wire.transport.is_reading
    assert len(wire.answers) == PIPELINED + 1


def test_one_packet_of_many_requests_is_answered_as_fast_as_its_client_reads() -> None:
    paths = [f"/{index}" for index in range(100)]
    wire = Wire()
    wire.connection.data_received(b"".join(request(path=path) for path in paths) + b"GET /las")
    assert (len(wire.answers), wire.transport.is_reading) == (PIPELINED, False)
    wire.connection.pause_writing()
    wire.loop.turn()
    assert len(wire.answers) == PIPELINED
    wire.connection.resume_writing()
    wire.loop.turn()
    assert (len(wire.answers), wire.transport.is_reading) == (100, True)
    assert wire.send(b"t HTTP/1.1\r\nHost: a\r\n\r\n").statuses == [404] * 101
    wire.pass_time(IDLE_TIME + 1)
    assert wire.transport.state == "closed"


def test_a_request_that_waited_for_room_is_asked_at_the_entrance_too() -> None:
    wire = Wire(engine=Held).send(prediction(1), *[request()] * (PIPELINED - 1))
    wire.send(prediction(2, "X-Request-Timeout-Ms: soon"))
    wire.engine.finish()
    assert wire.statuses == [200] * PIPELINED + [400]


def test_a_slow_second_request_does_not_cost_the_first_its_answer() -> None:
    wire = Wire(engine=Held).send(prediction(1), b"GET /li")
    wire.pass_time(HEAD_TIME + 1)
    wire.pass_time(1)
    wire.engine.finish()
    assert (wire.statuses, wire.transport.state) == ([200, 408], "eof")


def test_half_a_head_has_its_time_also_after_an_answer_that_was_read_slowly() -> None:
    wire = Wire(engine=Held).send(prediction(1), b"GET /li")
    wire.connection.pause_writing()
    wire.connection.resume_writing()
    wire.engine.finish()
    wire.pass_time(HEAD_TIME + 1)
    assert wire.statuses == [200, 408]


def test_work_of_a_client_that_is_gone_is_not_computed() -> None:
    wire = Wire(engine=Held).send(prediction(1))
    wire.connection.connection_lost(None)
    assert wire.engine.jobs[0].is_over


def test_nobody_holds_a_body_that_is_read() -> None:
    wire = Wire(max_body=100_000, engine=Held)
    body = b'{"instances": [%s]}' % b",".join([b"[1.5, null]"] * 2000)
    raw = request("POST", "/predict", body=body)
    wire.send(raw[:9000], raw[9000:])
    (job,) = wire.engine.jobs
    assert (job.call.request.body, job.call.request.size) == (b"", len(body))
    assert wire.connection._body == []
    wire.engine.finish()
    assert wire.statuses == [200]


def test_a_request_may_come_byte_by_byte() -> None:
    raw = prediction(4)
    assert predictions(Wire().send(*[raw[index : index + 1] for index in range(len(raw))])) == [8]


def test_a_chunked_body_is_put_together() -> None:
    head = request("POST", "/predict", CHUNKED)
    wire = Wire().send(head + b'b\r\n{"instances\r\n', b'10;x=y\r\n": [[4, null]]} \r\n0\r\nTrailer: x\r\n\r\n', request())
    assert wire.statuses == [200, 200]


def test_a_client_that_expects_to_be_told_is_told_to_go_on() -> None:
    head, _, body = prediction(1, "Expect: 100-continue").partition(b"\r\n\r\n")
    wire = Wire().send(head + b"\r\n\r\n")
    assert wire.transport.written == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert wire.send(body).statuses == [100, 200]


def test_a_body_that_comes_with_its_head_needs_no_100() -> None:
    assert Wire().send(prediction(1, "Expect: 100-continue")).statuses == [200]


def test_an_old_client_is_told_nothing_in_between() -> None:
    head = b"POST /predict HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 29\r\n\r\n"
    assert Wire().send(head).transport.written == b""


def test_another_expectation_is_refused() -> None:
    wire = Wire().send(request("POST", "/predict", "Expect: magic", body=b"{}"))
    assert (wire.statuses, wire.answers[0].json["error"]["message"]) == (
        [417],
        "the only expectation that can be met is 100-continue",
    )


def test_head_has_the_length_but_not_the_body() -> None:
    wire = Wire().send(request("HEAD"))
    assert wire.transport.written.endswith(b"content-length: 18\r\n\r\n")


def test_close_is_heeded_and_http_1_0_closes_unless_it_asks() -> None:
    wire = Wire().send(request("GET", "/livez", "Connection: close") + request())
    assert (wire.statuses, wire.answers[0].headers["connection"], wire.transport.state) == ([200], "close", "eof")
    old = Wire().send(b"GET /livez HTTP/1.0\r\n\r\n")
    assert (old.statuses, old.transport.state) == ([200], "eof")
    kept = Wire().send(b"GET /livez HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert (kept.answers[0].headers["connection"], kept.transport.state) == ("keep-alive", "open")


def test_a_target_may_have_the_form_that_proxies_send() -> None:
    wire = Wire().send(request("GET", "http://test/livez?x=1"), request("GET", "http://test"), request("OPTIONS", "*"))
    assert wire.statuses == [200, 404, 404]


def test_an_upgrade_is_answered_as_if_it_had_not_been_asked_for() -> None:
    wire = Wire().send(request("GET", "/livez", "Connection: Upgrade", "Upgrade: h2c") + b"PRI * HTTP/2.0")
    assert (wire.statuses, wire.transport.state) == ([200], "eof")
    assert Wire().send(b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\nbytes").statuses == [404]


AMBIGUOUS = {
    "both": request("POST", "/predict", "Content-Length: 3", CHUNKED) + b"0\r\n\r\n",
    "both, the other way": request("POST", "/predict", CHUNKED, "Content-Length: 3") + b"0\r\n\r\n",
    "two lengths": request("POST", "/predict", "Content-Length: 3", "Content-Length: 4") + b"abcd",
    "the same length twice": request("POST", "/predict", "Content-Length: 3", "Content-Length: 3") + b"abc",
    "a list of lengths": request("POST", "/predict", "Content-Length: 3, 3") + b"abc",
    "a signed length": request("POST", "/predict", "Content-Length: +3") + b"abc",
    "a negative length": request("POST", "/predict", "Content-Length: -3") + b"abc",
    "an endless length": request("POST", "/predict", "Content-Length: 99999999999999999999999") + b"abc",
    "another coding": request("POST", "/predict", "Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n",
    "an obscured coding": request("POST", "/predict", "Transfer-Encoding: xchunked") + b"0\r\n\r\n",
    "two codings": request("POST", "/predict", CHUNKED, CHUNKED) + b"0\r\n\r\n",
    "identity": request("POST", "/predict", "Transfer-Encoding: identity", "Content-Length: 2") + b"{}",
    "chunked in 1.0": b"POST /predict HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a space before the colon": b"GET /livez HTTP/1.1\r\nHost : a\r\n\r\n",
    "a folded line": b"GET /livez HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n",
    "bare line feeds": b"GET /livez HTTP/1.1\nHost: a\n\n",
    "a bare line feed at the end": b"GET /livez HTTP/1.1\r\nHost: a\r\n\n",
    "a bare line feed in a chunk": request("POST", "/predict", CHUNKED) + b"1\na\r\n0\r\n\r\n",
    "a bare carriage return": b"GET /livez HTTP/1.1\r\nHost: a\rX: b\r\n\r\n",
    "a zero byte": b"GET /livez HTTP/1.1\r\nHost: a\x00b\r\n\r\n",
    "no host": b"GET /livez HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /livez HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "two content types": request("POST", "/predict", "Content-Type: text/csv", "Content-Type: application/json", body=b"{}"),
    "another version": b"GET /livez HTTP/2.0\r\nHost: a\r\n\r\n",
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00",
    "a bad method": b"BREW /livez HTTP/1.1\r\nHost: a\r\n\r\n",
    "a bad target": "GET /é HTTP/1.1\r\nHost: a\r\n\r\n".encode(),
    "a bad chunk size": request("POST", "/predict", CHUNKED) + b"zz\r\n",
}


@pytest.mark.parametrize("raw", AMBIGUOUS.values(), ids=AMBIGUOUS.keys())
def test_what_can_be_read_in_two_ways_gets_one_400_and_a_closed_connection(raw: bytes) -> None:
    wire = Wire().send(raw + request("GET", "/smuggled"), request("GET", "/smuggled"))
    assert (wire.statuses, wire.transport.state) == ([400], "eof")
    answer = wire.answers[0]
    assert answer.headers["connection"] == "close"
    assert answer.json["error"]["code"] == "bad_request"
    assert answer.headers["x-request-id"] == answer.json["request_id"]
    assert answer.headers["x-mlship-release"] == "r1-aaaaaa"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no host", "the header host is missing"),
        ("another version", "HTTP/2.0 is not spoken here; send HTTP/1.1"),
        ("two hosts", "the header host is there twice"),
        ("chunked in 1.0", "a body needs either content-length or the transfer coding chunked, not both and no other coding"),
        ("both", "the request is not valid HTTP/1.1: "),
    ],
)
def test_a_refused_framing_says_why(name: str, message: str) -> None:
    assert Wire().send(AMBIGUOUS[name]).answers[0].json["error"]["message"].startswith(message)


def test_a_broken_request_behind_a_slow_one_waits_for_its_turn() -> None:
    wire = Wire(engine=Held).send(prediction(1) + b"BREW / HTTP/1.1\r\n\r\n")
    wire.engine.finish()
    assert (wire.statuses, wire.transport.state) == ([200, 400], "eof")


def test_a_body_that_is_announced_too_large_is_refused_before_it_comes() -> None:
    wire = Wire(max_body=1000).send(request("POST", "/predict", "Content-Length: 1001", "Expect: 100-continue"))
    assert (wire.statuses, wire.transport.state) == ([413], "eof")
    assert wire.answers[0].json["error"]["message"] == "the body is larger than 1000 bytes (serve.max_body)"
    assert wire.answers[0].json["error"]["code"] == "body_too_large"


def test_a_chunked_body_is_refused_where_it_becomes_too_large() -> None:
    wire = Wire(max_body=1000).send(request("POST", "/predict", CHUNKED), *[b"64\r\n" + b"x" * 100 + b"\r\n"] * 20)
    assert wire.statuses == [413]


def test_a_body_of_exactly_the_limit_is_taken() -> None:
    body = b'{"instances": [[1, null]]}'
    assert Wire(max_body=len(body)).send(request("POST", "/predict", body=body)).statuses == [200]


@pytest.mark.parametrize(
    ("raw", "status", "message"),
    [
        (request("GET", "/livez", *[f"X-{number}: y" for number in range(101)]), 431, "the headers are more than 100 or longer than 32768 bytes"),
        (request("GET", "/livez", "X: " + "y" * 33_000), 431, "the headers are more than 100 or longer than 32768 bytes"),
        (request("GET", "/" + "y" * 9000), 400, "the path is longer than 8192 bytes"),
        (request("POST", "/predict", CHUNKED) + b"1\r\n \r\n" * 20_001, 400, "the body has more than 20000 chunks"),
    ],
)  # fmt: skip
def test_heads_and_chunks_have_limits(raw: bytes, status: int, message: str) -> None:
    wire = Wire(max_body=100_000).send(raw)
    assert (wire.statuses, wire.answers[0].json["error"]["message"]) == ([status], message)


def test_a_header_that_never_ends_is_cut_off() -> None:
    wire = Wire().send(b"GET /livez HTTP/1.1\r\nX: ", *[b"y" * 10_000] * 4)
    assert wire.statuses == [431]
    assert wire.answers[0].json["error"]["message"] == "the head of the request is longer than 32768 bytes"


def test_many_requests_between_two_halves_of_heads_are_no_long_head() -> None:
    raw = request("GET", "/livez", "X: " + "y" * 1000) * 50
    wire = Wire()
    for piece in (raw[:20], raw[20:-20], raw[-20:]):
        wire.connection.data_received(piece)
        wire.loop.turn()
    assert wire.statuses == [200] * 50


@pytest.mark.parametrize(
    ("sent", "seconds", "statuses", "message"),
    [
        (b"GET /li", HEAD_TIME, [408], "the head of the request did not come within 10 s"),
        (request("POST", "/predict", "Content-Length: 5") + b"{", BODY_TIME, [408], "the body came too slowly"),
        (b"", HEAD_TIME, [], ""),
        (request(), IDLE_TIME, [200], ""),
    ],
)
def test_a_client_that_is_too_slow_is_let_go(sent: bytes, seconds: float, statuses: list[int], message: str) -> None:
    wire = Wire()
    if sent:
        wire.send(sent)
    wire.pass_time(seconds - 0.5)
    assert wire.transport.state == "open"
    wire.pass_time(1)
    assert wire.statuses == statuses
    assert wire.transport.state == ("eof" if message else "closed")
    if message:
        assert wire.answers[0].json["error"]["message"] == message
        assert wire.answers[0].json["error"]["code"] == "timeout"


def test_what_was_sent_in_time_is_answered_after_a_long_turn_of_the_loop() -> None:
    wire = Wire()
    wire.loop.now += 100
    wire.room.close_overdue()
    wire.send(request())
    wire.room.close_overdue()
    assert (wire.statuses, wire.transport.state) == ([200], "open")


def test_empty_lines_do_not_keep_a_connection() -> None:
    wire = Wire()
    for _ in range(int(HEAD_TIME) + 1):
        if wire.transport.state == "open":
            wire.send(b"\r\n").pass_time(1)
    assert wire.transport.state == "closed"


def test_drops_of_a_slow_body_do_not_buy_time() -> None:
    wire = Wire().send(request("POST", "/predict", "Content-Length: 500"))
    for _ in range(int(BODY_TIME) + 2):
        wire.pass_time(1)
        if wire.transport.state != "open":
            break
        wire.send(b" ")
    assert wire.statuses == [408]


@pytest.mark.parametrize(
    ("sent", "seconds"),
    [(b"GET /livez HTTP/1.1\r\nX: ", HEAD_TIME), (request("POST", "/predict", "Content-Length: 500"), BODY_TIME)],
)
def test_bytes_that_never_cease_buy_no_more_than_the_grace(sent: bytes, seconds: float) -> None:
    wire = Wire().send(sent)
    began = wire.loop.now
    while wire.transport.state == "open" and wire.loop.now < began + 100:
        wire.send(b" ")  # between any two looks at who is overdue
        wire.loop.now += 0.5
        wire.room.close_overdue()
    assert wire.statuses == [408]
    assert wire.loop.now <= began + seconds + GRACE_TIME + 1


def test_a_client_that_leaves_in_the_middle_leaves_nothing_behind() -> None:
    """The parser knows its connection: together they would wait for the collector of cycles, which seldom comes."""
    wire = Wire(max_body=100_000).send(request("POST", "/predict", "Content-Length: 50000") + b" " * 40_000)
    left = weakref.ref(wire.connection)
    gc.disable()
    try:
        wire.connection.connection_lost(None)
        del wire.connection
        assert left() is None
    finally:
        gc.enable()


def test_a_client_that_does_not_read_is_cut_off() -> None:
    wire = Wire().send(request())
    wire.connection.pause_writing()
    assert not wire.transport.is_reading
    wire.pass_time(WRITE_TIME + 1)
    assert wire.transport.state == "aborted"


def test_a_client_that_reads_again_is_kept() -> None:
    wire = Wire().send(request())
    wire.connection.pause_writing()
    wire.connection.resume_writing()
    assert wire.send(request()).statuses == [200, 200]


def test_what_a_refused_client_goes_on_sending_is_dropped_for_a_while() -> None:
    wire = Wire(max_body=10).send(request("POST", "/predict", "Content-Length: 5000"), b"x" * 5000)
    assert wire.transport.state == "eof"
    wire.pass_time(LINGER_TIME + 1)
    assert wire.transport.state == "aborted"


def test_a_refused_client_may_send_all_that_a_platform_hands_on_before_it_reads() -> None:
    size = 32 * 2**20  # Cloud Run's limit of a request
    wire = Wire(max_body=10).send(request("POST", "/predict", f"Content-Length: {size}"), *[bytes(2**20)] * 32)
    assert (wire.statuses, wire.transport.state) == ([413], "eof")
    assert wire.send(bytes(2**20), bytes(2**20), bytes(2**20)).transport.state == "aborted"


def test_a_half_closed_client_gets_its_answer() -> None:
    wire = Wire(engine=Held).send(prediction(1))
    assert wire.connection.eof_received() is True
    wire.engine.finish()
    assert (wire.statuses, wire.transport.state) == ([200], "closed")
    assert Wire().connection.eof_received() is False


def test_while_draining_all_that_has_come_is_answered_and_the_connection_closed() -> None:
    from mlship.server.board import DRAINING, STATE

    wire = Wire().send(prediction(1))
    wire.slot.cells[STATE] = DRAINING
    wire.send(prediction(2) + prediction(3))
    assert predictions(wire) == [2, 4, 6]
    assert [answer.headers.get("connection") for answer in wire.answers] == [None, None, "close"]
    assert wire.transport.state == "eof"
    wire.connect()
    wire.send(request("GET", "/readyz"))
    assert (wire.statuses, wire.answers[0].json) == ([503], {"status": "draining"})


BODIES = st.one_of(
    st.binary(max_size=300),
    st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["instances", "amount", "city", "x"]), inner, max_size=4),
        max_leaves=12,
    ).map(lambda value: json.dumps(value).encode()),
    st.lists(st.lists(st.none() | st.floats() | st.sampled_from(["Rome", "Oslo", ""]), max_size=3), max_size=4).map(
        lambda rows: json.dumps({"instances": rows}).encode()
    ),
)  # fmt: skip
TYPES = st.sampled_from(
    ["application/json", "text/csv", "application/jsonlines", "text/csv; header=present", "image/png", ";;", ""]
)


@settings(max_examples=60, deadline=None)
@given(path=st.sampled_from(["/predict", "/invocations"]), body=BODIES, kind=TYPES, accept=TYPES)
@example("/predict", b'{"instances": [["\\ud800", null]]}', "application/json", "")
@example("/predict", b'{"instances": [[NaN, "\\ud800"]]}', "application/json", "")
@example("/predict", b'{"instances": [[1' + b"0" * 500 + b", NaN]]}", "application/json", "")
@example("/invocations", b'"\xed\xa0\x80",1', "text/csv", "text/csv")
def test_no_body_gives_a_trace_or_a_server_error(path: str, body: bytes, kind: str, accept: str) -> None:
    wire = Wire(max_body=10_000).send(request("POST", path, f"Content-Type: {kind}", f"Accept: {accept}", body=body), request())
    assert len(wire.answers) == 2
    answer = wire.answers[0]
    assert answer.status in (200, 400, 406, 415, 422) or b'"predictions"' in answer.body
    assert b"Traceback" not in wire.transport.written
    if answer.status != 200:
        assert answer.json["error"]["message"]


@settings(max_examples=60, deadline=None)
@given(
    parts=st.lists(
        st.one_of(st.binary(max_size=200), st.sampled_from([request(), prediction(1), b"\r\n", *AMBIGUOUS.values()])),
        max_size=6,
    )
)
def test_no_bytes_break_a_connection(parts: list[bytes]) -> None:
    wire = Wire().send(*parts)
    assert re.search(rb"Traceback|HTTP/1.1 5", wire.transport.written) is None
    assert all(answer.headers.get("x-request-id") for answer in wire.answers if answer.status != 100)
