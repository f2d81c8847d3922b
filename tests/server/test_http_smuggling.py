"""Bytes that two readers could cut into requests differently: one 400, and the connection is closed.

The cases follow RFC 9112 (sections 2.2, 5.1, 6.1, 6.3, 7.1, 11.2) and the known ways of hiding one request in another.
"""

from __future__ import annotations

import pytest
from wired import Wire, request

CHUNKED = "Transfer-Encoding: chunked"
END = b"0\r\n\r\n"


def posted(*lines: str, sent: bytes = END) -> bytes:
    return request("POST", "/predict", *lines) + sent


def chunks(sent: bytes) -> bytes:
    return posted(CHUNKED, sent=sent)


LENGTHS = {
    f"the length {value!r}": posted(f"Content-Length: {value}", sent=b"a" * 16)
    for value in ("", "+3", "-3", "0x10", "1_0", "1 0", "3.0", "1e1", "3;", "3,", "3, 3", "\xb3", "3\x00", "9" * 30)
}
CODINGS = {
    f"the coding {value!r}": posted(f"Transfer-Encoding: {value}")
    for value in (
        "", "\x0bchunked", "chunked,", ",chunked", "chunked, chunked", "chunked, identity", "identity", "identity, chunked",
        "gzip, chunked", '"chunked"', "xchunked", "chunked;q=1", "chunked\x00", "\r\n chunked",
    )
}  # fmt: skip
BOTH = {
    "both": posted("Content-Length: 5", CHUNKED),
    "both, the other way": posted(CHUNKED, "Content-Length: 5"),
    "both in HTTP/1.0": b"POST /predict HTTP/1.0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + END,
    "a coding in HTTP/1.0": b"POST /predict HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n" + END,
    "two lengths": posted("Content-Length: 3", "Content-Length: 5"),
    "the same length twice": posted("Content-Length: 5", "Content-Length: 5"),
    "two codings": posted(CHUNKED, CHUNKED),
    "a coding with an underscore": posted("Transfer_Encoding: chunked", "Content-Length: 5"),
    "a length with an underscore": posted("Content_Length: 5", CHUNKED),
    "a coding beside what is expected": posted("Expect: 100-continue", CHUNKED, "Content-Length: 5"),
}
CHUNKS = {
    f"the chunk {sent[:12]!r}": chunks(sent + b"\r\n" + END)
    for sent in (
        b"0x1\r\na", b"+1\r\na", b"-1\r\na", b"1_0\r\n" + b"a" * 16, b" 1\r\na", b"1 \r\na", b"g\r\na", b"\r\na", b"1\na", b"1\r\nab",
        b"1;x\ny\r\na", b"1;x\ry\r\na", b"FFFFFFFFFFFFFFFFF\r\na",
    )
}  # fmt: skip
ENDS = {
    "a chunk that a line feed ends": chunks(b"1\r\na\n" + END),
    "a last chunk that a line feed ends": chunks(b"1\r\na\r\n0\n\n"),
    "a length in the trailer": chunks(b"1\r\na\r\n0\r\nContent-Length: 3\r\n\r\n"),
    "a coding in the trailer": chunks(b"1\r\na\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n"),
}
LINES = {
    f"the line {line!r}": b"GET /livez HTTP/1.1\r\nHost: a\r\n" + line + b"\r\n\r\n"
    for line in (
        b"Content-Length : 0", b"Transfer-Encoding : chunked", b"Content-Length\t: 0", b": x", b"X Y: x", b"X(: x", b"Content-Length",
        b" X: y", b"X: y\r", b"X: y\rZ: w", b"X: y\x00", b"Host: b",
    )
}  # fmt: skip
STARTS = {
    f"the start {start[:24]!r}": start
    for start in (
        b"GET /livez HTTP/1.1\nHost: a\n\n", b"GET /livez HTTP/1.1\r\nHost: a\n\r\n", b"GET /livez HTTP/1.1\r\n Host: a\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost:\r\n a\r\n\r\n", b"GET /livez http/1.1\r\nHost: a\r\n\r\n", b"GET /livez HTTP/1.2\r\nHost: a\r\n\r\n",
        b"GET /livez HTTP/1.10\r\nHost: a\r\n\r\n",
        b"GET /li vez HTTP/1.1\r\nHost: a\r\n\r\n", b"GET /li\x00vez HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /livez\r\n\r\n", b"GET\t/livez HTTP/1.1\r\nHost: a\r\n\r\n",
    )
}  # fmt: skip
CASES = {**LENGTHS, **CODINGS, **BOTH, **CHUNKS, **ENDS, **LINES, **STARTS}


@pytest.mark.parametrize("raw", CASES.values(), ids=CASES.keys())
def test_what_can_be_cut_in_two_ways_gets_one_400_and_a_closed_connection(raw: bytes) -> None:
    smuggled = request("GET", "/livez", "X-Request-Id: smuggled")
    for parts in ([raw + smuggled, smuggled], [raw[: len(raw) // 2], raw[len(raw) // 2 :], smuggled]):
        wire = Wire().send(*parts)
        assert (wire.statuses, wire.transport.state) == ([400], "eof")
        assert wire.answers[0].headers["connection"] == "close"


@pytest.mark.parametrize(
    "raw",
    [
        posted("Transfer-Encoding:\tchunked", sent=b'a\r\n{"a": 1}  \r\n' + END),
        posted("Content-Length: 010", sent=b'{"a": 1}  '),
        chunks(b'a;x=y;v="z"\r\n{"a": 1}  \r\n' + END),  # an extension is to be ignored: RFC 9112, 7.1.1
    ],
)
def test_what_reads_in_one_way_only_is_read(raw: bytes) -> None:
    wire = Wire().send(raw, request())
    assert wire.statuses == [400, 200]
    assert wire.answers[0].json["error"]["message"].startswith("the body lacks")


def test_what_stands_between_chunks_has_a_limit() -> None:
    wire = Wire(max_body=1000).send(request("POST", "/predict", CHUNKED), *[b"1;" + b"x" * 60_000] * 20)
    assert (wire.statuses, wire.answers[0].json["error"]["message"]) == (
        [400],
        "the chunks of the body have too much beside it",
    )


@pytest.mark.parametrize("kind", ["application/json", "application/jsonlines"])
@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"a":' * 20_000, b'{"instances": ' + b"[" * 50_000 + b"]" * 50_000 + b"}"])
def test_json_that_is_nested_too_deeply_is_refused(kind: str, body: bytes) -> None:
    (answer,) = Wire(max_body=200_000).send(request("POST", "/predict", f"Content-Type: {kind}", body=body)).answers
    assert answer.status == 400
    assert "depth limit exceeded" in answer.json["error"]["message"]
