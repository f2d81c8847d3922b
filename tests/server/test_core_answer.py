"""What comes out of the model, and what happens when the model raises."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlship.server.core import APART, ServedModel
from mlship.server.encode import outputs, plain
from mlship.server.manifest import Feature, Model, Signature
from mlship.server.messages import answered
from mlship.server.problems import InputError, ModelFailed


class Colour(Enum):
    RED = "red"


PLAIN = [
    (np.array([1, 2]), [1, 2]),
    (np.array([0.5, math.nan, math.inf]), [0.5, None, None]),
    (np.array([[0.25, 0.75]], dtype="float32"), [[0.25, 0.75]]),
    (np.array(["a", "b"]), ["a", "b"]),
    (np.array(["a", None, 1.5, math.nan], dtype=object), ["a", None, 1.5, None]),
    (np.array([True]), [True]),
    (np.array(["2026-01-02", "NaT"], dtype="datetime64[ns]"), ["2026-01-02T00:00:00", None]),
    (np.array([1500], dtype="timedelta64[ms]"), [1.5]),
    (np.ma.masked_array([1.0, 2.0], mask=[False, True]), [1.0, None]),
    (np.float64("nan"), None),
    (np.int8(3), 3),
    (pd.Series([1.0, None]), [1.0, None]),
    (pd.Series(["a", None]), ["a", None]),
    (pd.Series([1, None], dtype="Int64"), [1, None]),
    (pd.Series(["x", "y"], dtype="category"), ["x", "y"]),
    (pd.DataFrame({"a": [1, 2], "b": ["x", None]}), [{"a": 1, "b": "x"}, {"a": 2, "b": None}]),
    ((1, {2}, {"k": np.float32(0.5)}), [1, [2], {"k": 0.5}]),
    ({1: "a", Colour.RED: 2}, {"1": "a", "red": 2}),
    (
        [date(2026, 1, 2), datetime(2026, 1, 2, 3, tzinfo=UTC), timedelta(seconds=2)],
        ["2026-01-02", "2026-01-02T03:00:00+00:00", 2.0],
    ),
    ([Decimal("1.5"), Decimal("nan"), pd.NA, pd.NaT, math.inf], [1.5, None, None, None, None]),
]


@pytest.mark.parametrize(
    ("value", "expected"), PLAIN, ids=[str(type(value).__name__) + str(n) for n, (value, _) in enumerate(PLAIN)]
)
def test_results_become_json_and_what_is_not_finite_null(value: Any, expected: Any) -> None:
    assert plain(value) == expected


AS_THEY_ARE = np.array([[0.1, -0.0], [5e-324, 1.7976931348623157e308], [1e16, 3.0], [2 / 3, 1e-7]] * 40)
WRITTEN = {
    "float64": AS_THEY_ARE,
    "float32": AS_THEY_ARE[:, ::-1].clip(-1e30, 1e30).astype("float32"),
    "columns first": np.asfortranarray(AS_THEY_ARE),
    "not finite": np.where(AS_THEY_ARE == 3.0, np.nan, AS_THEY_ARE),
    "the other byte order": AS_THEY_ARE.astype(">f8"),
    "few": AS_THEY_ARE[:2],
    "whole numbers": np.arange(300),
    "objects": np.array([["a", 1.5]] * 200, dtype=object),
    "masked": np.ma.masked_array(AS_THEY_ARE, mask=AS_THEY_ARE == 3.0),
}


@pytest.mark.parametrize("values", WRITTEN.values(), ids=WRITTEN)
def test_arrays_are_written_as_their_lists_are(values: Any) -> None:
    count = len(values)
    told = outputs({"predictions": values}, count, with_arrays=True)
    halves = [{"predictions": told["predictions"][part]} for part in (slice(0, count // 2), slice(count // 2, count))]
    listed = outputs({"predictions": values}, count)
    assert [answered(half).body for half in halves] == [
        answered({"predictions": listed["predictions"][part]}).body for part in (slice(0, count // 2), slice(count // 2, count))
    ]


def test_only_large_plain_arrays_stay_arrays() -> None:
    kept = {
        name for name, values in WRITTEN.items() if outputs({"predictions": values}, len(values), True)["predictions"] is values
    }
    assert kept == {"float64"}


def test_a_sparse_result_is_written_out() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    assert plain(sparse.csr_matrix([[0.0, 1.0]])) == [[0.0, 1.0]]


def nested(depth: int) -> list[Any]:
    return [nested(depth - 1)] if depth else []


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ([1], "predict gave list, not a mapping of outputs"),
        ({"scores": [1]}, "predict gave no output named predictions"),
        ({"predictions": [1, 2]}, "the output predictions has 2 entries for 1 rows"),
        ({"predictions": 5}, "the output predictions is int, not one value a row"),
        ({"predictions": [object()]}, "an answer of type object has no form in JSON; return numbers, strings, lists or dicts"),
        ({"predictions": np.array([1 + 2j])}, "an answer of dtype complex128 has no form in JSON"),
        ({"predictions": nested(80)}, "the answer is nested deeper than 64"),
    ],
)
def test_a_result_that_breaks_the_contract_is_the_models_failure(result: Any, message: str) -> None:
    with pytest.raises(ModelFailed, match=message):
        outputs(result, 1)


class Scripted:
    """Predicts with a function of the rows."""

    title = "Scripted"

    def __init__(self, predict: Callable[[Any], Any]) -> None:
        self.calls = 0
        self._predict = predict

    def predict(self, rows: Any) -> dict[str, Any]:
        self.calls += 1
        return {"predictions": self._predict(rows)}

    def signature(self, sample: tuple[Any, ...]) -> Signature:
        return Signature()


def served(predict: Callable[[Any], Any], *inputs: Feature, container: str = "list") -> ServedModel:
    return ServedModel(Model("m", "python", "none", "model", "", signature=Signature(inputs, (), container)), Scripted(predict))


def refuse_negative(rows: Any) -> Any:
    values = [
        float(row) if np.ndim(row) == 0 else float(np.ravel(row)[0])
        for row in (rows.to_numpy() if hasattr(rows, "to_numpy") else rows)
    ]
    if min(values) < 0:
        raise ValueError(f"negative: {min(values)}\nwith a second line")
    return values


@pytest.mark.parametrize("container", ["list", "array", "frame"])
def test_rows_that_the_model_refuses_are_found_among_many(container: str) -> None:
    model = served(refuse_negative, Feature("a"), container=container)
    with pytest.raises(InputError) as caught:
        model.answer([[row if row not in (17, 800) else -row] for row in range(1000)])
    assert caught.value.status == 422
    assert [problem.row for problem in caught.value.problems] == [17, 800]
    assert caught.value.problems[0].message == "the model refuses row 17: ValueError: negative: -17.0"
    assert model.loaded.calls <= APART + 3


def test_one_refused_row_is_named_without_another_call() -> None:
    model = served(refuse_negative, Feature("a"))
    with pytest.raises(InputError, match=r"the model refuses row 0: ValueError: negative: -1\.0"):
        model.answer([-1])
    assert model.loaded.calls == 1


def test_a_batch_that_is_refused_only_as_a_whole_says_so() -> None:
    def alone(rows: list[Any]) -> list[Any]:
        if len(rows) > 2:
            raise ValueError("too many")
        return rows

    with pytest.raises(InputError, match="the model refuses these 4 rows together: ValueError: too many"):
        served(alone, Feature("a")).answer([1, 2, 3, 4])


@pytest.mark.parametrize("error", [RuntimeError("boom"), TypeError("x"), SystemExit(3), GeneratorExit(), RecursionError()])
def test_any_other_exception_is_the_models_failure(error: BaseException) -> None:
    def failing(rows: Any) -> Any:
        raise error

    with pytest.raises(ModelFailed, match=type(error).__name__):
        served(failing, Feature("a")).answer([1])


def test_a_model_of_unknown_features_may_refuse_by_any_lookup_or_type_error() -> None:
    with pytest.raises(InputError, match="the model refuses row 0: KeyError: age"):
        served(lambda rows: [row["age"] for row in rows]).answer([{"agee": 1}])
