"""What a month may cost: kept, broken, and what nobody can tell."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mlship.cost.candidate import Candidate, CostPlan, Purchase, Replicas
from mlship.cost.workload import Unit
from mlship.errors import Exit, MlshipError
from mlship.flows.costing.gate import Limit, budget, refuse_over_budget

CANDIDATE = Candidate("aws", "vm", "us-east-1", Purchase(), Unit(2), (), "m7g.large", "arm64")
PLAN = CostPlan(CANDIDATE, Replicas(2, 2.0, 6), 81.4, 81.4 / 730, 1.55)
UNKNOWN = CostPlan(CANDIDATE, Replicas(2, 2.0, 6), 81.4, 81.4 / 730, 1.55, unknowns=("Fargate Spot has no price",))
MONTHLY = Limit(150, "month", "mlship.yaml:31:3 cost.budget.monthly")


def refused(plan: CostPlan | None, *limits: Limit, is_strict: bool = False) -> str:
    with pytest.raises(MlshipError) as caught:
        refuse_over_budget(budget(plan, limits, is_strict=is_strict))
    assert caught.value.exit is Exit.OVER_BUDGET
    return f"{caught.value.code}: {caught.value}"


def test_without_a_limit_nothing_is_judged():
    assert budget(UNKNOWN, ()) is None
    refuse_over_budget(None)


def test_a_budget_that_is_kept_says_so_for_each_limit():
    found = budget(PLAN, (MONTHLY, Limit(2, "million", "mlship.yaml:31:3 cost.budget.per_million")), is_strict=True)
    assert found is not None and found.ok
    assert (found.limit_usd, found.spent_usd) == (150, 81.4)
    assert found.why == "$81.40 of $150.00 a month; $1.55 of $2.00 per million requests"
    refuse_over_budget(found)


def test_exactly_the_limit_keeps_it():
    found = budget(PLAN, (Limit(81.4, "month", "--max-monthly"),))
    assert found is not None and found.ok


def test_less_than_half_a_cent_of_a_month_is_no_miss():
    plan = replace(PLAN, usd_month=81.4049, usd_per_million=0.404)
    found = budget(plan, (Limit(81.4, "month", "--max-monthly"), Limit(0.403, "million", "x")))
    assert found is not None and found.ok and found.why == "$81.40 of $81.40 a month; $0.40 of $0.40 per million requests"
    assert "costs $81.41 a month, and the limit is $81.40" in refused(
        replace(PLAN, usd_month=81.406), Limit(81.4, "month", "x")
    )


def test_what_differs_is_shown_with_the_digits_that_differ():
    for spent, limit, told in ((0.404, 0.4, "$0.404 per million requests, and the limit is $0.400"),
                               (0.004, 0.001, "$0.004 per million requests, and the limit is $0.001"),
                               (4e-4, 0, "< $0.01 per million requests, and the limit is $0")):  # fmt: skip
        assert told in refused(replace(PLAN, usd_per_million=spent), Limit(limit, "million", "x"))


def test_more_than_the_limit_names_figure_limit_place_and_fix():
    assert refused(PLAN, Limit(80, "month", "mlship.yaml:31:3 cost.budget.monthly")) == (
        "over-budget: mlship.yaml:31:3 cost.budget.monthly  the plan costs $81.40 a month, and the limit is $80.00; "
        "raise it to 82 USD, or look for a cheaper plan: mlship cost-estimate --optimise"
    )
    assert refused(PLAN, Limit(1.5, "million", "--x")).startswith("over-budget: --x  the plan costs $1.55 per million requests")


def test_of_several_limits_the_broken_one_is_told():
    assert "the limit is $80.00" in refused(PLAN, MONTHLY, Limit(80, "month", "--max-monthly"))


def test_an_unknown_price_breaks_a_limit_that_its_known_part_keeps():
    assert refused(UNKNOWN, MONTHLY) == (
        "unknown-price: mlship.yaml:31:3 cost.budget.monthly  nobody can tell whether $150.00 a month is kept: unknown is "
        "Fargate Spot has no price; mlship prices refresh, or write the price into cost.price_overrides or --prices FILE"
    )


def test_a_known_part_above_the_limit_is_over_it_whatever_the_rest_costs():
    assert "the plan costs at least $81.40 a month" in refused(UNKNOWN, Limit(80, "month", "--max-monthly"))


def test_a_service_time_that_nobody_measured_is_measured_and_not_bought():
    plan = CostPlan(CANDIDATE, Replicas(1, 1, 1), None, None, unknowns=("service time: mlship bench measures it",))
    assert refused(plan, MONTHLY).endswith("; mlship bench, or say --service-time 10ms or cost.service_time")


def test_strict_refuses_any_unknown_price_and_nothing_else():
    assert refused(UNKNOWN, is_strict=True).startswith("unknown-price: --strict  a price is unknown: Fargate Spot has no price")
    found = budget(PLAN, (), is_strict=True)
    assert found is not None and found.ok and found.limit_usd is None


def test_a_price_per_million_needs_traffic():
    plan = CostPlan(CANDIDATE, Replicas(2, 2.0, 2), 81.4, 0.11)
    assert "there is no traffic to count requests by; say cost.traffic, or --rps" in refused(plan, Limit(2, "million", "x"))


def test_requests_that_nobody_answers_make_no_cheap_plan():
    overloaded = replace(PLAN, is_overloaded=True)
    said = refused(overloaded, Limit(2, "million", "mlship.yaml:31:3 cost.budget.per_million"))
    why = "nobody can tell whether $2.00 per million requests is kept: 6 replicas do not carry the traffic"
    assert said == f"overloaded: mlship.yaml:31:3 cost.budget.per_million  {why}; allow more replicas, or larger ones"
    assert "nobody can tell whether $150.00 a month is kept: 6 replicas do not carry" in refused(overloaded, MONTHLY)


def test_no_plan_passes_no_gate():
    assert "there is no plan to judge" in refused(None, is_strict=True)


def test_a_budget_that_older_spot_prices_may_break_is_kept_and_said_to_be_near():
    plan = CostPlan(CANDIDATE, Replicas(2, 2.0, 6), 81.4, 0.11, spot_range=(61.0, 160.0))
    found = budget(plan, (MONTHLY,))
    assert found is not None and found.ok
    assert found.why == "$81.40 of $150.00 a month, up to $160.00 if spot prices rose since"


def test_many_unknown_prices_are_counted():
    plan = CostPlan(CANDIDATE, Replicas(1, 1, 1), None, None, unknowns=("a", "b", "c", "d", "e"))
    assert "unknown is a, b, c and 2 more" in refused(plan, MONTHLY)
