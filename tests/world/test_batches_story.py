"""Requests that a real server computes together, over real sockets: one bad among 63 good ones, and callers who come and go."""

from __future__ import annotations

import json
import random
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from serving_models import Judged, judged_model

pytestmark = pytest.mark.world

CLIENTS = 64


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Judged:
    """A pipeline over DataFrames of which only the model knows the categories, one worker."""
    judged = judged_model("unchecked", tmp_path_factory.mktemp("models") / "unchecked")
    path = judged.folder / "manifest.json"
    document = json.loads(path.read_bytes())
    document["serving"]["workers"] = 1
    path.write_text(json.dumps(document))
    return judged


@pytest.fixture(scope="module")
def port(judged: Judged) -> Iterator[int]:
    with judged.server() as server:
        yield server.port
        assert not [line for line in server.errors if line["level"] == "error"]


def sent(rows: list[Any]) -> bytes:
    body = json.dumps({"instances": rows}).encode()
    head = f"POST /predict HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Client:
    """One kept connection. reads: one whole answer at a time."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._read = b""

    def send(self, raw: bytes) -> None:
        self._socket.sendall(raw)

    def answer(self) -> tuple[int, Any]:
        while b"\r\n\r\n" not in self._read:
            self._more()
        head, _, rest = self._read.partition(b"\r\n\r\n")
        fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
        size = int(fields[b"content-length"])
        while len(self._read) - len(head) - 4 < size:
            self._more()
        rest = self._read[len(head) + 4 :]
        self._read = rest[size:]
        return int(head.split()[1]), json.loads(rest[:size])

    def close(self) -> None:
        self._socket.close()

    def _more(self) -> None:
        part = self._socket.recv(65536)
        assert part, "the server closed the connection"
        self._read += part


def batch_sizes(port: int) -> tuple[float, float]:
    """Rows and calls of the model so far."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        text = b"".join(iter(lambda: client.recv(65536), b"")).decode()
    told = {line.split("{")[0]: float(line.split()[-1]) for line in text.splitlines() if line.startswith("mlship_batch_rows_")}
    return told["mlship_batch_rows_sum"], told["mlship_batch_rows_count"]


def test_an_unknown_category_among_63_good_requests_is_refused_alone(judged: Judged, port: int) -> None:
    clients = [Client(port) for _ in range(CLIENTS)]
    rows_before, calls_before = batch_sizes(port)
    for turn in range(6):
        bad = (turn * 11) % CLIENTS
        for index, client in enumerate(clients):
            row = judged.rows[(turn + index) % len(judged.rows)]
            client.send(sent([{**row, "city": "Atlantis"}] if index == bad else [row]))
        for index, client in enumerate(clients):
            status, answer = client.answer()
            if index == bad:
                (problem,) = answer["error"]["problems"]
                assert (status, problem["row"]) == (422, 0)
                assert "Atlantis" in problem["message"]
                assert "city" in problem["message"] or "column 0" in problem["message"]
            else:
                at = (turn + index) % len(judged.rows)
                assert (status, answer["predictions"]) == (200, [judged.classes[at]])
                assert answer["probabilities"][0] == pytest.approx(judged.probabilities[at], rel=1e-9)
    rows, calls = batch_sizes(port)
    assert (rows - rows_before) / (calls - calls_before) > 2
    for client in clients:
        client.close()


def test_no_answer_is_swapped_among_callers_who_pipeline_come_and_go(judged: Judged, port: int) -> None:
    draw = random.Random(11)
    clients = [Client(port) for _ in range(CLIENTS)]
    for _ in range(25):
        owed: list[list[tuple[int, int]]] = []
        for client in clients:
            asked = [(draw.randrange(150), draw.choice((1, 1, 1, 2, 30))) for _ in range(draw.choice((1, 1, 2, 20)))]
            client.send(b"".join(sent(judged.rows[start : start + count]) for start, count in asked))
            owed.append(asked)
        for gone in draw.sample(range(CLIENTS), 6):
            clients[gone].close()
            clients[gone], owed[gone] = Client(port), []
        for client, asked in zip(clients, owed, strict=True):
            for start, count in asked:
                status, answer = client.answer()
                assert (status, answer["predictions"]) == (200, judged.classes[start : start + count])
                expected = [share for row in judged.probabilities[start : start + count] for share in row]
                assert [share for row in answer["probabilities"] for share in row] == pytest.approx(expected, rel=1e-9)
    for client in clients:
        client.close()
