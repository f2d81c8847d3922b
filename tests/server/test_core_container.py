"""What the model receives: frames with the training's columns and dtypes, arrays, or the rows as they came."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlship.server.input.container import container_for
from mlship.server.input.validate import Validator
from mlship.server.manifest import Feature, Signature
from mlship.server.problems import InputError


def built(signature: Signature, instances: Any) -> Any:
    table = Validator(signature).table(instances)
    return container_for(signature).build([table])


FRAME = Signature(
    (
        Feature("age", "int64"),
        Feature("income", "float64", nullable=True),
        Feature("city", "string", nullable=True),
        Feature("member", "bool"),
        Feature("since", "datetime", nullable=True),
        Feature("visits", "int64", nullable=True),
    ),
    (),
    "frame",
    True,
)


def test_a_frame_has_the_signatures_columns_in_its_order_and_dtypes() -> None:
    row = {"city": "Rome", "since": "2026-01-02", "visits": 3, "age": 30, "member": True, "income": 1.5}
    frame = built(FRAME, [row])
    assert list(frame.columns) == ["age", "income", "city", "member", "since", "visits"]
    trained = pd.DataFrame({"city": ["Rome"]})
    assert frame["city"].dtype == trained["city"].dtype
    assert [frame[name].dtype.kind for name in ("age", "income", "member", "since", "visits")] == ["i", "f", "b", "M", "i"]


def test_nulls_in_a_frame_are_what_read_csv_gives() -> None:
    frame = built(FRAME, [[30, None, None, True, None, None], [31, 2.0, "Oslo", False, "2026-01-02T10:00:00+02:00", 1]])
    assert frame.iloc[0].isna().tolist() == [False, True, True, False, True, True]
    assert frame["visits"].dtype == "float64"
    assert isinstance(frame["city"].iloc[0], float)
    assert frame["since"].iloc[1] == pd.Timestamp("2026-01-02T08:00:00")


def test_a_numeric_frame_is_one_block_of_the_features_dtype() -> None:
    signature = Signature((Feature("a", "float32"), Feature("b", "float32")), (), "frame", True)
    frame = built(signature, [[1, 2.5], [3, 4]])
    assert frame.dtypes.tolist() == [np.dtype("float32")] * 2
    assert frame.to_numpy().tolist() == [[1, 2.5], [3, 4]]


@pytest.mark.parametrize(
    ("dtypes", "expected"),
    [
        (("float64", "float64"), "float64"),
        (("float32", "float32"), "float32"),
        (("int64", "float64"), "float64"),
        (("string", "float64"), "object"),
    ],
)
def test_an_array_has_the_dtype_that_its_features_share(dtypes: tuple[str, ...], expected: str) -> None:
    signature = Signature(tuple(Feature(f"f{index}", dtype) for index, dtype in enumerate(dtypes)), (), "array")
    row = ["x" if dtype == "string" else 1 for dtype in dtypes]
    array = built(signature, [row, row])
    assert (str(array.dtype), array.shape) == (expected, (2, 2))


def test_null_in_an_array_is_nan() -> None:
    signature = Signature((Feature("a", nullable=True), Feature("b")), (), "array")
    assert np.isnan(built(signature, [[None, 1]])[0, 0])


def test_lists_stay_as_they_came_whatever_a_class_does_with_its_copies() -> None:
    rows = [{"a": 1}, {"a": 2}]
    copies = built(Signature((Feature("a"),), (), "list", True), rows)
    assert copies == rows and copies[0] is not rows[0]


def test_a_lists_numbers_are_checked_although_nothing_is_built() -> None:
    with pytest.raises(InputError, match="got Infinity"):
        built(Signature((Feature("a"), Feature("b")), (), "list"), [[1.0, float("inf")]])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[1, 2], [3]], "the rows differ in length"),
        ([["a", "b"]], "the rows must be lists of finite numbers, all of the same length"),
        ([[float("nan")]], "the rows must be lists of finite numbers, all of the same length"),
    ],
)
def test_an_array_model_of_unknown_features_takes_even_numeric_rows_only(rows: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        built(Signature((), (), "array"), rows)
    assert built(Signature((), (), "array"), [[1, 2], [3, 4]]).dtype == "float64"


@pytest.mark.parametrize(
    ("rows", "message"), [([{"a": 1}, [1]], "all objects or all lists"), ([1], "all objects or all lists")]
)
def test_a_frame_model_of_unknown_features_takes_rows_of_one_form_only(rows: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        built(Signature((), (), "frame"), rows)
    assert list(built(Signature((), (), "frame"), [{"a": 1, "b": "x"}]).columns) == ["a", "b"]
