"""Scores to answers, words to codes, headers to signatures: without the libraries."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mlship.server import manifest
from mlship.server.boosted_header import Column, Header
from mlship.server.core import ServedModel
from mlship.server.problems import InputError
from mlship.server.runtimes.base import LoadError
from mlship.server.runtimes.boosted import BoostedModel, judged

WORDS = ("left", "mid")
COLUMNS = (Column("age"), Column("is_new", "truth"), Column("site", "category", WORDS), Column("level", "category", (10, 20)))


def header(task: Any, labels: tuple[Any, ...] = (), columns: tuple[Column, ...] = COLUMNS) -> Header:
    return Header("told", columns, task, labels, is_named=True)


def served(model: BoostedModel, sample: tuple[Any, ...] = ()) -> ServedModel:
    return ServedModel(manifest.Model("m", "xgboost", "ubj", "", "", signature=model.signature(sample)), model)


def test_a_probability_becomes_both_columns_and_the_label_of_the_larger() -> None:
    predictions, probabilities = judged(header("binary", ("no", "yes")), np.array([0.25, 0.5, 0.75], dtype="float32"))
    assert predictions.tolist() == ["no", "no", "yes"]
    assert probabilities.tolist() == [[0.75, 0.25], [0.5, 0.5], [0.25, 0.75]]


def test_several_classes_and_several_labels_a_row() -> None:
    scores = np.array([[0.2, 0.7, 0.1], [0.6, 0.1, 0.3]])
    assert judged(header("multiclass", (0, 1, 2)), scores)[0].tolist() == [1, 0]
    assert judged(header("multilabel"), scores)[0].tolist() == [[0, 1, 0], [1, 0, 0]]


def test_words_are_coded_by_the_file_and_null_is_no_number() -> None:
    seen: list[Any] = []
    model = BoostedModel(header("value"), lambda rows: seen.append(rows) or rows[:, 0])
    asked = served(model, ({"age": 3.0, "is_new": True, "site": "mid", "level": 20},))
    assert [feature.dtype for feature in asked.entry.signature.inputs] == ["float64", "bool", "string", "int64"]
    asked.answer(
        [{"age": None, "is_new": None, "site": None, "level": None}, {"age": 1, "is_new": True, "site": "left", "level": 10}]
    )
    assert np.array_equal(seen[-1], [[np.nan] * 4, [1.0, 1.0, 0.0, 0.0]], equal_nan=True)


def test_a_category_that_the_library_fails_on_is_refused_and_else_a_hole() -> None:
    row = {"age": 1.0, "is_new": False, "site": "lefd", "level": 10}
    with pytest.raises(InputError, match=r'expected one of "left", "mid" or null.*did you mean "left"'):
        served(BoostedModel(header("value"), lambda rows: rows[:, 2], closed=True)).answer([row])
    assert served(BoostedModel(header("value"), lambda rows: rows[:, 2])).answer([row]) == {"predictions": [None]}


def test_a_row_is_made_up_where_there_is_no_sample() -> None:
    signature = BoostedModel(header("binary", (0, 1)), lambda rows: rows[:, 0] * 0 + 0.5).signature(())
    assert [(output.name, output.shape, output.classes) for output in signature.outputs] == [
        ("predictions", (), (0, 1)),
        ("probabilities", (2,), (0, 1)),
    ]


def test_serve_method_chooses_one_output() -> None:
    plain = (Column("x0"), Column("x1"))

    def ask(rows: Any) -> Any:
        return rows[:, 0]

    rows = np.array([[0.25, 1.0]])
    only = BoostedModel(header("binary", (0, 1), plain), ask, method="predict_proba")
    assert only.predict(rows)["predictions"].tolist() == [[0.75, 0.25]]
    assert set(BoostedModel(header("binary", (0, 1), plain), ask, method="predict").predict(rows)) == {"predictions"}
    with pytest.raises(LoadError, match="told has no predict_proba; it has predict"):
        BoostedModel(header("value", (), plain), ask, method="predict_proba")
