"""Histograms of real columns, and the index against the definition computed another way."""

from __future__ import annotations

from math import log
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer

from mlship.server.drift_index import DRIFTED, STABLE, bin_names, psi, word
from mlship.server.manifest import Feature, Histogram
from mlship.server.monitoring.drift_bins import bins_of, histogram_of, is_counted, scored

LOADED = load_breast_cancer()
TUMOURS = LOADED.data


def histogram(values: Any) -> Histogram:
    found = histogram_of(values)
    assert found is not None
    return found


def index(reference: Any, live: Any) -> float:
    bins = histogram(reference)
    return psi(bin_names(bins), bins.counts, tuple(bins_of(bins).counts(live)))


def defined(reference: Any, live: Any) -> float:
    """The same by numpy.histogram between quantiles, and half a row in each bin."""
    ordered = np.sort(reference)
    cuts = np.quantile(ordered, np.arange(1, 10) / 10, method="inverted_cdf")
    edges = [-np.inf, *np.nextafter(cuts, np.inf), np.inf]  # numpy's bins have their lower edge, these have their upper one
    was, now = (np.histogram(side, edges)[0] + 0.5 for side in (reference, live))
    was, now = was / was.sum(), now / now.sum()
    return float(((now - was) * np.log(now / was)).sum())


@pytest.mark.parametrize("column", [0, 3, 7, 13, 29])
@pytest.mark.parametrize("factor", [1.0, 1.03, 1.3, 3.0])
def test_the_index_is_that_of_the_definition(column: int, factor: float) -> None:
    reference, live = TUMOURS[::2, column], TUMOURS[1::2, column] * factor
    assert index(reference.tolist(), live) == pytest.approx(defined(reference, live), abs=1e-9)


def test_the_usual_words_tell_real_columns_apart() -> None:
    halves = [word(index(TUMOURS[::2, column].tolist(), TUMOURS[1::2, column])) for column in range(30)]
    assert set(halves) <= {"stable", "moving"} and halves.count("stable") > 20
    assert all(word(index(TUMOURS[:, column].tolist(), TUMOURS[:, column] * 2.54)) == "drifted" for column in (0, 1, 2, 3))
    assert [word(at) for at in (0.0, STABLE - 1e-9, STABLE, DRIFTED - 1e-9, DRIFTED)] == [
        "stable", "stable", "moving", "moving", "drifted"
    ]  # fmt: skip
    assert (word(0.15, 0.12), word(0.05, 0.05)) == ("drifted", "drifted")


def test_numbers_lie_in_tenths_and_what_is_beyond_them_is_told_apart() -> None:
    column = TUMOURS[:, 0]
    found = histogram(column.tolist())
    assert (found.kind, len(found.edges), bin_names(found)[0], bin_names(found)[-2:]) == (
        "number",
        11,
        "under",
        ("over", "null"),
    )
    under, *tenths, over, nulls = found.counts
    assert (under, over, nulls, sum(tenths)) == (0, 0, 0, len(column)) and max(tenths) - min(tenths) <= 2
    live = [1.0, float(column.min()), float(column.max()), 99.0, None]
    assert bins_of(found).counts(live).tolist() == [1, 1, *[0] * 8, 1, 1, 1]
    assert bins_of(found).counts(np.array([np.nan, 99.0])).tolist() == [*[0] * 11, 1, 1]


def test_few_numbers_are_values_and_another_unit_is_another_value() -> None:
    sexes = np.where(LOADED.target, -0.0446, 0.0507)
    found = histogram(sexes.tolist())
    assert (found.kind, len(found.values)) == ("category", 2)
    assert bins_of(found).counts(sexes.astype("float32")).tolist() == list(found.counts), (
        "a float32 is the double that it stands for"
    )
    assert bins_of(found).counts([0.5, None]).tolist() == [0, 0, 1, 1]
    assert histogram([True, False, None] * 40).values == (0, 1)
    assert word(index(sexes.tolist(), sexes * 10)) == "drifted"


def test_nearly_all_rows_with_one_value_leave_a_bin_for_the_others() -> None:
    rain = [0.0] * 950 + [at / 7 for at in range(1, 51)]
    assert histogram(rain).counts == (0, 950, 50, 0, 0)
    full = [100.0] * 950 + [at / 7 for at in range(1, 51)]
    assert histogram(full).counts == (0, 50, 950, 0, 0)
    assert word(index(rain, [0.0] * 500 + [3.0] * 500)) == "drifted"
    assert word(index([7] * 300, [8] * 600)) == "drifted", "one value alone has a bin beside it"


def test_texts_are_frequent_values_or_lengths() -> None:
    kinds = [str(LOADED.target_names[at]) for at in LOADED.target]
    found = histogram([*kinds, None, *(f"seldom {at}" for at in range(4))])
    assert (found.kind, found.values) == ("category", ("benign", "malignant"))
    assert found.counts == (357, 212, 4, 1) and bin_names(found) == ("1", "2", "other", "null")
    assert bins_of(found).counts(["malignant", "unsure", None]).tolist() == [0, 1, 1, 1]
    names = [f"person {at * at}" for at in range(400)]
    lengths = histogram(names)
    assert lengths.kind == "length" and not lengths.values, "nobody's name stands in a manifest"
    assert word(index(names, [name * 3 for name in names])) == "drifted"


def test_a_bin_has_twenty_rows_of_a_small_reference() -> None:
    assert [len(histogram(TUMOURS[:rows, 0].tolist()).edges) - 1 for rows in (50, 100, 150, 569)] == [2, 5, 7, 10]


def test_holes_are_compared_too_and_other_things_are_not() -> None:
    column = TUMOURS[:, 0].tolist()
    assert word(index(column, [*column[:300], *[None] * 269])) == "drifted"
    assert histogram([None] * 100).counts == (0, 100)
    assert bins_of(histogram(column)).counts([15.0, "a", None]).tolist()[-1] == 2, "a text is no number"
    assert histogram_of([[1, 2], [3, 4]]) is None and histogram_of([1, "a"]) is None
    assert [is_counted(feature) for feature in (Feature("a"), Feature("b", "datetime"), Feature("c", shape=(28, 28)))] == [
        True, False, False
    ]  # fmt: skip


def test_an_empty_bin_is_half_a_row_and_one_that_is_empty_on_both_sides_is_none() -> None:
    names = ("1", "2", "other", "null")
    shares = (90.5 / 101, 10.5 / 101), (100.5 / 101, 0.5 / 101)
    told = sum((now - was) * log(now / was) for was, now in zip(*shares, strict=True))
    assert psi(names, (90, 10, 0, 0), (100, 0, 0, 0)) == pytest.approx(told)
    assert psi(names, (90, 10, 0, 0), (0, 0, 0, 0)) == 0


def test_of_an_answer_the_score_the_class_or_the_number_is_compared() -> None:
    assert scored({"predictions": ["a", "b"], "probabilities": [[0.9, 0.1], [0.2, 0.8]]}) == [0.1, 0.8]
    assert scored({"predictions": ["a"], "probabilities": [[0.5, 0.2, 0.3]]}) == ["a"]
    assert scored({"predictions": [[0.5, 0.2, 0.3], [None, 1.0, 2.0]]}) == [0, None]
    assert scored({"predictions": [[3.5], [4.5]]}) == [3.5, 4.5] and scored({"predictions": [1.5]}) == [1.5]
    assert scored({"predictions": [[[1.0]]]}) is None and scored({"predictions": [{"box": 1}]}) is None
