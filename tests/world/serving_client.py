"""A client that knows the right answer to each of its requests, and says what was wrong with the one that it got."""

from __future__ import annotations

import asyncio
import json
import random
from dataclasses import dataclass, field
from typing import Any

from serving_models import Judged

TOLERANCE = 1e-9
ANSWER_S = 60.0  # the machine may be busy; a lost answer is what counts


@dataclass(frozen=True)
class Question:
    """One request on the wire, and its answer. rows: whose predictions have to come. bad_row: which one is to be named.

    form: the protocol that it is asked in.
    """

    raw: bytes
    id: str
    form: str = "native"
    status: int = 200
    rows: tuple[int, ...] = ()
    bad_row: int | None = None


@dataclass
class Tally:
    """What all connections of a test have seen."""

    right: int = 0
    refused: int = 0
    complaints: list[str] = field(default_factory=list)


class Asker:
    """One connection's questions; the same seed asks the same."""

    def __init__(self, judged: Judged, seed: int) -> None:
        self.judged = judged
        self.random = random.Random(seed)
        self._seed = seed
        self._count = 0

    def question(self) -> Question:
        """Good rows three times of four; the others are wrong in one of several ways."""
        if self.random.random() < 0.75:
            return self.good(self.random.choice((1, 1, 1, 2, 3, 7, 40)))
        return self.random.choice((self.broken, self.bad_row, self.short_row, self.elsewhere))()

    def good(self, count: int) -> Question:
        picked = tuple(self.random.randrange(len(self.judged.rows)) for _ in range(count))
        form = self.random.choice(("native", "native", "v2", "mlflow", "tfserving"))
        path, value = asked(form, self.judged.name, [self.judged.rows[index] for index in picked])
        return self._question(value, path=path, rows=picked, form=form)

    def bad_row(self) -> Question:
        """One row that the model, or its signature, does not take, among good ones."""
        rows = [self.random.choice(self.judged.rows) for _ in range(self.random.choice((1, 2, 5)))]
        place = self.random.randrange(len(rows))
        rows[place] = {**rows[place], "city": "Atlantis"} if isinstance(rows[place], dict) else ["x", *rows[place][1:]]
        return self._question({"instances": rows}, status=422, bad_row=place)

    def short_row(self) -> Question:
        row = self.random.choice(self.judged.rows)
        short = dict(list(row.items())[1:]) if isinstance(row, dict) else row[1:]
        return self._question({"instances": [short]}, status=422, bad_row=0)

    def broken(self) -> Question:
        return self._question(
            None, status=400, body=self.random.choice((b"", b"{", b'{"instances": [[1,]]}', b"\xff\xfe", b"[" * 2000))
        )

    def elsewhere(self) -> Question:
        return self._question({"instances": []}, status=404, path="/nowhere")

    def _question(self, value: Any, path: str = "/predict", body: bytes | None = None, **expected: Any) -> Question:
        sent = json.dumps(value).encode() if body is None else body
        self._count += 1
        name = f"judge-{self._seed}-{self._count}"
        head = f"POST {path} HTTP/1.1\r\nHost: judge\r\nContent-Type: application/json\r\nX-Request-Id: {name}\r\n"
        return Question(f"{head}Content-Length: {len(sent)}\r\n\r\n".encode() + sent, name, **expected)


def asked(form: str, name: str, rows: list[Any]) -> tuple[str, Any]:
    """Where and how a protocol asks for rows, which are all objects or all lists of numbers."""
    if form == "v2":
        return f"/v2/models/{name}/infer", {"inputs": tensors(rows)}
    if form == "tfserving":
        return f"/v1/models/{name}:predict", {"instances": rows}
    if form == "mlflow":
        columns = list(rows[0]) if isinstance(rows[0], dict) else [f"x{index}" for index in range(len(rows[0]))]
        values = [list(row.values()) if isinstance(row, dict) else row for row in rows]
        return "/invocations", {"dataframe_split": {"columns": columns, "data": values}}
    return "/predict", {"instances": rows}


