"""How amounts of money and counts are written for people: the same in tables, comments and errors. Pure."""

from __future__ import annotations

from mlship.cost.candidate import CostPlan, Purchase, Replicas

HALF_A_CENT = 0.005  # US dollars: less is shown as nothing


def usd(amount: float | None) -> str:
    """`$81.40`, `$1,234.50`, `-$3.20`, `$0`, `< $0.01`; `unknown` for None."""
    if amount is None:
        return "unknown"
    if not amount:
        return "$0"
    if abs(amount) < HALF_A_CENT:
        return "< $0.01" if amount > 0 else "> -$0.01"
    sign = "-" if amount < 0 else ""
    cents = abs(amount) * (1 + 1e-12)  # half a cent is rounded up, whatever the double says: 81.395 is $81.40
    return f"{sign}${cents:,.2f}" if abs(amount) < 1e12 else f"{sign}${abs(amount):.3g}"


def month_text(plan: CostPlan) -> str:
    """What a month costs: `$81.40`, `at least $81.40`, `$61.00 to $95.00` where spot prices may have moved, `unknown`."""
    if plan.usd_month is None:
        return "unknown"
    if not plan.is_complete:
        return f"at least {usd(plan.usd_month)}"
    if plan.spot_range is not None:
        return f"{usd(plan.spot_range[0])} to {usd(plan.spot_range[1])}"
    return usd(plan.usd_month)


def per_million_text(plan: CostPlan) -> str:
    """`-` without traffic."""
    if plan.usd_per_million is None:
        return "-" if plan.usd_month is not None else "unknown"
    return usd(plan.usd_per_million) if plan.is_complete else f"at least {usd(plan.usd_per_million)}"


def replicas_text(replicas: Replicas) -> str:
    """`2 / 2.4 / 6`; one number where all are it."""
    if replicas.min == replicas.peak:
        return str(replicas.min)
    return f"{replicas.min} / {number(replicas.average)} / {replicas.peak}"


def fleet_text(plan: CostPlan) -> str:
    """Its replicas; `-` where requests are paid, not replicas."""
    return "-" if plan.candidate.purchase.name == "per-request" else replicas_text(plan.replicas)


def number(value: float) -> str:
    """`2`, `2.4`, `12,500`."""
    return f"{value:,.0f}" if round(value, 1) == round(value) or abs(value) >= 1000 else f"{value:.1f}"


def count_text(value: float) -> str:
    """Many of something: `52.6 M`, `1.2 G`, `740`, `18.3 k`."""
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if value >= size * (1 if unit == "k" else 0.9995):  # which is rounded up to one
            return f"{value / (1e3 if unit == 'k' else size):.3g} {unit}"
    return number(value)


def milliseconds(value: float | None) -> str:
    """`18 ms`, `0.4 ms`, `1.2 s`, `20 min`, `1.5 h`; `-` for None."""
    if value is None:
        return "-"
    for size, unit in ((3_600_000.0, "h"), (60_000.0, "min")):
        if value >= size * 0.9995:  # which is rounded up to one
            return f"{number(value / size)} {unit}"
    if value >= 999.5:
        return f"{value / 1000:.3g} s"
    return f"{value:.0f} ms" if value >= 10 else f"{value:.2g} ms"


def purchase_text(purchase: Purchase) -> str:
    """`on-demand`, `reserved 1y`, `reserved 1y x2 + on-demand`, `spot above 2`."""
    committed = f"reserved {purchase.term}" + ("" if purchase.upfront == "none" else f" ({purchase.upfront} upfront)")
    base = "" if purchase.base is None else f" x{purchase.base}"
    match purchase.name:
        case "reserved":
            return committed
        case "reserved+on-demand" | "reserved+spot":
            return f"{committed}{base} + {purchase.name.partition('+')[2]}"
        case "on-demand+spot":
            share = f", {purchase.on_demand_share * 100:.3g} % of it on demand" if purchase.on_demand_share else ""
            base = "on-demand + spot" if purchase.base is None else f"spot above {purchase.base}" if purchase.base else "spot"
            return f"{base}{share}"
        case name:
            return name.replace("-", " ") if name == "per-request" else name


def subject(plan: CostPlan) -> str:
    """What it is: `aws vm m7g.large`, `gcp cloud-run 1 vCPU 2 GiB`; arm64 is said where the type does not tell."""
    candidate = plan.candidate
    size = candidate.instance or " ".join(part for part in (candidate.size, "arm64" * (candidate.arch == "arm64")) if part)
    return " ".join(part for part in (candidate.target, candidate.service, size) if part)
