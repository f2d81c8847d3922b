"""What a month may cost: cost.budget, --max-monthly and --strict. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from typing import Literal

from mlship.cost.candidate import CostPlan
from mlship.cost.figures import HALF_A_CENT, usd
from mlship.errors import Exit, MlshipError


@dataclass(frozen=True)
class Limit:
    """At most so many US dollars. of: what they are counted for. where: who says so, `mlship.yaml:31:3 cost.budget.monthly`."""

    usd: float
    of: Literal["month", "million"]
    where: str


@dataclass(frozen=True)
class Budget:
    """How the chosen plan stands to its limits; of several limits that which fails first.

    limit_usd: None where only completeness was asked for (`--strict`). spent_usd: None where it is unknown; at least so much where
    a price is. ok: it keeps all. why: for people. where, fix: of what is not kept.
    """

    limit_usd: float | None
    spent_usd: float | None
    ok: bool
    why: str
    where: str = ""
    fix: str = ""
    code: str = ""


def budget(plan: CostPlan | None, limits: Sequence[Limit], *, is_strict: bool = False) -> Budget | None:
    """plan: None where no plan is there to be judged, which no gate lets pass. None where nothing was asked for."""
    if not limits and not is_strict:
        return None
    if plan is None:
        where = limits[0].where if limits else "--strict"
        fix = "name one: --target aws --service vm --region us-east-1 --instance m7g.large"
        return Budget(_usd(limits), None, False, "there is no plan to judge", where, fix, "no-plan")
    judged = [_judged(plan, limit) for limit in limits]
    failed = [one for one in judged if not one.ok]
    if failed:
        return failed[0]
    if is_strict and not plan.is_complete:
        why = f"a price is unknown: {_named(plan.unknowns)}"
        return Budget(_usd(limits), plan.usd_month, False, why, "--strict", fill_in(plan.unknowns), "unknown-price")
    if not judged:
        return Budget(None, plan.usd_month, True, "every price is known")
    return Budget(judged[0].limit_usd, judged[0].spent_usd, True, "; ".join(one.why for one in judged))


def refuse_over_budget(found: Budget | None) -> None:
    """Raises MlshipError, exit 9, where a limit is not kept, or nobody can tell."""
    error = over_budget(found)
    if error is not None:
        raise error


def over_budget(found: Budget | None) -> MlshipError | None:
    """The error of a limit that is not kept."""
    if found is None or found.ok:
        return None
    return MlshipError(found.why, found.where, found.fix, exit=Exit.OVER_BUDGET, code=found.code)


_FILL = "mlship prices refresh, or write the price into cost.price_overrides or --prices FILE"
_MEASURE = "mlship bench, or say --service-time 10ms or cost.service_time"


def fill_in(unknowns: Sequence[str]) -> str:
    """What to do about what nobody knows."""
    return _MEASURE if all(name.startswith("service time") for name in unknowns) else _FILL


_UNITS = {"month": "a month", "million": "per million requests"}
_NAMED = 3  # unknown prices that are named before they are counted


def _judged(plan: CostPlan, limit: Limit) -> Budget:
    spent = plan.usd_month if limit.of == "month" else plan.usd_per_million
    unit = _UNITS[limit.of]
    if spent is not None and spent - limit.usd >= _leeway(limit):
        least = "" if plan.is_complete else "at least "
        cost, allowed = _apart(spent, limit.usd)
        why = f"the plan costs {least}{cost} {unit}, and the limit is {allowed}"
        fix = f"raise it to {_rounded_up(spent)} USD, or look for a cheaper plan: mlship cost-estimate --optimise"
        return Budget(limit.usd, spent, False, why, limit.where, fix, "over-budget")
    if not plan.is_complete:
        why = f"nobody can tell whether {usd(limit.usd)} {unit} is kept: unknown is {_named(plan.unknowns)}"
        return Budget(limit.usd, spent, False, why, limit.where, fill_in(plan.unknowns), "unknown-price")
    if spent is None:
        why = f"nobody can tell whether {usd(limit.usd)} {unit} is kept: there is no traffic to count requests by"
        return Budget(limit.usd, None, False, why, limit.where, "say cost.traffic, or --rps", "unknown-traffic")
    if plan.is_overloaded:  # what leaves requests unanswered is cheap, and no plan for them
        why = f"nobody can tell whether {usd(limit.usd)} {unit} is kept: {plan.replicas.peak} replicas do not carry the traffic"
        return Budget(limit.usd, spent, False, why, limit.where, "allow more replicas, or larger ones", "overloaded")
    return Budget(limit.usd, spent, True, f"{usd(spent)} of {usd(limit.usd)} {unit}{_may_rise(plan, limit)}")


def _leeway(limit: Limit) -> float:
    """US dollars that nobody is billed: half a cent of a month; of a million requests, which may cost cents, half a percent at most."""
    return HALF_A_CENT if limit.of == "month" else max(min(HALF_A_CENT, limit.usd / 200), 1e-12)


def _apart(spent: float, limit: float) -> tuple[str, str]:
    """Both amounts, with as many digits as it takes to tell them apart."""
    shown = usd(spent), usd(limit)
    for digits in range(2, 12):
        if shown[0] != shown[1]:
            break
        shown = f"${spent:,.{digits}f}", f"${limit:,.{digits}f}"
    return shown


def _may_rise(plan: CostPlan, limit: Limit) -> str:
    """A budget that spot prices of today may break is kept, and said to be near."""
    if limit.of == "month" and plan.spot_range is not None and plan.spot_range[1] > limit.usd:
        return f", up to {usd(plan.spot_range[1])} if spot prices rose since"
    return ""


def _usd(limits: Sequence[Limit]) -> float | None:
    return limits[0].usd if limits else None


def _named(unknowns: Sequence[str]) -> str:
    more = len(unknowns) - _NAMED
    return ", ".join(unknowns[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _rounded_up(amount: float) -> str:
    """Two figures are enough for a proposal: 81.4 -> 82, 1234 -> 1300, 0.404 -> 0.41."""
    step = 10.0 ** (floor(log10(amount)) - 1)
    return f"{ceil(round(amount / step, 9)) * step:.12g}"
