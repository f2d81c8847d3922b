"""Rows of a user's file as the model takes them: by name, by place where it knows no names, and never with the label among them."""

from __future__ import annotations

from typing import Any

import pytest

from mlship.server.compiling.given_rows import Unreadable, given_rows
from mlship.server.manifest import Feature, Signature

NAMED = Signature((Feature("age", "int64"), Feature("city", "string", nullable=True)), named=True)
PLACES = Signature((Feature("x0"), Feature("x1")))


def told(head: str, *parts: tuple[str, str], label: str = "", target: str = "", rows: int = 2) -> dict[str, Any]:
    numbers = list(range(rows))
    return {
        "kind": "holdout", "name": "rows.csv", "head": head, "parts": parts, "numbers": numbers, "label": label, "target": target
    }  # fmt: skip


def test_columns_are_found_by_name_and_others_passed_over():
    given = given_rows(told("id,city, age,y\n", ("csv", "7,Ulm,30,1\n8,,41,0\n"), label="y", target="y"), NAMED)
    assert (given.rows, given.labels) == ([[30, "Ulm"], [41, None]], ["1", "0"])


def test_columns_of_a_model_without_names_are_taken_in_their_order():
    given = given_rows(told("a,y,b\n", ("csv", "1,9,2.5\n3,9,4\n"), target="y"), PLACES)
    assert (given.rows, given.labels) == ([[1.0, 2.5], [3.0, 4.0]], [])
    lines = given_rows(told("", ("jsonl", '{"a": 1, "b": 2, "y": 9}\n[3, 4]\n'), target="y"), PLACES)
    assert lines.rows == [[1, 2], [3, 4]]


def test_arrays_come_as_json_lines_and_parts_of_both_forms_make_one_file():
    image = Signature((Feature("image", "float32", shape=(2,)),), container="tensors")
    parts = (("jsonl", '{"image": [1, 2], "y": 0}\n'), ("jsonl", '{"y": 1, "image": [3, 4]}\n'))
    given = given_rows(told("", *parts, label="y", target="y"), image)
    assert (given.rows, given.labels) == ([[[1, 2]], [[3, 4]]], [0, 1])


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (told("age,town\n", ("csv", "1,a\n2,b\n")), "rows.csv lacks what the model takes: city; it has age, town"),
        (told("", ("jsonl", '{"age": 1}\n{"age": 2}\n')), "rows.csv lacks what the model takes: city; it has age"),
        (told("", ("jsonl", "[1]\n[2]\n")), "a row of rows.csv has 1 values, and the model takes 2"),
        (told("", ("jsonl", "[1,\n[2]\n")), "rows.csv has a line that is not JSON"),
        (
            told("age,city,y\n", ("csv", "1,a,x\n2,b,\n"), label="y", target="y"),
            "row 1 of rows.csv has nothing in the column y",
        ),
        (told("age,city\n", ("csv", "1,a,7\n2,b\n")), "rows.csv: row 0 has 3 cells; the header has 2"),
    ],
)
def test_a_file_that_does_not_fit_is_told_with_its_kind(asked, why):
    with pytest.raises(Unreadable) as raised:
        given_rows(asked, NAMED)
    assert why in raised.value.what and raised.value.kind == "rows-holdout"
