"""From which traffic on a service that bills each request costs more than what is always on."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest

from mlship.cost.book import Machine, Offer, PriceBook, ServicePrice, book_of
from mlship.cost.break_even import FEWEST, MOST, Crossing, break_even, crossing, flat
from mlship.cost.candidate import Candidate, Purchase, PurchaseName
from mlship.cost.estimate import estimate
from mlship.cost.workload import ServiceTime, Unit, Workload
from mlship.targets.base import PriceKey, Resource

MONTH_DAYS = 730 / 24
WORK = Workload(None, ServiceTime(0.006), 0.05)


def book(per_request: float | None = 2e-7, reserved: float | None = 0.05) -> PriceBook:
    machine = Machine("aws", "m7g.large", "m7g", "general", "arm64", 2.0, 8.0, "", 0, True)
    request = ServicePrice("aws", "lambda", "us-east-1", "request", "request", per_request)
    return book_of("2026-11-21", [Offer(machine, "us-east-1", 0.08, reserved_1y=reserved)], [request])


def serverless() -> Candidate:
    key = PriceKey("aws", "us-east-1", service="lambda", item="request")
    request = Resource("request", "requests", unit="request", billed="request", price=key)
    return Candidate("aws", "lambda", "us-east-1", Purchase("per-request"), Unit(1), (request,), size="2 GiB")


def always_on(purchase: PurchaseName = "on-demand") -> Candidate:
    key = PriceKey("aws", "us-east-1", instance="m7g.large")
    machine = Resource("instance", "m7g.large", unit="hour", billed="scaled", price=key)
    return Candidate("aws", "vm", "us-east-1", Purchase(purchase), Unit(2), (machine,), "m7g.large", "arm64")


def test_the_first_request_that_makes_it_dearer_is_found_and_estimated_so():
    [told] = break_even(serverless(), [always_on("reserved")], WORK, book())
    exact = 730 * 0.05 / 2e-7 / MONTH_DAYS
    assert told == "from 6 M requests a day on, aws vm m7g.large reserved 1y costs less than aws lambda 2 GiB"
    for daily, is_less in ((int(exact), False), (int(exact) + 1, True)):
        work = flat(WORK, daily)
        requests, machine = (estimate(one, work, book()).usd_month for one in (serverless(), always_on("reserved")))
        assert (machine < requests) is is_less  # type: ignore[operator]


def test_a_commitment_pays_from_less_traffic_on():
    told = break_even(serverless(), [always_on(), always_on("reserved")], WORK, book())
    assert [text.split()[1] for text in told] == ["9.6", "6"]


def test_replicas_that_nobody_asks_for_do_not_wait():
    key = PriceKey("aws", "us-east-1", service="lambda", item="request")
    waiting = Resource("idle", "waiting replicas", unit="request", billed="idle", price=key)
    kept = replace(serverless(), resources=(*serverless().resources, waiting))
    unsaid, none = replace(WORK, is_least_said=False), replace(WORK, replicas=(0, None))
    assert break_even(kept, [always_on()], unsaid, book()) == break_even(kept, [always_on()], none, book())
    assert break_even(kept, [always_on()], unsaid, book()) != break_even(kept, [always_on()], WORK, book())


ADVICE = {
    "up to 1 G requests a day aws vm m7g.large on-demand never costs less than aws lambda 2 GiB": (1e-10, WORK),
    "from 100 requests a day on, aws vm m7g.large on-demand costs less than aws lambda 2 GiB": (0.1, WORK),
    "from 9.6 M requests a day on, aws vm m7g.large on-demand costs less than aws lambda 2 GiB, up to 28.8 M": (
        2e-7,
        Workload(None, ServiceTime(0.006), None, (1, 1)),
    ),
    "aws vm m7g.large on-demand and aws lambda 2 GiB cannot be compared: aws lambda 2 GiB has an unknown price": (None, WORK),
}


@pytest.mark.parametrize("told", ADVICE)
def test_advice(told):
    per_request, work = ADVICE[told]
    assert break_even(serverless(), [always_on()], work, book(per_request)) == (told,)


def test_a_step_after_which_it_costs_more_again_is_told():
    """A replica costs as much as 16 M requests a day and carries 20.2 M at a load of 70 %: the fourth still starts too early."""
    told = break_even(serverless(), [always_on()], Workload(None, ServiceTime(0.006), None), book(1.2e-7))
    start = "from 16 M requests a day on, aws vm m7g.large on-demand costs less than aws lambda 2 GiB"
    assert told == (f"{start}; always from 64 M on",)


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (lambda daily: 5_000.5, Crossing(5_001, 5_001)),
        (lambda daily: 5_000.0, Crossing(5_001, 5_001)),
        (lambda daily: 50.0, Crossing(FEWEST, FEWEST)),
        (lambda daily: inf, Crossing(None, None)),
        (lambda daily: 2.0 * daily, Crossing(None, None)),
        (lambda daily: 5_000.0 if daily <= 80_000 else inf, Crossing(5_001, None, 80_000)),
        (lambda daily: 5_000.0 if daily <= 8_000 else 20_000.0, Crossing(5_001, 20_001)),
        (lambda daily: 50.0 if daily <= 8_000 else 20_000.0, Crossing(FEWEST, 20_001)),
        (lambda daily: MOST - 0.5, Crossing(MOST, MOST)),
    ],
)
def test_crossings_are_exact(other, expected):
    assert crossing(float, other) == expected


def test_few_questions_suffice_to_cross():
    asked = []

    def other(daily: int) -> float:
        asked.append(daily)
        return 5_000.0 * -(-daily // 50_000)

    crossing(float, other)
    assert len(set(asked)) < 60
