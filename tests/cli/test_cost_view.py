"""What people see of an estimate, as whole texts."""

from __future__ import annotations

from dataclasses import replace

from cost_plans import INCOMPLETE, MACHINE, OWN, SERVERLESS, SPOT, UNPRICED, WORKLOAD, changed

from mlship.cli.views.cost import brief_text, budget_text, cost_text, diff_text, head_text, plans_table
from mlship.cost.diff import diff
from mlship.cost.workload import Hour, Traffic, Workload
from mlship.flows.cost_estimate import CurvePoint, Estimated
from mlship.flows.costing.gate import Limit, budget

FOUND = Estimated((OWN, SERVERLESS, INCOMPLETE), 0, WORKLOAD, "2026-11-21")


def test_the_table_has_the_whole_estimate():
    found = replace(
        FOUND,
        why_not=("aws sagemaker ml.m7g.large: $12.00 more",),
        advice=("from 1.7 M requests a day on lambda costs more",),
        budget=budget(OWN, (Limit(150, "month", "mlship.yaml:31"),)),
    )
    assert cost_text(found, today="2026-11-22", suggestion="mlship deploy") == (
        "20 rps mean, 65 peak (mlship.yaml:31)   52.6 M requests a month   service time 6 ms (build)   p99 at most 100 ms\n"
        "  target                                purchase      replicas             $/month             $/M    idle    p99\n"
        "  aws ecs 1 vCPU 2 GiB arm64 us-east-1  on-demand     2 / 2.2 / 6           $81.40           $1.55  $81.40  18 ms"
        "  <- asked for\n"
        "  aws lambda 2 GiB us-east-1            per request   -                     $21.02           $0.40      $0  31 ms\n"
        "  aws ecs 1 vCPU 2 GiB arm64 us-east-1  spot above 2  2 / 2.2 / 6  at least $81.40  at least $1.55  $81.40  18 ms\n"
        "In $81.40: Fargate 57.67, load balancer 16.43, public IPv4 7.30\n"
        "Not included: LCU\n"
        "Why not\n"
        "  - aws sagemaker ml.m7g.large: $12.00 more\n"
        "From when on another is cheaper\n"
        "  - from 1.7 M requests a day on lambda costs more\n"
        "Assumed\n"
        "  - a month has 730 hours\n"
        "  - ecs arm64: 1 vCPU, whole cores (assumed)\n"
        "  - each request finds a replica of its own\n"
        "Prices as of 2026-11-21; those used are of 2026-03 to 2026-10\n"
        "Budget: ok, $81.40 of $150.00 a month\n"
        "Next: mlship deploy"
    )


def test_several_regions_have_a_column_and_old_spot_prices_a_range_with_its_age():
    said = cost_text(replace(FOUND, plans=(SPOT, OWN), chosen=-1), today="2026-11-22").splitlines()
    assert said[1:4] == [
        "  target                      region     purchase               replicas               $/month    $/M    idle    p99",
        "  aws vm m7g.large            us-west-2  reserved 1y x2 + spot  2 / 2.2 / 6  $83.70 to $123.90  $1.55  $81.40  18 ms",
        "  aws ecs 1 vCPU 2 GiB arm64  us-east-1  on-demand              2 / 2.2 / 6             $81.40  $1.55  $81.40  18 ms",
    ]
    assert "Spot: about 0.28 interruptions a month" in said
    assert "In $107.80: m7g.large committed 1y 59.50, m7g.large spot 48.30" in said
    assert " ".join(" ".join(said).split()).endswith("Spot prices are up to 512 days old: what they may be now is a range")


def test_spot_prices_of_no_day_are_said_to_be_so():
    undated = replace(SPOT, lines=tuple(replace(line, dated="2026-Q3") for line in SPOT.lines))
    said = cost_text(replace(FOUND, plans=(undated,), chosen=-1), today="2026-11-22")
    assert "Spot prices are of a day that nobody knows: what they may be now is a range" in " ".join(said.split())


def test_young_spot_prices_have_no_age():
    assert "days old" not in cost_text(replace(FOUND, plans=(SPOT,)), today="2025-07-01")


