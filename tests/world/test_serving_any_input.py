"""No input gives a trace or a 5xx: hypothesis against a real server, always the same examples."""

from __future__ import annotations

import contextlib
import itertools
import json
import signal
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serving_models import CITIES, Judged, Server, judged_model

BOUNDED = settings(
    derandomize=True, database=None, deadline=None, max_examples=120,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
TARGETS = (
    "/predict", "/invocations", "/ping", "/livez", "/readyz", "/schema", "/openapi.json", "/docs", "/metrics", "/mlship/release",
    "/v2", "/v2/health/ready", "/v2/models/unchecked", "/v2/models/unchecked/infer", "/v1/models/unchecked", "/score", "/version",
    "/v1/models/unchecked:predict", "/v2/models/unchecked/versions/1/infer",
)  # fmt: skip
TYPES = (
    "application/json", "text/csv", "text/csv; header=present", "application/jsonlines", "application/x-npy", "text/plain",
    "application/x-www-form-urlencoded", "application/octet-stream", "application/json; charset=latin-1", "multipart/form-data", "",
)  # fmt: skip

numbers = st.one_of(
    st.integers(), st.integers(-(10**400), 10**400), st.floats(),
    st.sampled_from((0, -0.0, 1e308, -1e308, 5e-324, 2**53, 2**64, -(2**63) - 1)),
)  # fmt: skip
scalars = st.one_of(st.none(), st.booleans(), numbers, st.text(max_size=20), st.sampled_from(CITIES))
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
)
rows = st.one_of(
    st.fixed_dictionaries({"age": scalars, "fee": scalars, "city": scalars}),
    st.fixed_dictionaries({"age": numbers, "fee": numbers, "city": st.sampled_from(CITIES)}),
    st.tuples(numbers, numbers, st.sampled_from(CITIES)).map(list),
    st.dictionaries(st.sampled_from(("age", "fee", "city", "x")), values, max_size=4),
    values,
)
envelopes = st.sampled_from(
    ("instances", "inputs", "dataframe_records", "dataframe_split", "input_data", "mlship", "signature_name", "parameters", "params",
     "outputs", "id", "columns", "index", "data")
)  # fmt: skip
tensors = st.fixed_dictionaries(
    {"name": st.sampled_from(("age", "fee", "city", "input-0")), "shape": st.lists(st.integers(-2, 2**40), max_size=3),
     "datatype": st.sampled_from(("FP64", "FP32", "BYTES", "INT64", "BOOL", "NONE")), "data": values},
)  # fmt: skip
documents = st.one_of(
    st.lists(rows, max_size=3).map(lambda made: {"instances": made}),
    st.lists(tensors, max_size=3).map(lambda made: {"inputs": made}),
    st.lists(rows, max_size=3).map(lambda made: {"dataframe_split": {"columns": ["age", "fee", "city"], "data": made}}),
    st.lists(rows, max_size=3).map(
        lambda made: {"input_data": {"columns": ["age", "fee", "city"], "index": [0], "data": made}}
    ),
    st.dictionaries(envelopes, st.lists(rows, max_size=2) | values, max_size=3),
    values,
)
finite = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False), st.integers(-(2**63), 2**64), st.sampled_from((0, -0.0, 5e-324))
)
plausible = st.lists(st.tuples(finite, finite, st.sampled_from(CITIES) | st.text(max_size=5)).map(list), min_size=1, max_size=4)


def columns_v2(made: list[list[Any]]) -> dict[str, Any]:
    """Open Inference Protocol: a tensor for each column."""
    kinds = {"age": "FP64", "fee": "FP64", "city": "BYTES"}
    columns = zip(kinds.items(), zip(*made, strict=True), strict=True)
    return {"inputs": [{"name": n, "datatype": k, "shape": [len(made)], "data": list(data)} for (n, k), data in columns]}


