# ruff: noqa: E501  a table reads best with one case a line
"""What the core takes and refuses, by table: signature, instances, and the problems that must be named."""

from __future__ import annotations

import math
from typing import Any

import pytest

from mlship.server.core import ServedModel
from mlship.server.manifest import Feature, Model, Signature
from mlship.server.problems import LIMIT, InputError

AGE = Feature("age", "float64")
INCOME = Feature("income", "float64", nullable=True)
VISITS = Feature("visits", "int64")
TINY = Feature("tiny", "int8")
CITY = Feature("city", "string", categories=("Rome", "Oslo", "Bergen"))
NAME = Feature("name", "string", nullable=True)
MEMBER = Feature("member", "bool")
SINCE = Feature("since", "datetime")
EXTRA = Feature("extra", "any")


class Echo:
    """Answers with the rows that it was given."""

    title = "Echo"

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def predict(self, rows: Any) -> dict[str, Any]:
        self.calls.append(rows)
        return {"predictions": list(range(len(rows)))}

    def signature(self, sample: tuple[Any, ...]) -> Signature:
        return Signature()


def served(*inputs: Feature, container: str = "list") -> ServedModel:
    return ServedModel(
        Model("m", "python", "none", "model", "0" * 64, signature=Signature(inputs, (), container, True)), Echo()
    )


def refusal(model: ServedModel, instances: Any) -> InputError:
    with pytest.raises(InputError) as caught:
        model.answer(instances)
    return caught.value


GOOD = [
    ((AGE, CITY), [{"age": 1, "city": "Rome"}]),
    ((AGE, CITY), [{"city": "Rome", "age": 1.5}, {"age": 2, "city": "Oslo"}]),
    ((AGE, CITY), [[1, "Rome"], [2.5, "Oslo"]]),
    ((AGE,), [1, 2.5, 3]),
    ((AGE,), [[1], [2.5]]),
    ((AGE,), [{"age": 1}]),
    ((INCOME,), [None, 1]),
    ((VISITS,), [1, 2.0, -5]),
    ((NAME,), ["a", None, ""]),
    ((MEMBER,), [True, False]),
    ((SINCE,), ["2026-01-31", "2026-01-31T12:00:00Z", "2026-01-31 12:00:00+02:00"]),
    ((EXTRA,), ["x", 1, True, [1, 2], {"a": 1}][:3]),
    ((), [{"what": "ever"}, [1], "x", None]),
]


@pytest.mark.parametrize(("inputs", "instances"), GOOD)
def test_rows_in_every_documented_form_are_taken(inputs: tuple[Feature, ...], instances: list[Any]) -> None:
    assert served(*inputs).answer(instances)["predictions"] == list(range(len(instances)))


FINITE = "; only finite numbers are taken, write null for a missing value"

BAD = [
    # inputs, instances, row, feature, value, message
    ((AGE,), ["30"], 0, "age", "30", 'row 0, feature "age": expected a number, got the string "30"; remove the quotes'),
    ((AGE,), [True], 0, "age", True, 'row 0, feature "age": expected a number, got true'),
    ((AGE,), [None], 0, "age", None, 'row 0, feature "age": expected a number, got null'),
    ((AGE,), [1, math.nan], 1, "age", "NaN", 'row 1, feature "age": expected a number, got NaN' + FINITE),
    ((AGE,), [[math.inf]], 0, "age", "Infinity", 'row 0, feature "age": expected a number, got Infinity' + FINITE),
    ((INCOME,), [-math.inf], 0, "income", "-Infinity", 'row 0, feature "income": expected a number or null, got -Infinity' + FINITE),
    ((AGE,), [10**400], 0, "age", "an integer beyond 64 bits", 'row 0, feature "age": expected a number, got an integer that no double can hold'),
    ((Feature("f", "float32"),), [[1e39]], 0, "f", 1e39, 'row 0, feature "f": expected a number, got 1e+39, which is beyond 3.4028234663852886e+38'),
    ((VISITS,), [1.5], 0, "visits", 1.5, 'row 0, feature "visits": expected a whole number, got 1.5'),
    ((VISITS,), ["x"], 0, "visits", "x", 'row 0, feature "visits": expected a whole number, got the string "x"'),
    ((VISITS,), [False], 0, "visits", False, 'row 0, feature "visits": expected a whole number, got false'),
    ((TINY,), [1, 300], 1, "tiny", 300, 'row 1, feature "tiny": expected a whole number, got 300, which is not within -128..127'),
    ((Feature("u", "uint8"),), [-1], 0, "u", -1, 'row 0, feature "u": expected a whole number, got -1, which is not within 0..255'),
    ((CITY,), ["Roma"], 0, "city", "Roma", 'row 0, feature "city": expected one of "Rome", "Oslo", "Bergen", got the string "Roma"; did you mean "Rome"?'),
    ((CITY,), [None], 0, "city", None, 'row 0, feature "city": expected one of "Rome", "Oslo", "Bergen", got null'),
    ((CITY,), [3], 0, "city", 3, 'row 0, feature "city": expected one of "Rome", "Oslo", "Bergen", got 3'),
    ((NAME,), [7], 0, "name", 7, 'row 0, feature "name": expected a string or null, got 7'),
    ((MEMBER,), [1], 0, "member", 1, 'row 0, feature "member": expected true or false, got 1'),
    ((SINCE,), ["yesterday"], 0, "since", "yesterday", 'row 0, feature "since": expected a date or time in ISO 8601, got the string "yesterday"'),
    ((SINCE,), [1700000000], 0, "since", 1700000000, 'row 0, feature "since": expected a date or time in ISO 8601, got 1700000000'),
    ((EXTRA,), [None], 0, "extra", None, 'row 0, feature "extra": expected a value, got null'),
    ((EXTRA,), [math.nan], 0, "extra", "NaN", 'row 0, feature "extra": expected a value, got NaN' + FINITE),
    ((AGE, CITY), [[1, "Rome"], [1]], 1, None, 1, "row 1 has 1 value; the model takes 2: age, city"),
    ((AGE, CITY), [[1, "Rome"], {"age": 1, "city": "Rome"}], 1, None, "an object", "row 1: expected a list, as in row 0, got an object"),
    ((AGE, CITY), [{"age": 1, "city": "Rome"}, [1, "Rome"]], 1, None, "a list", "row 1: expected an object, as in row 0, got a list"),
    ((AGE,), [1, [2]], 1, None, "a list", "row 1: expected a bare value, as in row 0, got a list"),
    ((AGE, CITY), [5], 0, None, 5, "row 0: expected a list of 2 values or an object by feature name, got 5"),
    ((AGE, CITY), [{"age": 1}], 0, "city", None, 'row 0 lacks the feature "city": expected one of "Rome", "Oslo", "Bergen"'),
    ((AGE, INCOME), [{"age": 1}], 0, "income", None, 'row 0 lacks the feature "income": expected a number or null; send null for a missing value'),
    ((AGE, INCOME), [{"age": 1, "income": 2, "incom": 3}], 0, "incom", 3, 'row 0 has a feature "incom" that the model does not know; did you mean "income"?'),
]  # fmt: skip


