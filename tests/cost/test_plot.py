"""A chart is well-formed, tells its units, and marks where another plan becomes the cheapest."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from math import log10

from cost_plans import INCOMPLETE, OWN, SERVERLESS, UNPRICED, changed
from pytest import approx

from mlship.cost.candidate import CostPlan
from mlship.cost.plot import Chart, Crossing, Series, at_rate, chart, crossings, rates, svg
from mlship.cost.workload import Hour, Traffic

SVG = "{http://www.w3.org/2000/svg}"


def priced(plan: CostPlan, rps: float) -> CostPlan:
    """Serverless: 4 dollars a month for each request a second. Others: 40 dollars for each 20 of them."""
    if plan.usd_month is None:
        return plan
    usd = 4 * rps if plan.candidate.purchase.name == "per-request" else 40.0 * (rps // 20 + 1)
    return replace(plan, usd_month=usd, is_overloaded=rps > 500)


def drawn(*plans: CostPlan) -> Chart:
    return chart(plans, priced, 10.0, "prices as of 2026-11-21")


def texts(document: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(document).iter(f"{SVG}text")]


def test_the_chart_is_well_formed_and_names_axes_units_and_plans():
    said = texts(svg(drawn(OWN, SERVERLESS, INCOMPLETE)))
    for wanted in (
        "US dollars a month against requests a second",
        "prices as of 2026-11-21",
        "requests a second, on average",
        "USD a month",
        "10 rps",
        "aws ecs 1 vCPU 2 GiB arm64 us-east-1, on-demand",
        "aws ecs 1 vCPU 2 GiB arm64 us-east-1, spot above 2 (at least: a price is unknown)",
    ):
        assert wanted in said
    assert {"0.1", "1", "10", "100"} <= set(said)


def test_names_are_escaped():
    named = Series("<script>\"&'", ((1.0, 2.0), (10.0, 3.0)))
    document = svg(Chart((named,), (Crossing(2.0, 2.5, "a", "<b>"),), None, "]]> & <\0"))
    assert "<script>\"&'" in texts(document) and "]]> & <?" in texts(document)
    assert "<script" not in document


def test_dark_pages_have_their_own_ink():
    assert "@media (prefers-color-scheme: dark)" in svg(drawn(OWN))


def test_the_break_even_is_marked_where_the_cheapest_plan_changes():
    (found,) = drawn(OWN, SERVERLESS).crossings
    assert (found.before.partition(" us")[0], found.after.partition(" us")[0]) == (
        "aws lambda 2 GiB",
        "aws ecs 1 vCPU 2 GiB arm64",
    )
    assert (found.rps, found.usd_month) == (approx(10), approx(40))
    assert any(said.startswith("from 10 rps on (864 k requests a day, $40.00)") for said in texts(svg(drawn(OWN, SERVERLESS))))


def test_an_incomplete_plan_is_drawn_and_never_the_cheapest():
    assert [one.is_complete for one in drawn(OWN, INCOMPLETE).series] == [True, False]
    cheap = Series("x", ((1.0, 1.0), (10.0, 1.0)), is_complete=False)
    dear = Series("y", ((1.0, 5.0), (10.0, 0.5)))
    assert list(crossings((cheap, dear))) == []


def test_lines_end_where_replicas_are_overloaded_or_nothing_is_known():
    own, none = drawn(OWN, UNPRICED).series[0], drawn(UNPRICED).series
    assert max(rps for rps, _ in own.points) <= 500 and none == ()
    assert texts(svg(Chart(())))


def test_rates_are_spaced_evenly_on_a_logarithmic_axis_around_the_traffic():
    found = rates(20.0)
    assert (found[0], found[-1]) == (approx(0.2), approx(20 * 10**1.5))
    assert log10(found[1] / found[0]) == approx(log10(found[-1] / found[-2]))
    assert (rates(None)[0], rates(None)[-1]) == (approx(0.1), approx(1000))


def test_absurd_rates_and_amounts_are_drawn_all_the_same():
    for points in (((1e-9, 1e-9), (1e9, 1e12)), ((5.0, 0.0),), ((1.0, 3.0), (1.0000001, 3.0))):
        ElementTree.fromstring(svg(Chart((Series("x", points),))))


def test_only_so_many_lines_are_drawn():
    many = [changed(OWN, instance=f"m{number}") for number in range(20)]
    assert len(drawn(*many).series) == 8


def test_traffic_at_another_rate_has_the_same_shape():
    traffic = Traffic((Hour(5.0, 547.5), Hour(65.0, 182.5)))
    assert at_rate(traffic, 40.0) == Traffic((Hour(10.0, 547.5), Hour(130.0, 182.5)))
    assert at_rate(None, 3.0).mean == approx(3.0)


def test_a_year_of_hours_is_drawn_by_its_levels():
    year = Traffic(tuple(Hour(10 + hour % 97 + hour / 1e6, 730 / 8760) for hour in range(8760)))
    shape = at_rate(year, 2 * year.mean)
    assert len(shape.steps) <= 102
    assert (shape.hours, shape.requests, shape.peak) == (approx(730), approx(2 * year.requests), approx(2 * year.peak))
