"""What a rule can know of money: prices of the day on which it is rendered, and what Prometheus sees since. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from mlship.cost.candidate import CostPlan
from mlship.cost.workload import HOURS_PER_MONTH as HOURS

__all__ = ["HOURS", "Spending", "spending_of"]


@dataclass(frozen=True)
class Spending:
    """limit_usd: a month's. By copies: copy_usd_hour, fixed_usd_hour. By requests: million_usd, 0 where it is not. words: for people."""

    limit_usd: float
    copy_usd_hour: float
    fixed_usd_hour: float
    million_usd: float
    words: str


def spending_of(plan: CostPlan, limit_usd: float, sees_every_copy: bool) -> Spending | str:
    """Why there is no rule, where there can be none."""
    if plan.candidate.purchase.name == "per-request":
        return _by_requests(plan, limit_usd)
    if plan.unknowns or any(line.usd is None for line in plan.lines):
        return f"a price is unknown: {', '.join(plan.unknowns[:3])}"
    of_copies = {resource.kind for resource in plan.candidate.resources if resource.billed in ("scaled", "spot")}
    scaled = sum(line.usd or 0.0 for line in plan.lines if line.kind in of_copies)
    if not scaled or not plan.usd_month:
        return f"{plan.candidate.target} {plan.candidate.service} bills nothing by the copy"
    if not sees_every_copy:
        return "Prometheus sees one address, not the copies behind it (monitoring.addresses may name each)"
    copy = scaled / HOURS / plan.replicas.average
    fixed = (plan.usd_month - scaled) / HOURS
    words = f"${copy:.4f} an hour for each copy that answers and ${fixed:.4f} for the rest, prices of {_dated(plan)}"
    return Spending(limit_usd, copy, fixed, 0.0, words)


def _by_requests(plan: CostPlan, limit_usd: float) -> Spending | str:
    if not plan.usd_per_million or not plan.is_complete:
        return "the price of a million requests is unknown: say cost.traffic and cost.service_time"
    words = f"${plan.usd_per_million:.2f} per million requests, prices of {_dated(plan)}, and the rate of the last 6 hours"
    return Spending(limit_usd, 0.0, 0.0, plan.usd_per_million, words)


def _dated(plan: CostPlan) -> str:
    return plan.price_dates[-1] if plan.price_dates else "an unknown day"