def named(made: list[list[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(("age", "fee", "city"), row, strict=True)) for row in made]


def split(made: list[list[Any]]) -> dict[str, Any]:
    return {"columns": ["age", "fee", "city"], "data": made}


# what each protocol takes: most of these reach the model, with numbers that it never saw
SPOKEN: tuple[tuple[str, Any], ...] = (
    ("/predict", lambda made: {"instances": made}),
    ("/predict", lambda made: {"instances": named(made)}),
    ("/invocations", lambda made: {"dataframe_split": split(made)}),
    ("/invocations", lambda made: {"dataframe_records": named(made)}),
    ("/invocations", lambda made: {"instances": named(made)}),
    ("/v1/models/unchecked:predict", lambda made: {"instances": named(made)}),
    ("/v2/models/unchecked/infer", columns_v2),
    ("/score", lambda made: {"input_data": split(made)}),
)
spoken = st.tuples(st.sampled_from(SPOKEN), plausible).map(lambda pair: (pair[0][0], json.dumps(pair[0][1](pair[1])).encode()))
csv_cells = st.one_of(
    st.sampled_from(("1", "-1e400", "nan", "Rome", '"', "", "age", "fee", "city", "0x1")), st.text(max_size=6)
)
tables = st.lists(st.lists(csv_cells, max_size=4).map(",".join), max_size=4).map("\n".join)
bodies = st.one_of(
    documents.map(lambda value: json.dumps(value).encode()),
    documents.map(lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")),
    st.lists(values, max_size=3).map(lambda made: b"\n".join(json.dumps(value).encode() for value in made)),
    tables.map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.binary(max_size=200),
)
tokens = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=20)
names = st.sampled_from(
    ("Accept", "X-Request-Id", "Content-Encoding", "Expect", "Connection", "Upgrade", "Authorization", "Inference-Header-Content-Length",
     "X-Request-Timeout-Ms", "X-Amzn-SageMaker-Custom-Attributes", "Range", "Cookie", "Content-Type", "Content-Length", "Host")
) | tokens  # fmt: skip
fields = st.binary(max_size=30).map(lambda raw: raw.replace(b"\r", b" ").replace(b"\n", b" ")) | st.sampled_from(
    (
        b"application/json",
        b"text/csv",
        b"*/*;q=0",
        b"-1",
        b"0",
        b"99999999999999999999",
        b"1e5",
        b"nan",
        b"gzip",
        b"100-continue",
        b"close",
    )
)
targets = st.one_of(
    st.sampled_from(TARGETS),
    st.tuples(st.sampled_from(TARGETS), st.text(max_size=10)).map("".join),
    st.sampled_from(
        ("*", "http://x/predict", "//predict", "/predict?" + "a" * 300, "/%00", "/%", "/../predict", "/v2/models//infer")
    ),
    st.text(max_size=20),
)
methods = st.sampled_from(("POST", "POST", "POST", "GET", "HEAD", "PUT", "OPTIONS", "DELETE", "PATCH", "CONNECT", "TRACE"))


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Judged:
    return judged_model("unchecked", tmp_path_factory.mktemp("judged") / "unchecked")


@pytest.fixture(scope="module")
def server(judged: Judged) -> Iterator[Server]:
    with judged.server() as running:
        yield running
        running.signal(signal.SIGTERM)
        running.event("stopped", 60)
        # errors are what failed in our code; warnings tell of workers that died or did not drain
        failures = [line for line in running.errors if line["level"] != "info"]
        assert failures == [], failures[:3]


@BOUNDED
@given(body=bodies, target=st.sampled_from(TARGETS), kind=st.sampled_from(TYPES))
def test_no_body_gives_a_trace(server: Server, body: bytes, target: str, kind: str) -> None:
    head = f"POST {target} HTTP/1.1\r\nHost: judge\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    assert_answered_well(server, [head.encode() + body])


@BOUNDED
@given(asked=spoken)
def test_no_value_gives_a_trace(server: Server, asked: tuple[str, bytes]) -> None:
    target, body = asked
    head = f"POST {target} HTTP/1.1\r\nHost: judge\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    assert_answered_well(server, [head.encode() + body])


@BOUNDED
@given(method=methods, target=targets, headers=st.lists(st.tuples(names, fields), max_size=5), body=bodies)
def test_no_head_gives_a_trace(server: Server, method: str, target: str, headers: list[tuple[str, bytes]], body: bytes) -> None:
    lines = b"".join(name.encode() + b": " + value + b"\r\n" for name, value in headers)
    first = (
        f"{method} ".encode()
        + target.encode("utf-8", "surrogatepass").replace(b"\r", b"").replace(b"\n", b"")
        + b" HTTP/1.1\r\n"
    )
    length = f"Content-Length: {len(body)}\r\n\r\n".encode()
    assert_answered_well(server, [first + b"Host: judge\r\n" + lines + length + body])


@BOUNDED
@given(body=bodies, cuts=st.lists(st.integers(0, 300), max_size=6), data=st.data())
def test_no_chunking_gives_a_trace(server: Server, body: bytes, cuts: list[int], data: st.DataObject) -> None:
    head = b"POST /predict HTTP/1.1\r\nHost: judge\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    places = sorted({0, len(body), *(cut for cut in cuts if cut < len(body))})
    parts = [body[start:stop] for start, stop in itertools.pairwise(places)]
    wire = head + b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    if data.draw(st.booleans()):  # one byte of it is wrong
        place = data.draw(st.integers(0, len(wire) - 1))
        wire = wire[:place] + data.draw(st.binary(max_size=2)) + wire[place + 1 :]
    cut = data.draw(st.integers(0, len(wire)))
    assert_answered_well(server, [wire[:cut], wire[cut:]])


@BOUNDED
@given(tensor=tensors, size=st.integers(-1, 40), length=st.integers(-2, 300) | st.none(), rest=st.binary(max_size=60))
def test_no_binary_tensor_gives_a_trace(
    server: Server, tensor: dict[str, Any], size: int, length: int | None, rest: bytes
) -> None:
    described = {**tensor, "parameters": {"binary_data_size": size}}
    del described["data"]
    head = json.dumps(
        {"inputs": [described], "outputs": [{"name": "predictions", "parameters": {"binary_data": True}}]}
    ).encode()
    told = len(head) if length is None else length
    fields = f"Inference-Header-Content-Length: {told}\r\nContent-Length: {len(head) + len(rest)}\r\n\r\n"
    first = "POST /v2/models/unchecked/infer HTTP/1.1\r\nHost: judge\r\nContent-Type: application/octet-stream\r\n"
    assert_answered_well(server, [(first + fields).encode() + head + rest])


@BOUNDED
@given(raw=st.binary(max_size=300))
def test_no_bytes_give_a_trace(server: Server, raw: bytes) -> None:
    assert_answered_well(server, [raw])


def assert_answered_well(server: Server, parts: list[bytes]) -> None:
    for status, body in statuses_and_bodies(said(server.port, parts)):
        assert status < 500, (status, body)
        assert b"Traceback" not in body and b'File "' not in body, body
        if status >= 400 and body:
            assert json.loads(body)["error"], body


def said(port: int, parts: list[bytes]) -> bytes:
    """All that the server says until it closes; a server that neither answers nor closes fails the test."""
    came = b""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client, contextlib.suppress(ConnectionError):
        for part in parts:
            client.sendall(part)
        client.shutdown(socket.SHUT_WR)
        while more := client.recv(65536):
            came += more
    return came


def statuses_and_bodies(raw: bytes) -> list[tuple[int, bytes]]:
    """Of answers that follow each other; an answer to HEAD has a length and no body."""
    found: list[tuple[int, bytes]] = []
    while raw.startswith(b"HTTP/1.1 "):
        head, _, rest = raw.partition(b"\r\n\r\n")
        fields: dict[bytes, Any] = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        size = 0 if rest.startswith(b"HTTP/1.1 ") else int(fields.get(b"content-length", 0))
        found.append((int(head[9:12]), rest[:size]))
        raw = rest[size:]
    assert not raw, raw[:200]
    return found
