"""cost-estimate: what each way to serve it costs, what is in that, and what nobody knows."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from mlship.cli.views.findings import findings_text
from mlship.cli.views.text import columns, lines
from mlship.cost.book import age_days, is_old_spot
from mlship.cost.candidate import CostPlan
from mlship.cost.figures import (
    count_text,
    fleet_text,
    milliseconds,
    month_text,
    number,
    per_million_text,
    purchase_text,
    replicas_text,
    subject,
    usd,
)

if TYPE_CHECKING:  # the flow that made a result has paid for its types already
    from mlship.cost.diff import Diff
    from mlship.cost.workload import Traffic, Workload
    from mlship.flows.cost_estimate import CurvePoint, Estimated
    from mlship.flows.costing.gate import Budget

_WIDE = 118
_HEAD = ["target", "region", "purchase", "replicas", "$/month", "$/M", "idle", "p99"]
_FIRST_FIGURE = 4
_OTHER_ASSUMPTIONS = 8  # of plans below the first, before they are counted


def cost_text(found: Estimated, *, today: str, suggestion: str = "") -> str:
    """The table, then all that belongs to the chosen plan (else the first). today: `2026-11-22`, for the age of spot prices."""
    shown = found.plans[max(found.chosen, 0)] if found.plans else None
    return lines(
        head_text(found.workload),
        plans_table(found.plans, found.chosen, "your file" if found.project is not None else "asked for"),
        *(_details(shown) if shown else ("  no plan keeps what was asked for",)),
        _deploy_text(found.plans),
        _curve_text(found.curve),
        _listed("Why not", found.why_not),
        _listed("From when on another is cheaper", found.advice),
        _assumed(found.plans, max(found.chosen, 0)),
        _prices_text(found, today),
        budget_text(found.budget),
        findings_text(found.findings),
        f"Next: {suggestion}" if suggestion else "",
    )


def head_text(workload: Workload) -> str:
    """`20 rps mean, 80 peak (mlship.yaml:31)   52.6 M requests a month   service time 6 ms (build)   p99 at most 100 ms`."""
    traffic, service = workload.traffic, workload.service_time
    parts = [_traffic_text(traffic) if traffic else "No traffic is said: what it costs when nobody calls"]
    parts += [f"{count_text(traffic.requests)} requests a month"] if traffic else []
    parts += [f"service time {milliseconds(service.mean_s * 1000)} ({service.source})"] if service else []
    parts += [f"p99 at most {milliseconds(workload.p99_s * 1000)}"] if workload.p99_s is not None else []
    return "   ".join(parts)


def _traffic_text(traffic: Traffic) -> str:
    said = f"{_rate(traffic.mean)} rps"
    if traffic.peak > traffic.mean * 1.001:
        said += f" mean, {_rate(traffic.peak)} peak"
    return f"{said} ({traffic.source})" if traffic.source else said


def _rate(rps: float) -> str:
    return number(rps) if rps >= 10 else f"{rps:.3g}"


def plans_table(plans: Sequence[CostPlan], chosen: int = -1, whose: str = "your file") -> str:
    """Figures stand to the right; the region is a column where there are several. whose: who asked for the chosen plan."""
    rows = [[*_HEAD], *map(_row, plans)]
    if len({plan.candidate.region for plan in plans}) < 2:
        regions = ["", *(plan.candidate.region for plan in plans)]
        rows = [[f"{row[0]} {region}".rstrip(), *row[2:]] for row, region in zip(rows, regions, strict=True)]
    first = _FIRST_FIGURE - (len(_HEAD) - len(rows[0]))
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    aligned = [[cell.rjust(widths[at]) if at >= first else cell for at, cell in enumerate(row)] for row in rows]
    if chosen >= 0 and len(plans) > 1:
        aligned[chosen + 1].append(f"<- {whose}")
    return columns(aligned)


def _row(plan: CostPlan) -> list[str]:
    return [
        subject(plan),
        plan.candidate.region,
        purchase_text(plan.candidate.purchase),
        fleet_text(plan),
        month_text(plan),
        per_million_text(plan),
        usd(plan.idle_usd_month),
        "overloaded" if plan.is_overloaded else milliseconds(plan.p99_ms),
    ]


def _details(plan: CostPlan) -> Iterator[str]:
    if plan.usd_month is not None:
        total = usd(plan.usd_month) if plan.is_complete else f"the {usd(plan.usd_month)} that are known"
        yield _wrapped(f"In {total}: {', '.join(_bill(plan)) or 'nothing is billed'}")
    if plan.unknowns:
        yield _wrapped(f"Unknown: {', '.join(plan.unknowns)}")
    for neighbour in plan.neighbours:
        yield _wrapped(f"  {neighbour}")
    if plan.candidate.excluded:
        yield _wrapped(f"Not included: {', '.join(plan.candidate.excluded)}")
    if plan.interruptions_month:
        yield f"Spot: about {plan.interruptions_month:.2g} interruptions a month"
    elif plan.interruptions_month is None and plan.candidate.purchase.name.endswith("spot"):
        yield f"Spot: nobody tells how often {plan.candidate.target} interrupts"


def _bill(plan: CostPlan) -> Iterator[str]:
    """`compute 57.67`: items of one name are one."""
    for name, amount in plan.bill.items():
        yield f"{name} {'unknown' if amount is None else usd(amount).replace('$', '')}"


def _deploy_text(plans: Sequence[CostPlan]) -> str:
    if not any(plan.candidate.service == "vm" for plan in plans):
        return ""
    return _wrapped(
        "vm: a machine of your own; as a docker host in targets.docker.hosts, mlship deploy --target docker serves there"
    )


def _curve_text(curve: Sequence[CurvePoint]) -> str:
    if not curve:
        return ""
    rows = [["rps", "replicas", "$/month", "$/M", "p99"]]
    rows += [
        [
            _rate(point.rps) if point.rps else "idle",
            replicas_text(point.plan.replicas),
            month_text(point.plan),
            per_million_text(point.plan),
            "overloaded" if point.plan.is_overloaded else milliseconds(point.plan.p99_ms),
        ]
        for point in curve
    ]
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return columns([[cell.rjust(widths[at]) for at, cell in enumerate(row)] for row in rows])


def _assumed(plans: Sequence[CostPlan], first: int) -> str:
    """All of the plan that is looked at; of the others what they assume besides."""
    if not plans:
        return ""
    mine = list(dict.fromkeys(plans[first].assumptions))
    others = [name for name in dict.fromkeys(_each_assumption(plans)) if name not in mine]
    more = len(others) - _OTHER_ASSUMPTIONS
    told = [*mine, *others[:_OTHER_ASSUMPTIONS], *([f"and {more} more: --json lists them"] if more > 0 else [])]
    return _listed("Assumed", told)


def _listed(title: str, told: Sequence[str]) -> str:
    return lines(title, *(_wrapped(f"  - {said}", "    ") for said in told)) if told else ""


def _each_assumption(plans: Sequence[CostPlan]) -> Iterator[str]:
    for plan in plans:
        yield from plan.assumptions


def _prices_text(found: Estimated, today: str) -> str:
    days = sorted({day.strip() for plan in found.plans for said in plan.price_dates for day in said.split("/")})
    used = "" if not days else f"; those used are of {days[0]}" + (f" to {days[-1]}" if days[-1] != days[0] else "")
    old = {day for plan in found.plans for day in _old_spot_days(plan, today)}
    ages = [age for day in old if (age := age_days(day, today)) is not None]
    since = f"up to {max(ages)} days old" if ages else "of a day that nobody knows"
    spot = f". Spot prices are {since}: what they may be now is a range" if old else ""
    return _wrapped(f"Prices as of {found.prices_as_of}{used}{spot}")


def _old_spot_days(plan: CostPlan, today: str) -> Iterator[str]:
    for line in plan.lines:
        is_spot = line.name.endswith(" spot") and line.usd is not None
        if plan.spot_range is not None and is_spot and is_old_spot(line.dated, today):
            yield line.dated


def budget_text(found: Budget | None) -> str:
    """`Budget: ok, $81.40 of $150.00 a month`."""
    if found is None:
        return ""
    return _wrapped(f"Budget: {'ok' if found.ok else 'not kept'}, {found.why}")


def diff_text(found: Diff, base: str) -> str:
    """Before and after side by side; rows without a change are left out."""
    from mlship.cost.diff import change_text

    rows = [["", base, "now", "difference"]]
    rows += [[row.name, row.before, row.after, row.delta] for row in found.rows if row.is_changed or row.name == "a month"]
    return lines(f"Against {base}: {change_text(found)}", columns(rows))


def _wrapped(text: str, indent: str = "  ") -> str:
    return "\n".join(textwrap.wrap(text, _WIDE, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False))


def brief_text(plans: Sequence[CostPlan], chosen: int = -1) -> str:
    """For --quiet: US dollars a month, of the chosen plan alone, else one line a plan."""
    told = plans if chosen < 0 else [plans[chosen]]
    return "\n".join("unknown" if plan.usd_month is None else f"{plan.usd_month:.2f}" for plan in told)