def tensors(rows: list[Any]) -> list[dict[str, Any]]:
    if not isinstance(rows[0], dict):
        data = [value for row in rows for value in row]
        return [{"name": "input-0", "datatype": "FP64", "shape": [len(rows), len(rows[0])], "data": data}]
    kinds = {name: "BYTES" if isinstance(value, str) else "FP64" for name, value in rows[0].items()}
    return [{"name": n, "datatype": kind, "shape": [len(rows)], "data": [row[n] for row in rows]} for n, kind in kinds.items()]


def told(form: str, answer: Any) -> tuple[list[Any], list[list[float]] | None]:
    """Classes and probabilities, row by row; MLflow's answers have no probabilities."""
    if form == "v2":
        data = {output["name"]: output["data"] for output in answer["outputs"]}
        flat = data["probabilities"]
        return data["predictions"], [flat[start : start + 2] for start in range(0, len(flat), 2)]
    if form == "tfserving":
        rows = answer["predictions"]
        return [row["predictions"] for row in rows], [row["probabilities"] for row in rows]
    return answer["predictions"], None if form == "mlflow" else answer["probabilities"]


class Talk:
    """One connection. is_over: the server has said that it closes."""

    def __init__(self, port: int, judged: Judged, tally: Tally) -> None:
        self._port, self._judged, self._tally = port, judged, tally
        self.is_over = False

    async def open(self) -> Talk:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        self.is_over = False
        return self

    async def ask(self, *questions: Question, piece: int = 0) -> None:
        """All at once, the answers in the same order; piece: bytes of each small write."""
        raw = b"".join(question.raw for question in questions)
        for start in range(0, len(raw), piece or len(raw)):
            self._writer.write(raw[start : start + (piece or len(raw))])
            await self._writer.drain()
            await asyncio.sleep(0.001 if piece else 0)
        for question in questions:
            if not self.is_over:
                self._judge(question, *await asyncio.wait_for(self._answer(), ANSWER_S))

    def leave(self, raw: bytes) -> None:
        """Sends and goes away without waiting."""
        self._writer.write(raw)
        self.abort()

    def abort(self) -> None:
        self._writer.transport.abort()

    async def _answer(self) -> tuple[int, dict[str, str], bytes]:
        status, *lines = (await self._reader.readuntil(b"\r\n\r\n")).decode().rstrip().split("\r\n")
        fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        self.is_over = fields.get("connection") == "close"
        return int(status.split()[1]), fields, await self._reader.readexactly(int(fields["content-length"]))

    def _judge(self, question: Question, status: int, fields: dict[str, str], body: bytes) -> None:
        wrong = complaint(self._judged, question, status, fields, body)
        if wrong:
            self._tally.complaints.append(f"{question.id}: {wrong}; asked {question.raw[-300:]!r}, got {status} {body[:300]!r}")
        elif status == 200:
            self._tally.right += 1
        else:
            self._tally.refused += 1


def complaint(judged: Judged, question: Question, status: int, fields: dict[str, str], body: bytes) -> str:
    """What is wrong with an answer; empty for a right one."""
    if fields.get("x-request-id") != question.id:
        return f"it is the answer to {fields.get('x-request-id')}"
    if status != question.status:
        return f"the status should be {question.status}"
    answer = json.loads(body)
    if status != 200:
        problems = answer["error"]["problems"]
        named = [problem["row"] for problem in problems]
        return "" if question.bad_row is None or named == [question.bad_row] else f"row {question.bad_row} should be named"
    classes, probabilities = told(question.form, answer)
    if classes != [judged.classes[index] for index in question.rows]:
        return "other classes"
    if probabilities is None:
        return ""
    wanted = [judged.probabilities[index] for index in question.rows]
    pairs = zip(probabilities, wanted, strict=True)
    fits = all(abs(a - b) <= TOLERANCE for got, right in pairs for a, b in zip(got, right, strict=True))
    return "" if fits else "other probabilities"
