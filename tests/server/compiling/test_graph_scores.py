"""From rows to scores around a graph of trees: in which order it is asked, and what is made of what it gives."""

from __future__ import annotations

from typing import Any

import numpy
import pytest

from mlship.server.runtimes.onnx_compiled import FEW, Scores, alike

SAID: dict[str, Any] = {"gives": "sums", "dtype": "float32", "holes": True, "divisor": 0.0, "votes": 0}
ROWS: Any = numpy.random.default_rng(0).normal(size=(40, 3))


class Graph:
    """Gives a row's first number, and remembers the order in which it was asked."""

    def __init__(self) -> None:
        self.asked: list[float] = []

    def __call__(self, rows: Any) -> Any:
        self.asked = rows[:, 1].tolist()
        return rows[:, :1]


@pytest.mark.parametrize("holes", [0, 5])
def test_rows_that_are_alike_stand_together_and_each_gets_its_own_answer(holes: int):
    graph, rows = Graph(), ROWS.copy()
    rows[:holes, 1] = numpy.nan
    assert alike(graph, 1)(rows).tolist() == rows[:, :1].tolist()
    known = graph.asked[: len(rows) - holes]
    assert known == sorted(known) and numpy.isnan(graph.asked[len(known) :]).all()


def test_few_rows_are_asked_as_they_came():
    graph = Graph()
    alike(graph, 1)(ROWS[: FEW - 1])
    assert graph.asked == ROWS[: FEW - 1, 1].tolist()


@pytest.mark.parametrize("count", [1, 40])
def test_of_two_classes_the_votes_for_the_first_are_those_that_the_second_has_not(count: int):
    votes: Any = numpy.arange(count, dtype="float32") % 8
    scores = Scores({**SAID, "divisor": 7.0, "votes": 7}, 0, lambda rows: votes[rows[:, 0].astype(int)].reshape(-1, 1))
    rows: Any = numpy.arange(count, dtype="float64").reshape(-1, 1)[::-1]
    expected = [[(7 - vote) / 7, vote / 7] for vote in votes[::-1].tolist()]
    assert scores(rows).tolist() == expected