@pytest.mark.parametrize(("inputs", "instances", "row", "feature", "value", "message"), BAD)
@pytest.mark.parametrize("container", ["list", "array", "frame"])
def test_a_wrong_row_is_named_with_feature_value_and_expectation(
    container: str, inputs: tuple[Feature, ...], instances: list[Any], row: int, feature: str | None, value: Any, message: str
) -> None:
    error = refusal(served(*inputs, container=container), instances)
    assert error.status == 422
    found = error.problems[0]
    assert (found.row, found.feature, found.value, found.message) == (row, feature, value, message)
    assert str(error) == message if len(error.problems) == 1 else message in str(error)


@pytest.mark.parametrize(
    ("instances", "message"),
    [
        ([], "instances is empty; send at least one row"),
        ({"age": 1}, "instances must be a list of rows, got an object"),
        (None, "instances must be a list of rows, got null"),
        ("abc", 'instances must be a list of rows, got the string "abc"'),
    ],
)
def test_what_is_no_list_of_rows_is_a_bad_request(instances: Any, message: str) -> None:
    error = refusal(served(AGE), instances)
    assert (error.status, error.message) == (400, message)


def test_all_problems_are_listed_at_once_in_the_order_of_the_rows() -> None:
    error = refusal(served(AGE, CITY), [{"age": "30", "city": "Paris"}, {"age": 1, "cty": "Rome"}])
    assert [(problem.row, problem.feature) for problem in error.problems] == [(0, "age"), (0, "city"), (1, "cty"), (1, "city")]
    assert error.message.startswith("4 problems; the first: row 0")


def test_no_more_than_twenty_problems_are_listed() -> None:
    error = refusal(served(AGE), ["x"] * 1000)
    assert len(error.problems) == LIMIT == 20
    assert error.message.startswith("at least 20 problems; the first:")


def test_a_long_list_of_categories_is_cut_with_its_length() -> None:
    many = Feature("code", "string", categories=tuple(f"c{number}" for number in range(500)))
    assert '"c9", ... (500 known), got the string "zzz"' in refusal(served(many), ["zzz"]).message


def test_a_long_value_is_echoed_by_its_beginning_only() -> None:
    found = refusal(served(AGE), ["x" * 5000]).problems[0]
    assert len(found.value) < 100
    assert len(found.message) < 300


def test_a_feature_that_may_be_missing_takes_null_beside_its_categories() -> None:
    assert served(Feature("city", "string", True, ("Rome",))).answer([None, "Rome"])["predictions"] == [0, 1]


def test_numeric_categories_take_equal_numbers_only() -> None:
    model = served(Feature("grade", "int64", categories=(1, 2, 3)))
    model.answer([1, 2.0])
    assert "expected one of 1, 2, 3, got 4" in refusal(model, [4]).message
    assert "expected one of 1, 2, 3, got true" in refusal(model, [True]).message
