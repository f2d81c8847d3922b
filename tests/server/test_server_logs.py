"""What the server writes down, and what it does when nobody reads it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest

from mlship.server.messages import Request
from mlship.server.monitoring import log
from mlship.server.monitoring.access_log import AccessLog
from mlship.server.monitoring.log import Allowance
from mlship.server.monitoring.write_behind import WAITING, Behind, pieces


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    lines: list[bytes] = []
    monkeypatch.setattr(log, "write", lambda descriptor, text: lines.extend(text.splitlines()))
    yield lines


def asked(number: int = 0) -> Request:
    return Request("POST", "/predict?key=hidden", {"authorization": "Bearer hidden"}, f"id-{number}", b'{"hidden": 1}', route=1)


def test_a_share_of_the_requests_is_logged(written: list[bytes]) -> None:
    access = AccessLog(0.25, ("other", "/predict"), "r1-abcdef")
    for number in range(100):
        access.record(asked(number), 200, 0.001, 10)
    access.flush()
    assert len(written) == 25 and b"hidden" not in b"".join(written)
    assert json.loads(written[0]) | {"time": "", "pid": 0} == {
        "time": "", "event": "request", "pid": 0, "release": "r1-abcdef", "request_id": "id-3", "method": "POST",
        "route": "/predict", "status": 200, "ms": 1.0, "bytes_in": 13, "bytes_out": 10, "rows": 0,
    }  # fmt: skip


def test_the_size_of_a_body_is_logged_that_was_let_go(written: list[bytes]) -> None:
    access = AccessLog(1.0, ("other", "/predict"), "r1-abcdef")
    request = asked()
    request.let_body_go()
    access.record(request, 200, 0.001, 10)
    access.flush()
    assert json.loads(written[0])["bytes_in"] == 13


def test_failures_are_logged_without_a_share_and_a_storm_of_them_is_cut(written: list[bytes]) -> None:
    access = AccessLog(0.0, ("other", "/predict"), "r1-abcdef")
    for number in range(10_000):
        access.record(asked(number), 503, 0.001, 10)
    access.flush()
    assert 100 <= len(written) < 200


def test_what_is_left_out_of_a_storm_is_counted() -> None:
    allowance = Allowance(2, 1.0)
    assert [allowance.takes(at) for at in (10.0, 10.0, 10.0, 10.1, 11.1, 11.2)] == [True, True, False, False, True, False]
    assert allowance.left_out == 3


def test_the_same_failure_again_and_again_does_not_fill_a_disk(written: list[bytes]) -> None:
    for _ in range(1000):
        log.failure("storm", ValueError("no"))
    assert log.AT_ONCE <= len(written) <= log.AT_ONCE + 2


def test_a_full_pipe_stops_nobody_and_what_was_lost_is_counted() -> None:
    reader, writer = os.pipe()
    behind = Behind(writer, lambda count: b"lost %d\n" % count)
    line = b"x" * 999 + b"\n"
    for _ in range(WAITING + 200):
        behind.put(line)  # a pipe takes 64 KiB; nobody reads
    with os.fdopen(reader, "rb") as reading:
        assert all(reading.readline() == line for _ in range(300))
        behind.put(b"last\n")
        rest = list(iter(reading.readline, b"last\n"))
    behind.close(1.0)
    os.close(writer)
    assert int(rest[-1].split()[1]) + 300 + len(rest) - 1 == WAITING + 200


def test_lines_of_several_processes_do_not_mix() -> None:
    lines = [bytes([65 + index % 26]) * (index * 37 % 1500) + b"\n" for index in range(200)] + [b"y" * 9000 + b"\n"]
    cut = list(pieces(b"".join(lines)))
    assert b"".join(cut) == b"".join(lines)
    assert all(piece.endswith(b"\n") and (len(piece) <= 4096 or piece.count(b"\n") == 1) for piece in cut)
