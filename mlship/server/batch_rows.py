"""A part of a file through the server's own way: read, checked, answered, written; what is wrong with a row is said of that row.

A good part is one request of many rows: one call of the model. In a part with something wrong the wrong rows are found, and the others
are answered together. A model that answers rows otherwise together than alone is asked row by row, as the server does not join them.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import orjson

from mlship.server.batch_records import Form, cut
from mlship.server.core import ServedModel
from mlship.server.input import csvtext, jsontext
from mlship.server.manifest import Output
from mlship.server.problems import InputError, ModelFailed, Problem

SHOWN = 10_000  # characters of a row that cannot be read, in the file of rejects
Numbered = tuple[int, Any]  # number of the row in the file, and the row


@dataclass
class Answered:
    """What came of one part. heads: header lines of CSV, one unless the model changes what it answers.

    failed: how many of the rejected rows the model itself failed with. rejects: number of the row, its line and the reason.
    """

    answered: int = 0
    rejected: int = 0
    failed: int = 0
    heads: list[str] = field(default_factory=list)
    answers: list[bytes] = field(default_factory=list)
    rejects: list[tuple[int, bytes, str]] = field(default_factory=list)

    @property
    def reason(self) -> str:
        """Of the first reject."""
        return self.rejects[0][2] if self.rejects else ""


class Reader:
    """Rows from records, as /predict reads a body of them."""

    def __init__(self, model: ServedModel, form: Form, header: bool | None, first: bytes) -> None:
        """first: the first record of a CSV file. header: whether it is one; None looks. Raises InputError for a wrong one."""
        self._model = model
        self._form = form
        self.has_header = form == "csv" and _is_header(model, first, header)
        self._head = first if self.has_header else b""

    def rows(self, body: bytes) -> list[Any]:
        """Raises InputError when a row cannot be read."""
        if self._form == "jsonl":
            return jsontext.lines(body)
        return csvtext.rows(self._head + body, self._model.entry.signature, self.has_header, self._model.extras)

    def records(self, body: bytes) -> list[bytes]:
        return cut(body, self._form)


def _is_header(model: ServedModel, first: bytes, header: bool | None) -> bool:
    """A header alone makes no row. A first line that can be neither is no row to reject: all others may stand in a wrong order."""
    if header is None and not model.entry.signature.inputs:
        raise InputError(
            400, message="the first line may be a header or a row: the model's features are not known", code="header"
        )
    rows = csvtext.rows(first, model.entry.signature, header, model.extras)
    if rows and header is None:
        try:
            model.prepare(rows)
        except InputError as error:
            told = "the first line is neither a header with the model's features nor a row that it takes"
            raise InputError(422, error.problems, told, "header") from None
    return not rows


def readers_of(model: ServedModel, form: Form, header: bool | None, first: bytes, columns: Sequence[str]) -> dict[Form, Reader]:
    """first: see Reader. columns: of a table, whose rows come as objects, or as CSV where all are numbers.

    Raises InputError for columns that the model does not know, in the words that CSV is refused with.
    """
    if not columns:
        return {form: Reader(model, form, header, first)}
    line = csvtext.text({name: [] for name in columns}, ())
    return {"csv": Reader(model, "csv", True, line), "jsonl": Reader(model, "jsonl", None, b"")}


class Answering:
    """Answers parts of a file with one model."""

    def __init__(self, model: ServedModel, readers: Mapping[Form, Reader], out: Literal["csv", "jsonl"]) -> None:
        self._model = model
        self._readers = readers
        self._out = out
        self._names = [feature.name for feature in model.entry.signature.inputs]

    def answer(self, body: bytes, first: int, count: int, form: Form) -> Answered:
        """body: `count` records, the first of them row `first` of the file."""
        done = Answered()
        numbered = _numbered(self._readers[form], body, first, count, done)
        groups = deque([numbered] if self._model.is_joined else [[one] for one in numbered])
        while groups:
            groups.extendleft(reversed(self._answer(groups.popleft(), done)))
        done.rejects.sort()
        return done

    def _answer(self, group: list[Numbered], done: Answered) -> list[list[Numbered]]:
        """Answers the rows of the group in one call, or gives the groups that are to be tried instead."""
        if not group:
            return []
        numbers, rows = [number for number, _ in group], [row for _, row in group]
        try:
            batch = self._model.prepare(rows)
            kept = self._model.extras.values(rows)
        except InputError as error:
            return self._sifted(group, error, done)
        try:
            self._write(done, numbers, {**self._model.run(batch), **kept})
        except InputError as error:
            return self._without_named(group, error, done)
        except ModelFailed as error:
            return self._halves(group, error, done)
        return []

    def _sifted(self, group: list[Numbered], error: InputError, done: Answered) -> list[list[Numbered]]:
        """Without the rows that are refused alone, too; halves where each is taken alone, such as lists beside objects."""
        if len(group) == 1:
            self._reject(done, group[0], error)
            return []
        fit = [one for one in group if self._fits(one, done)]
        return [fit] if len(fit) < len(group) else self._halves(group, error, done)

    def _fits(self, one: Numbered, done: Answered) -> bool:
        try:
            self._model.prepare([one[1]])
            self._model.extras.values([one[1]])
        except InputError as error:
            self._reject(done, one, error)
            return False
        return True

    def _without_named(self, group: list[Numbered], error: InputError, done: Answered) -> list[list[Numbered]]:
        """Without the rows that the model named, or a hook."""
        said: dict[int, list[Problem]] = {}
        for problem in error.problems:
            if problem.row is not None and problem.row < len(group):
                said.setdefault(problem.row, []).append(problem)
        if not said:
            return self._halves(group, error, done)
        for place, problems in said.items():
            self._reject(done, group[place], InputError(error.status, problems), place)
        return [[one for place, one in enumerate(group) if place not in said]]

    def _halves(self, group: list[Numbered], error: InputError | ModelFailed, done: Answered) -> list[list[Numbered]]:
        if len(group) == 1:
            self._reject(done, group[0], error)
            return []
        middle = len(group) // 2
        return [group[:middle], group[middle:]]

    def _write(self, done: Answered, numbers: list[int], answer: dict[str, Any]) -> None:
        """Raises ModelFailed for an answer that has no form in a file."""
        told = {"row": numbers, **answer}
        try:
            if self._out == "csv":
                outputs = self._model.entry.signature.outputs
                head = _head({name: values[:1] for name, values in told.items()}, outputs)
                done.answers.append(csvtext.text(told, outputs, header=False))
                done.heads += [head] if head not in done.heads else []
            else:
                done.answers.append(b"".join(_lines(told)))
        except (TypeError, UnicodeError) as error:
            raise ModelFailed(f"the answer cannot be written: {error}") from error
        done.answered += len(numbers)

    def _reject(self, done: Answered, one: Numbered, error: InputError | ModelFailed, place: int = 0) -> None:
        number, row = one
        fits = isinstance(row, list) and len(row) == len(self._names)
        _reject(done, number, dict(zip(self._names, row, strict=True)) if fits else row, error, place)


def _numbered(reader: Reader, body: bytes, first: int, count: int, done: Answered) -> list[Numbered]:
    try:
        rows = reader.rows(body)
        if len(rows) == count:
            return list(enumerate(rows, first))
    except InputError:  # one record is wrong, or several
        pass
    return list(_read_apart(reader, body, first, done))


def _read_apart(reader: Reader, body: bytes, first: int, done: Answered) -> Iterator[Numbered]:
    for number, record in enumerate(reader.records(body), first):
        try:
            yield number, _row(reader, record)
        except InputError as error:
            _reject(done, number, record.decode("utf-8", "replace").rstrip("\r\n")[:SHOWN], error)


def _row(reader: Reader, record: bytes) -> Any:
    try:
        record.decode()
    except UnicodeDecodeError as error:
        raise InputError(400, message=f"not UTF-8 (byte {error.start} of the row)") from None
    rows = reader.rows(record)
    if len(rows) != 1:
        raise InputError(400, message="not one row")
    return rows[0]


def _head(told: dict[str, Any], outputs: tuple[Output, ...]) -> str:
    """The header line of CSV. told: of one row."""
    whole, row = csvtext.text(told, outputs), csvtext.text(told, outputs, header=False)
    return whole.removesuffix(row).decode()


def _lines(told: dict[str, Any]) -> Iterator[bytes]:
    names = list(told)
    return (orjson.dumps(dict(zip(names, values, strict=True))) + b"\n" for values in zip(*told.values(), strict=True))


def _reject(done: Answered, number: int, row: Any, error: InputError | ModelFailed, place: int = 0) -> None:
    """Adds a line to the rejects. place: what the error calls the row."""
    problems = [_in_file(problem, place, number) for problem in error.problems] if isinstance(error, InputError) else []
    feature = problems[0].feature if problems else None
    reason = "; ".join(problem.message for problem in problems) or f"row {number}: {_words(error)}"
    line = {"row": number, "feature": feature, "reason": reason, "data": row, "problems": [asdict(each) for each in problems]}
    done.rejects.append((number, _json(line) + b"\n", reason))
    done.rejected += 1
    done.failed += isinstance(error, ModelFailed)


def _in_file(problem: Problem, place: int, number: int) -> Problem:
    """The problem with the row's number in the file, in its words too."""
    message = problem.message
    for begins in (f"row {place}", f"the model refuses row {place}"):
        if message.startswith((f"{begins} ", f"{begins}:", f"{begins},")):
            message = f"{begins.removesuffix(str(place))}{number}{message[len(begins) :]}"
            break
    return Problem(number, problem.feature, problem.value, problem.expected, message)


def _words(error: InputError | ModelFailed) -> str:
    """Of what is no row's own problem by name. A record is read alone, as a body of one line."""
    if isinstance(error, ModelFailed):
        return f"the model failed: {error}"
    return error.message.removeprefix("line 1 is ").removeprefix("the body is ")


def _json(line: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(line)
    except TypeError:  # what a row holds may be beyond 64 bits
        return json.dumps(line, ensure_ascii=False).encode("utf-8", "replace")
