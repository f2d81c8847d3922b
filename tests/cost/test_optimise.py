"""The cheapest plans: those that trying everything one by one finds, and why the others lost."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import lru_cache
from math import ceil

import pytest

from mlship.cost.book import Dated, Machine, Offer, PriceBook, Sources, book_of
from mlship.cost.candidate import Candidate, Purchase
from mlship.cost.candidates import machine_candidates
from mlship.cost.capacity import servers_needed
from mlship.cost.estimate import estimate
from mlship.cost.fleet import fleet_of
from mlship.cost.optimise import Optimised, Wanted, optimise
from mlship.cost.ranking import grouped, price_of, servers_by_rate
from mlship.cost.speeds import unit_of
from mlship.cost.workload import Hour, ServiceTime, Traffic, Unit, Workload
from mlship.errors import MlshipError
from mlship.targets.base import PriceKey, Resource

SERVICE = ServiceTime(0.006)
BUYING = ("on-demand", "fixed", "reserved", "reserved+on-demand", "on-demand+spot", "reserved+spot")
PLACES = (("aws", "eu-west-1"), ("aws", "us-east-1"), ("azure", "eastus"), ("gcp", "us-central1"))


def machine(name: str = "m7g.large", cloud: str = "aws", **fields: object) -> Machine:
    told = {"family": "m7g", "category": "general", "arch": "arm64", "vcpus": 2.0, "memory_gib": 8.0, "has_whole_cores": True}
    return Machine(cloud, name, **(told | fields))  # type: ignore[arg-type]


def offer(
    of: Machine | None = None, region: str = "us-east-1", on_demand: float | None = 0.08, **prices: float | None
) -> Offer:
    return Offer(of or machine(), region, on_demand, **prices)  # type: ignore[arg-type]


def flat(rps: float) -> Traffic:
    return Traffic((Hour(rps, 730.0),))


def workload(rps: float = 300.0, traffic: Traffic | None = None, **fields: object) -> Workload:
    return Workload(traffic or flat(rps), SERVICE, 0.05, **fields)  # type: ignore[arg-type]


def found(book: PriceBook, work: Workload | None = None, wanted: Wanted | None = None, *others: Candidate) -> Optimised:
    return optimise(book, work or workload(), wanted, others)


def old_spot(spot: float) -> Optimised:
    dated = Sources(spot=Dated("SA", "2025-06-28"))
    book = book_of(
        "2026-11-21", [offer(spot=spot, sources=dated), offer(machine("dear.large"), on_demand=0.09, reserved_1y=0.035)]
    )
    return found(book, workload(replicas=(2, 2)))


def test_an_old_spot_price_that_decides_is_told_with_the_cheapest_plan_without_spot():
    told = old_spot(0.02)
    assert told.plans[0].candidate.purchase.name == "on-demand+spot"
    assert told.why_not[0] == (
        "the spot price of 2025-06-28 of the first plan may make it $56.06 by now; "
        "without spot aws dear.large reserved 1y in us-east-1 is $51.10"
    )


def test_an_old_spot_price_that_does_not_decide_is_not_told():
    assert not any("by now" in line for line in old_spot(0.039).why_not)


def test_spot_prices_that_are_too_old_are_none():
    dated = Sources(spot=Dated("SA", "2026-10-01"))
    book = book_of("2026-11-21", [offer(spot=0.02, sources=dated), offer(machine("other"), spot=0.01)])
    kept = [of.spot for of in book.with_younger_spot(60, "2026-11-22").every_offer()]
    assert kept == [0.02, None]  # one of no day may be of any
    assert [of.spot for of in book.with_younger_spot(30, "2026-11-22").every_offer()] == [None, None]


# -- trying everything, written a second time from the rules alone ------------------------------------------------------------


@lru_cache(None)
def servers(rps: float, p99_s: float | None, speed: float, headroom: float) -> int | None:
    return servers_needed(SERVICE, rps, p99_s, speed=speed, headroom=headroom)


def counts(work: Workload, unit: Unit) -> list[int] | None:
    """Replicas in each step; None where the promise cannot be kept."""
    assert work.traffic
    least, most = work.replicas
    numbers = []
    for step in work.traffic.steps:
        wanted = servers(step.rps, work.p99_s, unit.speed, work.headroom)
        needed = servers(step.rps, work.p99_s, unit.speed, 0.0)
        if wanted is None or needed is None:
            return None
        number = max(ceil(wanted / unit.servers), least)
        number = number if most is None else min(number, most)
        if number * unit.servers < (step.rps * SERVICE.mean_s / unit.speed if work.p99_s is None else needed):
            return None
        numbers.append(least if least == most else number)
    return numbers


def hours(work: Workload, numbers: list[int]) -> list[float]:
    """Of each level."""
    assert work.traffic
    levels = []
    for level in range(1, max(numbers) + 1):
        runs = sum(step.hours for step, number in zip(work.traffic.steps, numbers, strict=True) if number >= level)
        falls = sum(numbers[at - 1] >= level > number for at, number in enumerate(numbers))
        levels.append(min(runs + falls * work.traffic.cycles * work.down_after_s / 3600, 730.0))
    return levels


def on_demand(of: Offer, level: float) -> float:
    """Each quarter of the month costs less than the one before."""
    assert of.on_demand is not None
    discount = 0.0 if of.sustained is None else max(1 - of.sustained / of.on_demand, 0.0)
    quarters = (min(max(level - quarter * 182.5, 0.0), 182.5) for quarter in range(4))
    return sum(of.on_demand * part * (1 - discount * off) for part, off in zip(quarters, (0, 2 / 3, 4 / 3, 2), strict=True))


def dollars(of: Offer, levels: list[float], least: int, purchase: Purchase) -> float | None:
    reserved = of.reserved_1y if purchase.term == "1y" else of.reserved_3y
    steady = "spot" in purchase.name and least == len(levels)
    base, first = len(levels), (0 if steady else least) if purchase.base is None else purchase.base
    if purchase.name == "fixed":
        levels = [730.0] * len(levels)
    if purchase.name == "reserved+on-demand" and purchase.base is None and None not in (reserved, of.on_demand):
        return min(dollars(of, levels, least, replace(purchase, base=base)) or 0.0 for base in range(len(levels) + 1))
    committed, listed, spot = {
        "on-demand": (0, levels, []),
        "fixed": (0, levels, []),
        "reserved": (base, [], []),
        "reserved+on-demand": (first, levels[first:], []),
        "on-demand+spot": (0, levels[:first], levels[first:]),
        "reserved+spot": (first, [], levels[first:]),
    }[purchase.name]
    if (committed and reserved is None) or (listed and of.on_demand is None) or (spot and of.spot is None):
        return None
    share = purchase.on_demand_share
    if share and spot and of.on_demand is None:
        return None
    if spot and share:  # whole replicas of the mean hours, and a part of one
        mean, count = sum(spot) / len(spot), len(spot) * share
        listed = [*listed, *[mean] * int(count), mean * (count - int(count))]
    above = sum((of.spot or 0.0) * level * (1 - share) for level in spot)
    return committed * 730.0 * (reserved or 0.0) + sum(on_demand(of, level) for level in listed) + above


def brute(book: PriceBook, work: Workload, wanted: Wanted) -> dict[tuple[str, str, str, Purchase], float]:
    """US dollars of everything that may be chosen."""
    most = min(number for number in (work.replicas[1], wanted.max_replicas, 10**9) if number is not None)
    work = replace(work, replicas=(work.replicas[0], most))
    prices = {}
    for of in book.every_offer():
        kind = of.machine
        if (wanted.clouds and kind.cloud not in wanted.clouds) or (wanted.regions and of.region not in wanted.regions):
            continue
        if (wanted.archs and kind.arch not in wanted.archs) or (kind.category == "burstable" and not wanted.burstable):
            continue
        if kind.accelerator != {"any": kind.accelerator or "one", "t4": "T4"}.get(wanted.gpu, ""):
            continue
        if (kind.memory_gib or 0.0) < work.memory_gib or (numbers := counts(work, unit_of(kind))) is None:
            continue
        for purchase in ways(wanted):
            price = dollars(of, hours(work, numbers), min(numbers), purchase)
            if price is not None:
                prices[kind.cloud, kind.name, of.region, purchase] = price
    return prices


def ways(wanted: Wanted) -> list[Purchase]:
    every = []
    for name in wanted.purchases:
        base = wanted.base if "+" in name else None
        share = wanted.on_demand_share if name == "on-demand+spot" else 0.0
        every += [Purchase(name, base, share, term=term) for term in (wanted.terms if "reserved" in name else ("1y",))]
    return every


def problem(seed: int) -> tuple[PriceBook, Workload, Wanted]:
    """A small book with gaps and equal prices, traffic of 1 to 24 steps, and what is wanted of it."""
    draw = random.Random(seed)
    kinds = [random_machine(draw, number) for number in range(draw.randint(3, 7))]
    offers = [random_offer(draw, kind, region) for kind in kinds for cloud, region in PLACES if cloud == kind.cloud]
    steps = draw.choice((1, 2, 5, 24))
    traffic = Traffic(tuple(Hour(draw.choice((0.0, 5.0, 60.0, 200.0, 900.0)), 730.0 / steps) for _ in range(steps)), 30.0)
    least, promise = draw.choice((0, 1, 2)), draw.choice((None, 0.03, 0.05))
    stated = draw.choice(((least, None), (least, None), (least, None), (least, 4), (3, 3)))
    work = Workload(
        traffic,
        SERVICE,
        promise,
        stated,
        draw.choice((0.0, 0.2)),
        draw.choice((0.0, 300.0)),
        memory_gib=draw.choice((0.0, 4.0)),
    )
    return book_of("2026-11-21", offers), work, random_wanted(draw)


def random_machine(draw: random.Random, number: int) -> Machine:
    cloud, vcpus = draw.choice(("aws", "azure", "gcp", "gcp")), draw.choice((1.0, 2.0, 4.0, 8.0))
    category = draw.choice(("general",) * 6 + ("burstable", "gpu"))
    return Machine(
        cloud,
        f"type-{number}",
        "family",
        category,
        draw.choice(("arm64", "x86_64")),
        vcpus,
        draw.choice((2.0, 8.0, 8.0, 16.0, 16.0, None)),
        "T4" if category == "gpu" else "",
        1 if category == "gpu" else 0,
        draw.random() < 0.5,
    )


def random_offer(draw: random.Random, kind: Machine, region: str) -> Offer:
    listed = draw.choice((0.05, 0.05, 0.07, 0.1, draw.uniform(0.02, 1.0), None))
    base = listed or 0.1
    return Offer(
        kind,
        region,
        listed,
        draw.choice((None, base / 4, base / 2)),
        False,
        draw.choice((None, base * 0.66, base * 0.5)),
        draw.choice((None, base * 0.4)),
        draw.choice((None, base * 0.8, base * 0.7, base * 0.3)) if kind.cloud == "gcp" else None,
    )


def random_wanted(draw: random.Random) -> Wanted:
    return Wanted(
        clouds=draw.choice(((), (), (), ("gcp", "azure"))),
        regions=draw.choice(((), (), (), ("us-east-1", "us-central1"))),
        archs=draw.choice(((), (), (), ("arm64",))),
        gpu=draw.choice(("",) * 8 + ("any", "t4")),
        max_replicas=draw.choice((None, None, None, 3, 8)),
        purchases=draw.choice((BUYING, BUYING, ("on-demand",), ("on-demand+spot", "reserved+on-demand"))),
        terms=draw.choice((("1y",), ("1y", "3y"))),
        base=draw.choice((None, None, 1, 5)),
        on_demand_share=draw.choice((0.0, 0.0, 0.25)),
        burstable=draw.random() < 0.5,
        limit=1000,
    )


@pytest.mark.parametrize("seed", range(0, 100, 10))
def test_the_best_plans_are_those_that_trying_everything_finds(seed):
    for book, work, wanted in map(problem, range(seed, seed + 10)):
        if work.replicas[0] > (wanted.max_replicas or 1000):
            with pytest.raises(MlshipError, match="at most 3 replicas are wanted"):
                optimise(book, work, wanted)
            continue
        expected = brute(book, work, wanted)
        plans = optimise(book, work, wanted).plans
        assert bool(plans) == bool(expected)
        if plans:
            compare(plans, expected, every_region=bool(wanted.regions))


def compare(plans, expected, *, every_region: bool) -> None:
    """The same best cost, the same that cost it; and each plan what trying says of it, each that was tried in a plan."""
    best = min(expected.values())
    assert plans[0].usd_month == pytest.approx(best, rel=1e-9)
    ties = {key[:2] for key, price in expected.items() if price <= best * (1 + 1e-9)}
    assert {named(plan)[:2] for plan in plans if plan.usd_month <= best * (1 + 1e-9)} == ties
    asked = [round(plan.usd_month, 4) for plan in plans]
    assert asked == sorted(asked)
    for plan in plans:
        assert plan.is_complete
        assert plan.usd_month == pytest.approx(expected[named(plan)], rel=1e-9)
    listed = {(*named(plan)[:2], rounded(plan.usd_month)) for plan in plans}
    cheapest = {}
    for (cloud, name, region, purchase), price in expected.items():
        place = (cloud, name, purchase, region if every_region else "")
        cheapest[place] = min(price, cheapest.get(place, price))
    assert listed == {(cloud, name, rounded(price)) for (cloud, name, *_), price in cheapest.items()}


def rounded(price: float) -> float:
    """The addend keeps short prices off the halves, where one double is rounded up and its neighbour down."""
    return round(price + 1.234567e-5, 4)


def named(plan) -> tuple[str, str, str, Purchase]:
    return plan.candidate.target, plan.candidate.instance, plan.candidate.region, plan.candidate.purchase


# -- one by one ---------------------------------------------------------------------------------------------------------------


def test_the_base_that_costs_least_is_found_with_every_discount():
    """All that a commitment and sustained use can be worth against each other, on a fleet whose levels run 1 to 24 hours a day."""
    day = Traffic(tuple(Hour(60.0 * hour, 730 / 24) for hour in range(24)), 730 / 24)
    work, purchase = Workload(day, SERVICE, 0.05), Purchase("reserved+on-demand")
    fleet = fleet_of(work, Unit(1))
    price = price_of(fleet, purchase)
    for reserved in (0.0, 0.01, 0.04, 0.06, 0.075, 0.1, None):
        for sustained in (None, 0.08, 0.07, 0.03, 0.2):
            of = offer(on_demand=0.1, reserved_1y=reserved, sustained=sustained)
            expected = dollars(of, [*fleet.level_hours], fleet.replicas.min, purchase)
            assert price(of) == (None if expected is None else pytest.approx(expected, rel=1e-9))
    assert price(offer(on_demand=0.0, reserved_1y=0.1)) == 0.0


def test_without_a_committed_price_the_least_replicas_alone_would_be_committed():
    purchases = Wanted(purchases=("reserved+on-demand",))
    assert not found(book_of("2026", [offer()]), wanted=purchases).plans
    some = workload(traffic=Traffic((Hour(0.0, 365.0), Hour(100.0, 365.0))), replicas=(0, None))
    [plan] = found(book_of("2026", [offer()]), some, purchases).plans
    assert plan.usd_month == pytest.approx(365 * 0.08)


def test_rates_between_two_that_take_the_same_servers_are_not_computed_but_right():
    rates = [float(rate) for rate in range(0, 3000, 37)]
    traffic = Traffic(tuple(Hour(rate, 730 / len(rates)) for rate in rates))
    needs = servers_by_rate(workload(traffic=traffic), 0.625)
    assert needs == {rate: servers(rate, 0.05, 0.625, 0.0) for rate in rates}


@pytest.mark.parametrize("down_after_s", [0.0, 300.0, 7200.0])
@pytest.mark.parametrize(("least", "most"), [(0, None), (1, None), (2, 3), (1, 50)])
def test_a_fleet_is_that_of_single_servers_put_together(down_after_s, least, most):
    traffic = Traffic(tuple(Hour(rps, 730 / 6) for rps in (4.0, 0.0, 1500.0, 3.0, 700.0, 300.0)), 121.0)
    work = workload(traffic=traffic, down_after_s=down_after_s)
    one, four = (fleet_of(replace(work, replicas=bounds), Unit(of)) for of, bounds in ((1, (0, None)), (4, (least, most))))
    together = grouped(one, 4, least, most or 100)
    assert together.level_hours == pytest.approx(four.level_hours, rel=1e-12)
    assert (together.replicas.min, together.replicas.peak) == (four.replicas.min, four.replicas.peak)


def test_a_type_is_named_once_in_its_cheapest_region_even_where_regions_disagree_about_its_memory():
    book = book_of("2026", [offer(machine(memory_gib=8.5), "eu-west-1", 0.09), offer(region="us-west-2"), offer()])
    [plan] = found(book, wanted=Wanted(purchases=("on-demand",))).plans
    assert (plan.candidate.region, plan.usd_month) == ("us-east-1", pytest.approx(0.08 * 730 * plan.replicas.peak))


def test_every_region_that_is_asked_for_is_named():
    book = book_of("2026", [offer(region=region) for region in ("eu-west-1", "us-east-1", "us-west-2")])
    wanted = Wanted(regions=("us-west-2", "us-east-1"), purchases=("on-demand",))
    assert [plan.candidate.region for plan in found(book, wanted=wanted).plans] == ["us-east-1", "us-west-2"]


def test_a_mix_that_comes_to_one_kind_alone_is_not_named_again():
    plans = found(book_of("2026", [offer(spot=0.02, reserved_1y=0.05)])).plans
    assert [plan.candidate.purchase.name for plan in plans] == ["on-demand+spot", "reserved", "on-demand"]  # all spot, once


def test_what_is_handed_in_is_ranked_with_the_machines():
    cheap, dear = endpoint("ml.small", 0.05), endpoint("ml.large", 0.2)
    plans = found(book_of("2026", [offer(), *sold(cheap, 0.05), *sold(dear, 0.2)]), None, Wanted(archs=("arm64",)), cheap, dear)
    assert [plan.candidate.instance for plan in plans.plans] == ["ml.small", "m7g.large", "ml.large"]
    assert found(book_of("2026", sold(cheap, 0.05)), None, Wanted(deployable=True), cheap).plans[0].candidate == cheap


def endpoint(instance: str, usd: float, **fields: object) -> Candidate:
    key = PriceKey("aws", "us-east-1", instance=instance)
    resource = Resource("endpoint", instance, unit="hour", billed="scaled", price=key)
    made = Candidate("aws", "sagemaker", "us-east-1", Purchase("managed"), Unit(2), (resource,), instance, "arm64")
    return replace(made, **fields)  # type: ignore[arg-type]


def sold(candidate: Candidate, usd: float | None) -> list[Offer]:
    """Its machine, which is too small to be a plain one."""
    return [offer(machine(candidate.instance, memory_gib=None, category="burstable"), on_demand=usd)]


def test_measured_speeds_are_counted():
    book = book_of("2026", [offer()])
    quick = optimise(book, workload(600.0), measured={"m7g": 4.0})
    assert quick.plans[0].replicas.peak < found(book, workload(600.0)).plans[0].replicas.peak
    assert "measured speed 4" in quick.plans[0].assumptions[2]


def test_equal_prices_come_in_the_order_of_purchases_and_names():
    offers = [offer(machine(name)) for name in ("m7g.large", "a.large", "z.large")]
    plans = found(book_of("2026", offers), wanted=Wanted(purchases=("fixed", "on-demand"), limit=2)).plans
    assert [(plan.candidate.instance, plan.candidate.purchase.name) for plan in plans] == [
        ("a.large", "on-demand"),
        ("m7g.large", "on-demand"),
    ]


WHY_NOT = {
    "the next one": (
        [offer(), offer(machine("m7g.xlarge", vcpus=4.0), on_demand=0.16)],
        "aws m7g.xlarge on-demand in us-east-1: $58.40 (100 %) more",
    ),
    "another cloud": (
        [offer(), offer(machine("b"), on_demand=0.09), offer(machine("D2", "azure"), on_demand=0.12)],
        "azure D2 on-demand in us-east-1: $29.20 (50 %) more",
    ),
    "another purchase": ([offer(reserved_1y=0.04)], "aws m7g.large on-demand in us-east-1: $29.20 (100 %) more"),
    "a GPU": (
        [offer(), offer(machine("g5g", category="gpu", accelerator="T4G", accelerators=2), on_demand=0.5)],
        "machines with GPUs or accelerators: the cheapest, aws g5g on-demand in us-east-1, costs $306.60 (525 %) more (--gpu any)",
    ),
    "shared cores": (
        [offer(), offer(machine("t4g.large", category="burstable"), on_demand=0.06)],
        "burstable aws t4g.large on-demand in us-east-1: $14.60 (25 %) less, but its cores are shared (--burstable)",
    ),
    "memory": (
        [offer(), offer(machine("t4g.small", category="burstable", memory_gib=2.0), on_demand=0.02)],
        "aws t4g.small on-demand in us-east-1: memory 2 GiB < 3.4 GiB",
    ),
    "memory that nobody tells": (
        [offer(), offer(machine("c9", memory_gib=None), on_demand=0.02)],
        "aws c9 on-demand in us-east-1: its memory is not known",
    ),
    "slow threads": (
        [offer(), offer(machine("m6i.large", has_whole_cores=False)), offer(machine("m7i.large", has_whole_cores=False))],
        "p99 40 ms cannot be kept by aws m6i.large and 1 other type: one request takes 44 ms there",
    ),
    "too many": ([offer(), offer(machine("a1", vcpus=0.8))], "1 type of 1 server would take more than 2 replicas"),
    "no spot price": (
        [offer(), offer(machine("D2", "azure")), offer(machine("D4", "azure"))],
        "3 types have no spot price (aws 1, azure 2)",
    ),
    "no price": ([offer(on_demand=None, spot=0.02)], "1 type has no on-demand price (aws 1)"),
    "no commitment": ([offer(reserved_3y=0.02)], "1 type has no price committed for 1 year (aws 1)"),
    "no long commitment": ([offer(reserved_1y=0.02)], "1 type has no price committed for 3 years (aws 1)"),
}


@pytest.mark.parametrize("name", WHY_NOT)
def test_what_lost_is_told(name):
    offers, told = WHY_NOT[name]
    work = Workload(flat(200.0), SERVICE, 0.04, (1, 2), memory_gib=3.4)
    assert told in found(book_of("2026", offers), work, Wanted(terms=("1y", "3y"), limit=1)).why_not


def test_a_book_without_such_machines_says_so():
    assert found(book_of("2026", [offer()]), wanted=Wanted(regions=("mars-1",))).why_not == ("the book knows no such machine",)
    assert found(book_of("2026", []), wanted=Wanted(deployable=True)).why_not == ()


FLAWS = {
    "no price is known for aws us-east-1 ml on demand": (None, {}),
    "memory 1 GiB < 3.4 GiB": (0.1, {"unit": Unit(2, memory_gib=1.0)}),
    "2 replicas do not carry the traffic": (0.1, {"unit": Unit(1, 0.5)}),
    "p99 46.05 ms > 40 ms": (0.1, {"unit": Unit(16, 0.6)}),
}


@pytest.mark.parametrize("flaw", FLAWS)
def test_what_is_handed_in_and_does_not_do_is_told(flaw):
    usd, fields = FLAWS[flaw]
    made = endpoint("ml", 0.1, **fields)
    work = Workload(flat(200.0), SERVICE, 0.04, (1, 2), memory_gib=3.4)
    best = found(book_of("2026", sold(made, usd)), work, None, made)
    assert (best.plans, best.why_not[-1]) == ((), f"aws sagemaker ml managed in us-east-1: {flaw}")


REFUSED = {
    "nobody says how many requests come": (Workload(None, SERVICE), Wanted()),
    "nobody says how long a request takes": (Workload(flat(1.0)), Wanted()),
    "at most 1 replicas are wanted, and at least 2": (workload(replicas=(2, None)), Wanted(max_replicas=1)),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_search_that_nothing_can_answer_is_refused(what):
    work, wanted = REFUSED[what]
    with pytest.raises(MlshipError, match=what):
        found(book_of("2026", [offer()]), work, wanted)


def test_stated_replicas_need_no_service_time():
    [plan] = found(book_of("2026", [offer()]), Workload(flat(1.0), replicas=(3, 3))).plans
    assert plan.usd_month == pytest.approx(3 * 730 * 0.08)


def test_replicas_that_carry_what_is_said_of_each_still_have_to_keep_the_promise():
    book = book_of("2026", [offer(), offer(machine("a1", vcpus=1.0), on_demand=0.01)])
    traffic = Traffic((Hour(100.0, 365.0), Hour(301.0, 365.0)))
    best = found(book, workload(traffic=traffic, rps_per_replica=150.0), Wanted(purchases=("on-demand",)))
    assert [(plan.candidate.instance, plan.replicas.peak) for plan in best.plans] == [("m7g.large", 3)]


def test_the_quick_ranking_says_what_the_estimate_says():
    book = book_of("2026", [offer(spot=0.03, reserved_1y=0.05, reserved_3y=0.04), offer(region="eu-west-1")])
    work = workload(traffic=Traffic((Hour(100.0, 500.0), Hour(900.0, 230.0)), 30), down_after_s=300.0)
    best = found(book, work, Wanted(regions=("us-east-1",), terms=("1y", "3y")))
    every = machine_candidates([offer(spot=0.03, reserved_1y=0.05, reserved_3y=0.04)], ways(Wanted(terms=("1y", "3y"))))
    slow = sorted(estimate(one, work, book).usd_month or 0.0 for one in every if one.purchase.name in BUYING)
    assert [plan.usd_month for plan in best.plans] == pytest.approx(slow, rel=1e-9)