def test_what_is_unknown_is_named_with_what_it_is_elsewhere():
    plan = replace(INCOMPLETE, neighbours=("fargate_spot vcpu like us-east-1, unverified: $16.43",))
    said = cost_text(replace(FOUND, plans=(plan,), chosen=-1), today="2026-11-22")
    assert (
        "In the $81.40 that are known: Fargate 57.67, load balancer 16.43, public IPv4 7.30\n"
        "Unknown: aws us-east-1 fargate_spot vcpu_arm64\n"
        "  fargate_spot vcpu like us-east-1, unverified: $16.43\n"
    ) in said
    assert "Spot: nobody tells how often aws interrupts" in said


def test_a_plan_of_which_nothing_is_known_says_so():
    said = cost_text(replace(FOUND, plans=(UNPRICED,), chosen=-1), today="2026-11-22")
    assert "unknown  unknown  unknown" in said and "Unknown: aws x" in said and "In " not in said


def test_a_plain_machine_says_how_to_deploy_to_it():
    plan = changed(OWN, **vars(MACHINE))
    assert "vm: a machine of your own" in cost_text(replace(FOUND, plans=(plan,)), today="2026-11-22")
    assert "vm:" not in cost_text(FOUND, today="2026-11-22")


def test_without_traffic_there_is_the_idle_floor_and_a_curve():
    none = replace(OWN, usd_per_million=None, p99_ms=None)
    curve = (CurvePoint(0, none), CurvePoint(1, OWN), CurvePoint(100, replace(OWN, is_overloaded=True)))
    found = Estimated((none,), 0, Workload(), "2026-11-21", curve=curve)
    said = cost_text(found, today="2026-11-22").splitlines()
    assert said[0] == "No traffic is said: what it costs when nobody calls"
    assert said[5:9] == [
        "   rps     replicas  $/month    $/M         p99",
        "  idle  2 / 2.2 / 6   $81.40      -           -",
        "     1  2 / 2.2 / 6   $81.40  $1.55       18 ms",
        "   100  2 / 2.2 / 6   $81.40  $1.55  overloaded",
    ]


def test_no_plan_is_said():
    said = cost_text(Estimated((), -1, WORKLOAD, "2026-11-21"), today="2026-11-22")
    assert "no plan keeps what was asked for" in said


def test_a_flat_rate_is_one_number():
    assert head_text(Workload(Traffic((Hour(0.25, 730.0),)))) == "0.25 rps   657 k requests a month"


def test_assumptions_of_many_plans_are_counted_after_some():
    others = tuple(changed(replace(OWN, assumptions=(f"m{n}: assumed",)), instance=f"m{n}") for n in range(12))
    said = cost_text(replace(FOUND, plans=(OWN, *others)), today="2026-11-22")
    assert "m7: assumed" in said and "m8: assumed" not in said and "  - and 4 more: --json lists them" in said


def test_no_line_ends_with_a_blank_and_none_of_the_text_is_wider_than_a_page():
    said = cost_text(replace(FOUND, plans=(OWN, SPOT, UNPRICED, SERVERLESS)), today="2026-11-22").splitlines()
    assert [line for line in said if line != line.rstrip()] == []
    assert max(map(len, said)) <= 140


def test_a_difference_stands_above_the_estimate():
    after = replace(OWN, usd_month=93.8, usd_per_million=1.7846)
    assert diff_text(diff(OWN, after), "main") == (
        "Against main: +$12.40 a month (+15 %)\n"
        "                      main    now     difference\n"
        "  a month             $81.40  $93.80  +$12.40\n"
        "  a million requests  $1.55   $1.78   +$0.24"
    )


def test_the_budget_that_is_not_kept_is_said_and_quiet_prints_figures_alone():
    assert budget_text(budget(OWN, (Limit(80, "month", "x"),))) == (
        "Budget: not kept, the plan costs $81.40 a month, and the limit is $80.00"
    )
    assert budget_text(None) == ""
    assert brief_text((OWN, UNPRICED)) == "81.40\nunknown"
    assert brief_text((OWN, UNPRICED), 0) == "81.40"


def test_the_table_alone_has_no_arrow_for_a_single_plan():
    assert "<-" not in plans_table((OWN,), 0)
