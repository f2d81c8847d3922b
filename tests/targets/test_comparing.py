"""Two releases answer the same rows: how far they are apart is one number."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mlship.targets.base import Answer
from mlship.targets.comparing import prediction_change


def said(predictions: Any) -> Answer:
    return Answer(200, json.dumps({"predictions": predictions}).encode())


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        (["a", "b", "c", "d"], ["a", "b", "c", "x"], 0.25),
        ([1, 0, 1, 0], [1, 0, 1, 0], 0.0),
        ([True, False], [False, False], 0.5),
        ([1.0, 3.0], [1.0, 5.0], 0.5),
        ([1.0, -3.0], [-1.0, -3.0], 0.5),
        ([2, 2.5], [2.0, 2.5], 0.0),
        ([[0.25, 0.75]], [[0.75, 0.25]], 1.0),
        ([{"low": 1.0, "high": 3.0}], [{"low": 1.0, "high": 4.0}], 0.25),
        ([0.0, 0.0], [0.0, 1.0], 0.5),
        ([None, 1.0], [2.0, 1.0], 0.5),
        (["a"], [1.5], 1.0),
        ([[1.0, 2.0]], [[1.0, 2.0, 3.0]], 1.0),
    ],
)
def test_labels_count_by_rows_and_numbers_by_how_far_they_moved(before: Any, after: Any, change: float) -> None:
    assert prediction_change(said(before), said(after)) == pytest.approx(change)


@pytest.mark.parametrize(
    "after", [Answer(0, b"refused"), Answer(422, b"{}"), Answer(200, b"<html>"), Answer(200, b"[]"), said("x"), said([1, 2])]
)
def test_an_answer_that_is_no_list_of_that_length_is_not_compared(after: Answer) -> None:
    assert prediction_change(said([1]), after) is None
    assert prediction_change(after, said([1])) is None


def test_nothing_is_not_compared_with_nothing() -> None:
    assert prediction_change(said([]), said([])) is None
