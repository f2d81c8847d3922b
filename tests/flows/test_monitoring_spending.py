"""What an alert on money knows, and why there is none."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cost_plans import INCOMPLETE, OWN, SERVERLESS, UNPRICED

from mlship.cost.candidate import CostPlan
from mlship.flows.monitoring.spending import HOURS, Spending, spending_of
from mlship.targets.base import Resource

METERS = (
    Resource("task", "Fargate", billed="scaled"),
    Resource("address", "public IPv4", billed="scaled"),
    Resource("front", "balancer"),
)


def metered(plan: CostPlan) -> CostPlan:
    return replace(plan, candidate=replace(plan.candidate, resources=METERS))


def test_copies_are_counted_at_their_own_price_and_the_rest_once() -> None:
    found = spending_of(metered(OWN), 150.0, sees_every_copy=True)
    assert isinstance(found, Spending) and OWN.usd_month
    assert (found.copy_usd_hour * OWN.replicas.average + found.fixed_usd_hour) * HOURS == pytest.approx(OWN.usd_month)
    assert found.fixed_usd_hour * HOURS == pytest.approx(16.43)
    assert found.million_usd == 0 and "for each copy that answers" in found.words


def test_what_is_billed_by_the_request_is_counted_by_requests() -> None:
    found = spending_of(SERVERLESS, 150.0, sees_every_copy=False)
    assert isinstance(found, Spending) and found.million_usd == SERVERLESS.usd_per_million


@pytest.mark.parametrize(
    ("plan", "sees_every_copy", "words"),
    [
        (OWN, True, "bills nothing by the copy"),
        (UNPRICED, True, "a price is unknown: aws x"),
        (metered(INCOMPLETE), True, "a price is unknown: aws us-east-1 fargate_spot"),
        (metered(OWN), False, "not the copies behind it"),
        (replace(SERVERLESS, usd_per_million=None), True, "the price of a million requests is unknown"),
    ],
)
def test_where_nothing_is_known_there_is_a_reason_and_no_rule(plan: CostPlan, sees_every_copy: bool, words: str) -> None:
    found = spending_of(plan, 150.0, sees_every_copy)
    assert isinstance(found, str) and words in found
