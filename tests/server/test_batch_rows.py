"""Each row of a part gets what it would get alone; what is wrong with one is said of it, and never stops the others."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mlship.server.batch_rows import Answered, Answering, Reader, readers_of
from mlship.server.core import ServedModel
from mlship.server.manifest import Feature, Model, Output, Signature
from mlship.server.problems import InputError


class Doubling:
    """Refuses amounts below zero, as a model does; breaks at 13, whatever stands beside it."""

    title = "Doubling"

    def __init__(self) -> None:
        self.calls = 0

    def predict(self, rows: Any) -> dict[str, Any]:
        self.calls += 1
        amounts = rows[:, 0].tolist()
        if 13 in amounts:
            raise RuntimeError("the thirteenth")
        if min(amounts) < 0:
            raise ValueError("amounts are not negative")
        return {"predictions": [amount * 2 for amount in amounts]}


SIGNATURE = Signature(
    (Feature("amount"), Feature("city", "string", nullable=True, categories=("Rome", "Oslo"))),
    (Output("predictions", "float64"),),
    "array",
    True,
)


def served(**said: Any) -> tuple[ServedModel, Doubling]:
    loaded = Doubling()
    entry = Model("demo", "python", "none", "x", "0", signature=SIGNATURE, **said)
    return ServedModel(entry, loaded), loaded


def answered(body: bytes, form: Any = "csv", out: Any = "jsonl", first: bytes = b"amount,city\n", **said: Any) -> Answered:
    model, _ = served(**said)
    return Answering(model, readers_of(model, form, None, first, ()), out).answer(body, 100, body.count(b"\n"), form)


def told(done: Answered) -> tuple[dict[int, float], dict[int, str]]:
    """Answers and reasons by the number of their row."""
    answers = [json.loads(line) for line in b"".join(done.answers).splitlines()]
    rejects = [json.loads(line) for _, line, _ in done.rejects]
    assert (done.answered, done.rejected) == (len(answers), len(rejects))
    return {line["row"]: line["predictions"] for line in answers}, {line["row"]: line["reason"] for line in rejects}


def test_a_good_part_is_one_call_of_the_model() -> None:
    model, loaded = served()
    readers = readers_of(model, "csv", None, b"city,amount\n", ())
    done = Answering(model, readers, "csv").answer(b"Rome,1\nOslo,2.5\n", 7, 2, "csv")
    assert (done.heads, done.answers, loaded.calls) == (["row,predictions\n"], [b"7,2\n8,5.0\n"], 1)


def test_each_wrong_row_of_csv_is_named_and_the_others_are_answered() -> None:
    rows = [b"1,Rome", b"two,Rome", b"3", b"-4,Rome", b"13,Rome", b'"6,Rome', b"7,Paris", b"\xff,Rome", b"9,"]
    answers, reasons = told(done := answered(b"\n".join(rows) + b"\n"))
    assert answers == {100: 2.0, 108: 18.0}
    assert reasons == {
        101: 'row 101, feature "amount": expected a number, got the string "two"',
        102: "row 102 has 1 cells; the header has 2",
        103: "the model refuses row 103: ValueError: amounts are not negative",
        104: "row 104: the model failed: RuntimeError: the thirteenth",
        105: "row 105: not CSV: unexpected end of data",
        106: 'row 106, feature "city": expected one of "Rome", "Oslo" or null, got the string "Paris"',
        107: "row 107: not UTF-8 (byte 0 of the row)",
    }
    assert done.failed == 1
    assert done.reason == reasons[101]
    assert [json.loads(line)["row"] for _, line, _ in done.rejects] == sorted(reasons)
    assert json.loads(done.rejects[0][1]) == {
        "row": 101,
        "feature": "amount",
        "reason": reasons[101],
        "data": {"amount": "two", "city": "Rome"},
        "problems": [
            {"row": 101, "feature": "amount", "value": "two", "expected": "a number", "message": reasons[101]},
        ],
    }


def test_rows_of_different_forms_are_each_taken_as_they_would_be_alone() -> None:
    lines = [b'{"amount": 1, "city": null}', b"[2, null]", b"{broken", b"5", b'{"amount": 3}', b'{"amount": 4, "city": "Oslo"}']
    answers, reasons = told(answered(b"\n".join(lines) + b"\n", "jsonl"))
    assert answers == {100: 2.0, 101: 4.0, 105: 8.0}
    assert list(reasons) == [102, 103, 104]
    assert reasons[102].startswith("row 102: not JSON: ")
    assert reasons[104].startswith('row 104 lacks the feature "city"')


def test_what_goes_through_stands_beside_the_answer_and_must_be_one_value() -> None:
    done = answered(b"1,Rome,c-1\n", out="csv", first=b"amount,city,id\n", passthrough=("id",))
    assert (done.heads, done.answers) == (["row,predictions,id\n"], [b"100,2,c-1\n"])
    lines = b'{"amount": 1, "city": null, "id": [1]}\n{"amount": 2, "city": null, "id": 7}\n'
    answers, reasons = told(answered(lines, "jsonl", passthrough=("id",)))
    assert (answers, reasons) == ({101: 4.0}, {100: 'row 100: "id" goes through as one value, got a list'})


def test_a_wrong_header_is_refused_with_the_word_that_was_meant() -> None:
    model, _ = served()
    with pytest.raises(InputError, match='"amout" that the model does not know; did you mean "amount"'):
        Reader(model, "csv", None, b"amout,city\n")
    with pytest.raises(InputError, match='the CSV lacks the column "city"'):
        readers_of(model, "jsonl", None, b"", ["amount"])
    assert not Reader(model, "csv", None, b"1,Rome\n").has_header
    with pytest.raises(InputError, match="neither a header with the model's features nor a row that it takes") as refused:
        Reader(model, "csv", None, b"x0,x1\n")
    assert (refused.value.code, refused.value.problems[0].feature) == ("header", "amount")
    assert not Reader(model, "csv", False, b"x0,x1\n").has_header


def test_a_first_line_that_may_be_either_is_not_guessed() -> None:
    loaded = Doubling()
    model = ServedModel(Model("demo", "python", "none", "x", "0", signature=Signature()), loaded)
    with pytest.raises(InputError, match="may be a header or a row") as refused:
        Reader(model, "csv", None, b"a,b\n")
    assert refused.value.code == "header"
    assert Reader(model, "csv", True, b"a,b\n").rows(b"1,2\n") == [{"a": 1, "b": 2}]
    assert Reader(model, "csv", False, b"1,2\n").rows(b"1,2\n") == [[1, 2]]
