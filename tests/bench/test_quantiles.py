"""Quantiles stand for what was measured."""

import math

import pytest

from mlship.bench.quantiles import quantile, quantiles


def test_a_quantile_is_a_measured_value() -> None:
    times = [1.0, 2.0, 3.0, 4.0]
    assert [quantile(times, share) for share in (0, 0.25, 0.26, 0.5, 0.99, 1)] == [1, 1, 2, 2, 4, 4]
    assert quantile(list(range(1, 101)), 0.99) == 99
    assert math.isinf(quantile([], 0.5))


def test_quantiles_keep_mean_and_median() -> None:
    times = [index**1.5 for index in range(1234)]
    kept = quantiles(times, 500)
    assert len(kept) == 500 and list(kept) == sorted(kept)
    assert sum(kept) / 500 == pytest.approx(sum(times) / len(times), rel=1e-4)
    assert quantile(kept, 0.5) == pytest.approx(quantile(times, 0.5), rel=0.01)
    assert times[0] <= kept[0] and kept[-1] <= times[-1]


@pytest.mark.parametrize("times", [[0.01], [0.01, 0.01], [0.01] * 7])
def test_few_values_become_many(times: list[float]) -> None:
    assert quantiles(times, 400) == (0.01,) * 400


def test_no_rounding_brings_quantiles_out_of_order() -> None:
    for count in range(1, 60):
        kept = quantiles([0.01, 0.01 + 1e-17, 0.1, 0.1, 0.1 + 2e-17, 0.3], count)
        assert list(kept) == sorted(kept) and kept[-1] <= 0.3


def test_as_many_quantiles_as_values_are_the_values() -> None:
    assert quantiles([1.0, 5.0, 6.0], 3) == pytest.approx((1.0, 5.0, 6.0))
    assert quantiles([], 400) == ()
