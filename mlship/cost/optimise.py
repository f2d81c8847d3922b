"""The cheapest ways to serve a workload: every machine of the book, every way to buy it, and what else is handed in. Pure.

`ranking` finds them; the plans that come out are those of `estimate`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from mlship.cost.book import PriceBook
from mlship.cost.candidate import Candidate, CostPlan
from mlship.cost.candidates import machine_candidates
from mlship.cost.estimate import CLOSE, estimate
from mlship.cost.figures import milliseconds, number, purchase_text, subject, usd
from mlship.cost.fleet import MOST_REPLICAS
from mlship.cost.queueing import service_quantile
from mlship.cost.ranking import Price, Row, Type, Wanted, distinct, order, rows_of, types_of
from mlship.cost.workload import Workload
from mlship.errors import MlshipError

__all__ = ["Optimised", "Wanted", "optimise"]


@dataclass(frozen=True)
class Optimised:
    """plans: the cheapest that keep the promise, cheapest first, each complete. why_not: what lost against them, for people.

    offers: looked at. ranked: ways to buy that were compared.
    """

    plans: tuple[CostPlan, ...]
    why_not: tuple[str, ...] = ()
    offers: int = 0
    ranked: int = 0


def optimise(
    book: PriceBook,
    workload: Workload,
    wanted: Wanted | None = None,
    others: Sequence[Candidate] = (),
    *,
    measured: Mapping[str, float] | None = None,
    free: bool = False,
    as_of: str = "",
) -> Optimised:
    """The cheapest plans that carry the traffic and keep workload.p99_s, of plain machines and of the others that are handed in.

    One plan for each machine and way to buy it, in its cheapest region, or in each that is asked for. What costs the same is in
    the order of PURCHASES, then by names. A plan with an unknown price is never among them. measured: speeds, as in
    cost.speeds. free, as_of: as in `estimate`. Raises MlshipError where traffic or the service time is not known.
    """
    wanted = wanted or Wanted()
    workload = _bounded(workload, wanted)
    plans = [
        estimate(candidate, workload, book, free=free, as_of=as_of) for candidate in others if _is_asked(candidate, wanted)
    ]
    types = [] if wanted.deployable else types_of(book, workload, wanted, measured or {})
    every_region = bool(wanted.regions)
    rows = [row for kind in types for row in rows_of(kind, every_region=every_region)]
    rows += [_row_of(plan) for plan in plans if not _flaw(plan, workload)]
    ranked = [*distinct((row for row in sorted(rows, key=order) if not row.bar), every_region=every_region)]
    best = [row.plan or _estimated(row, workload, book, free=free, as_of=as_of) for row in ranked[: wanted.limit]]
    why_not = (
        *_may_have_risen(best, ranked),
        *(["the book knows no such machine"] if not types and not wanted.deployable else []),
        *_dearer(ranked, wanted.limit),
        *_barred(rows, ranked, workload, wanted),
        *_too_slow(types, workload),
        *_too_many(types, workload),
        *_unpriced(types, wanted),
        *(f"{_what(plan)}: {flaw}" for plan in plans if (flaw := _flaw(plan, workload))),
    )
    return Optimised(tuple(best), why_not, sum(len(kind.offers) for kind in types), len(ranked))


def _bounded(workload: Workload, wanted: Wanted) -> Workload:
    """The workload with what the search adds to its bounds."""
    least, most = workload.replicas
    if workload.traffic is None:
        raise MlshipError("nobody says how many requests come", "cost.traffic", "--rps 20", code="no-traffic")
    is_sized = least == most or workload.rps_per_replica
    if workload.service_time is None and (not is_sized or workload.p99_s is not None):
        fix = "mlship bench measures it, --service-time 6ms says it"
        raise MlshipError("nobody says how long a request takes", "service time", fix, code="no-service-time")
    if wanted.max_replicas is None:
        return workload
    if wanted.max_replicas < least:
        what = f"at most {wanted.max_replicas} replicas are wanted, and at least {least}"
        raise MlshipError(what, "scale.replicas", "raise --max-replicas, or lower scale.replicas", code="bad-replicas")
    return replace(workload, replicas=(least, min(wanted.max_replicas, most or wanted.max_replicas)))


def _is_asked(candidate: Candidate, wanted: Wanted) -> bool:
    return (
        (not wanted.clouds or candidate.target in wanted.clouds)
        and (not wanted.regions or candidate.region in wanted.regions)
        and (not wanted.archs or candidate.arch in wanted.archs)
        and (candidate.can_deploy or not wanted.deployable)
        and candidate.purchase.name in wanted.purchases
    )


def _row_of(plan: CostPlan) -> Row:
    assert plan.usd_month is not None
    of = plan.candidate
    return Row(plan.usd_month, of.target, f"{of.service} {of.instance or of.size} {of.arch}", of.region, of.purchase, plan=plan)


def _estimated(row: Row, workload: Workload, book: PriceBook, *, free: bool, as_of: str) -> CostPlan:
    assert row.offer is not None and row.kind is not None
    candidate = next(machine_candidates([row.offer], [row.purchase]))
    return estimate(replace(candidate, unit=row.kind.unit), workload, book, free=free, as_of=as_of)


# -- why not: what lost, for people -----------------------------------------------------------------------------------------


def _flaw(plan: CostPlan, workload: Workload) -> str:
    """Why a plan that was handed in is not ranked; `` where it is."""
    if plan.unknowns or plan.usd_month is None:
        return f"no price is known for {', '.join(plan.unknowns[:2]) or 'it'}"
    memory = plan.candidate.unit.memory_gib
    if memory is not None and memory < workload.memory_gib:
        return _memory(memory, workload)
    if plan.is_overloaded:
        return f"{plan.replicas.peak} replicas do not carry the traffic"
    if workload.p99_s is None or plan.p99_ms is None:
        return ""
    promised = workload.p99_s * 1000
    return f"p99 {plan.p99_ms:.4g} ms > {promised:.4g} ms" if plan.p99_ms > promised * CLOSE else ""


def _may_have_risen(best: list[CostPlan], ranked: list[Row]) -> Iterator[str]:
    """Where an old spot price decides who is the cheapest: who would be, had it risen as far as it may."""
    if not best or best[0].spot_range is None:
        return
    firm = next((row for row in ranked if not row.purchase.name.endswith("spot")), None)
    most = best[0].spot_range[1]
    if firm is not None and firm.usd < most:
        day = next((line.dated for line in best[0].lines if line.name.endswith(" spot")), "")
        of = f" of {day}" if day else ""
        yield f"the spot price{of} of the first plan may make it {usd(most)} by now; without spot {_named(firm)} is {usd(firm.usd)}"


def _dearer(ranked: list[Row], limit: int) -> Iterator[str]:
    """The one that comes next, and the first of each cloud, purchase and kind of processor that is not among the plans."""
    shown, seen = ranked[:limit], set[object]()
    for row in shown:
        seen.update(_classes(row))
    for at, row in enumerate(ranked[limit:]):
        new = set(_classes(row)) - seen
        if new or not at:
            seen |= new
            yield f"{_named(row)}: {_more(row.usd, shown)}"


def _classes(row: Row) -> tuple[str, ...]:
    arch = row.kind.machine.arch if row.kind else row.plan.candidate.arch if row.plan else ""
    return row.cloud, row.purchase.name, arch


def _named(row: Row) -> str:
    return _what(row.plan) if row.plan else f"{row.cloud} {row.name} {purchase_text(row.purchase)} in {row.region}"


def _what(plan: CostPlan) -> str:
    return f"{subject(plan)} {purchase_text(plan.candidate.purchase)} in {plan.candidate.region}"


def _more(amount: float, shown: list[Row]) -> str:
    """Against the cheapest plan."""
    if not shown:
        return usd(amount)
    more = amount - shown[0].usd
    share = f" ({abs(more) / shown[0].usd * 100:.0f} %)" if shown[0].usd else ""
    return f"{usd(abs(more))}{share} {'more' if more >= 0 else 'less'}"


def _barred(rows: list[Row], ranked: list[Row], workload: Workload, wanted: Wanted) -> Iterator[str]:
    """The cheapest machine of each kind that does not count; of those with too little memory only one that would have won."""
    shown = ranked[: wanted.limit]
    cheapest = {row.bar: row for row in sorted(rows, key=order, reverse=True)}
    if row := cheapest.get("gpu"):
        yield f"machines with GPUs or accelerators: the cheapest, {_named(row)}, costs {_more(row.usd, shown)} (--gpu any)"
    if row := cheapest.get("burstable"):
        yield f"burstable {_named(row)}: {_more(row.usd, shown)}, but its cores are shared (--burstable)"
    row = cheapest.get("memory")
    if row and row.kind and (not shown or row.usd < shown[0].usd):
        yield f"{_named(row)}: {_memory(row.kind.machine.memory_gib, workload)}"


def _memory(gib: float | None, workload: Workload) -> str:
    return "its memory is not known" if gib is None else f"memory {number(gib)} GiB < {number(workload.memory_gib)} GiB"


def _too_slow(types: list[Type], workload: Workload) -> Iterator[str]:
    service, promised = workload.service_time, workload.p99_s
    if service is None or promised is None:
        return
    slow = [kind for kind in types if kind.size.lost == "slow" and not kind.bar]
    for speed in sorted({kind.unit.speed for kind in slow}):
        named = [f"{kind.machine.cloud} {kind.machine.name}" for kind in slow if kind.unit.speed == speed]
        slowest = max(service_quantile(one, 0.99) for one in (service, service.at_rest))
        alone = milliseconds(slowest / speed * 1000)
        others = f" and {_types_text(len(named) - 1, 'other ')}" if named[1:] else ""
        yield f"p99 {milliseconds(promised * 1000)} cannot be kept by {min(named)}{others}: one request takes {alone} there"


def _too_many(types: list[Type], workload: Workload) -> Iterator[str]:
    many = [kind for kind in types if kind.size.lost == "many" and not kind.bar]
    if many:
        largest = max(kind.unit.servers for kind in many)
        most = workload.replicas[1] or MOST_REPLICAS
        servers = "1 server" if largest == 1 else f"up to {largest} servers"
        yield f"{_types_text(len(many))} of {servers} would take more than {most:,} replica{'s' * (most != 1)}"


def _unpriced(types: list[Type], wanted: Wanted) -> Iterator[str]:
    """How many types could not be compared for want of a price."""
    names = " ".join(wanted.purchases)
    asked: list[tuple[str, Price]] = [("on-demand price", lambda offer: offer.on_demand)]
    if "spot" in names:
        asked.append(("spot price", lambda offer: offer.spot))
    if "reserved" in names and "1y" in wanted.terms:
        asked.append(("price committed for 1 year", lambda offer: offer.reserved_1y))
    if "reserved" in names and "3y" in wanted.terms:
        asked.append(("price committed for 3 years", lambda offer: offer.reserved_3y))
    for name, price in asked:
        without = Counter(kind.machine.cloud for kind in types if not kind.bar and all(price(of) is None for of in kind.offers))
        if without:
            clouds = ", ".join(f"{cloud} {count:,}" for cloud, count in sorted(without.items()))
            verb = "has" if without.total() == 1 else "have"
            yield f"{_types_text(without.total())} {verb} no {name} ({clouds})"


def _types_text(count: int, which: str = "") -> str:
    return f"{count:,} {which}type{'s' * (count != 1)}"
