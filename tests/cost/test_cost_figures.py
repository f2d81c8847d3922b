"""Amounts as people read them."""

from __future__ import annotations

import pytest
from cost_plans import FUNCTION, INCOMPLETE, MACHINE, OWN, SPOT, UNPRICED, changed

from mlship.cost.candidate import Purchase, Replicas
from mlship.cost.figures import (
    count_text,
    milliseconds,
    month_text,
    per_million_text,
    purchase_text,
    replicas_text,
    subject,
    usd,
)


@pytest.mark.parametrize(
    ("amount", "said"),
    [
        (None, "unknown"),
        (0.0, "$0"),
        (0.004, "< $0.01"),
        (-0.004, "> -$0.01"),
        (0.005, "$0.01"),
        (81.4, "$81.40"),
        (1234.5, "$1,234.50"),
        (-3.2, "-$3.20"),
        (5e13, "$5e+13"),
    ],
)
def test_dollars(amount: float | None, said: str):
    assert usd(amount) == said


def test_a_month_says_what_is_unknown_of_it():
    assert [month_text(plan) for plan in (OWN, INCOMPLETE, SPOT, UNPRICED)] == [
        "$81.40",
        "at least $81.40",
        "$83.70 to $123.90",
        "unknown",
    ]


def test_a_million_without_traffic_is_no_number():
    assert per_million_text(OWN) == "$1.55"
    assert per_million_text(INCOMPLETE) == "at least $1.55"
    assert per_million_text(UNPRICED) == "unknown"
    from dataclasses import replace

    assert per_million_text(replace(OWN, usd_per_million=None)) == "-"


def test_replicas_are_one_number_where_they_never_change():
    assert replicas_text(Replicas(3, 3.0, 3)) == "3"
    assert replicas_text(Replicas(2, 2.25, 6)) == "2 / 2.2 / 6"
    assert replicas_text(Replicas(0, 4321.0, 9000)) == "0 / 4,321 / 9000"


def test_counts_and_times():
    assert [count_text(value) for value in (740, 18_300, 52.56e6, 1.2e9)] == ["740", "18.3 k", "52.6 M", "1.2 G"]
    assert [count_text(value) for value in (999_499, 999_950, 999.6e6, 1.314e12)] == ["999 k", "1 M", "1 G", "1.31 T"]
    assert [milliseconds(value) for value in (None, 0.42, 18.4, 999.6, 1234.0)] == ["-", "0.42 ms", "18 ms", "1 s", "1.23 s"]
    assert [milliseconds(value * 1000) for value in (59.97, 1200, 5400, 1e8)] == ["1 min", "20 min", "1.5 h", "27,778 h"]


@pytest.mark.parametrize(
    ("purchase", "said"),
    [
        (Purchase(), "on-demand"),
        (Purchase("per-request"), "per request"),
        (Purchase("reserved", term="3y"), "reserved 3y"),
        (Purchase("reserved", upfront="all"), "reserved 1y (all upfront)"),
        (Purchase("reserved+on-demand", base=2), "reserved 1y x2 + on-demand"),
        (Purchase("reserved+spot"), "reserved 1y + spot"),
        (Purchase("on-demand+spot", base=2), "spot above 2"),
        (Purchase("on-demand+spot", on_demand_share=0.25), "on-demand + spot, 25 % of it on demand"),
    ],
)
def test_purchases(purchase: Purchase, said: str):
    assert purchase_text(purchase) == said


def test_what_is_served_says_its_processor_where_the_type_does_not():
    assert subject(OWN) == "aws ecs 1 vCPU 2 GiB arm64"
    assert subject(changed(OWN, **vars(MACHINE))) == "aws vm m7g.large"
    assert subject(changed(OWN, **vars(FUNCTION))) == "aws lambda 2 GiB"
