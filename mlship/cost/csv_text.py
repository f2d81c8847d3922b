"""Plans as CSV: one row a plan, figures unrounded, for spreadsheets and scripts. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from mlship.cost.candidate import CostPlan

COLUMNS = (
    *("target", "service", "region", "instance", "purchase", "replicas_min", "replicas_average", "replicas_peak"),
    *("usd_hour", "usd_month", "usd_per_million", "idle_usd_month", "interruptions_month", "p50_ms", "p99_ms"),
    *("complete", "unknowns", "price_dates", "assumptions"),
)


def csv_text(plans: Sequence[CostPlan]) -> str:
    """A header and a row for each plan, ended by newlines. What is unknown is empty, never zero; several texts of a cell by `; `."""
    written = io.StringIO()
    table = csv.writer(written, lineterminator="\n")
    table.writerow(COLUMNS)
    table.writerows(_row(plan) for plan in plans)
    return written.getvalue()


def _row(plan: CostPlan) -> tuple[str, ...]:
    candidate, replicas = plan.candidate, plan.replicas
    figures = (replicas.min, replicas.average, replicas.peak, plan.usd_hour, plan.usd_month, plan.usd_per_million)
    others = (plan.idle_usd_month, plan.interruptions_month, plan.p50_ms, plan.p99_ms)
    texts = (candidate.target, candidate.service, candidate.region, candidate.instance, candidate.purchase.name)
    lists = (plan.unknowns, plan.price_dates, plan.assumptions)
    return (
        *map(_plain, texts),
        *("" if figure is None else str(figure) for figure in (*figures, *others)),
        "true" if plan.is_complete else "false",
        *(_plain("; ".join(texts)) for texts in lists),
    )


def _plain(text: str) -> str:
    """Spreadsheets compute what starts like a formula; names come from books of prices that anybody may have written."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
