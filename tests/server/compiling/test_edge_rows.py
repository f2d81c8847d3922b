"""The rows that a compiled model is proved on beside the caller's own: what they hold, and what they find out."""

from __future__ import annotations

from math import inf, nextafter
from typing import Any

import numpy
import pytest

from mlship.server.compiling.edge_rows import BEYOND_FLOAT32, FAR, edge_rows
from mlship.server.compiling.encoders import UNKNOWN
from mlship.server.manifest import Feature, Signature

SPLIT = 0.1  # no float32
SIGNATURE = Signature(
    (
        Feature("fee", "float64", nullable=True, minimum=0.0, maximum=9.5),
        Feature("calls", "int64", minimum=0.0, maximum=40.0),
        Feature("city", "string", nullable=True),
    )
)
CITIES: dict[str, Any] = {"step": "lookup", "column": 2, "values": ["Oslo", "Rome"]}
HEADER: dict[str, Any] = {"features": {"step": "join", "parts": [{"step": "take", "columns": [0, 1]}, CITIES]}}
ARRAYS: dict[str, Any] = {"threshold": numpy.array([SPLIT, inf]), "feature": numpy.array([0, 0])}
SAMPLE = [[5.0, 3, "Oslo"]]


@pytest.fixture(scope="module")
def rows() -> list[list[Any]]:
    return edge_rows(SIGNATURE, SAMPLE, HEADER, ARRAYS)


@pytest.mark.parametrize(
    ("place", "values"),
    [
        (0, {None, 0.0, 9.5, -0.5, 10.0, FAR, -FAR, BEYOND_FLOAT32}),
        (1, {0, 40, -1, 41, int(FAR)}),
        (2, {None, "Oslo", "Rome", UNKNOWN, "", " "}),
    ],
)
def test_they_hold_bounds_what_lies_beyond_holes_and_words_that_nobody_knows(
    place: int, values: set[Any], rows: list[list[Any]]
):
    assert values <= {row[place] for row in rows}


def test_they_stand_on_a_split_beside_it_and_on_the_float32_around_it(rows: list[list[Any]]):
    near = numpy.float32(SPLIT)
    around = {float(near), *(float(numpy.nextafter(near, numpy.float32(end))) for end in (inf, -inf))}
    assert {SPLIT, nextafter(SPLIT, inf), nextafter(SPLIT, -inf)} | around <= {row[0] for row in rows}


def test_each_is_an_ordinary_row_with_one_value_changed_but_for_all_holes(rows: list[list[Any]]):
    changed = [sum(repr(one) != repr(other) for one, other in zip(row, SAMPLE[0], strict=True)) for row in rows]
    assert sorted(changed)[-2:] == [1, 2] and rows[changed.index(2)] == [None, 3, None]
