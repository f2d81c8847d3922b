"""drift: what moved, by how much, and what is not known yet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from mlship.cli.views.text import columns, lines, percent, place
from mlship.flows.command_line import command_for
from mlship.flows.drift import PREDICTION, Compared, Measured, Report
from mlship.server.drift_index import LEAST_ROWS, STABLE

if TYPE_CHECKING:
    from mlship.flows.drift_page import Page

QUIET = 5  # stable ones that are named; there may be a hundred
NOTABLE = 0.01  # of the rows, without a value or beyond the reference


def report_text(report: Report) -> str:
    several = len(report.models) > 1
    return lines(
        f"{place(report.project, report.environment)}  {report.target}  {report.release}  PSI against model.reference",
        *(_of_model(model, [one for one in report.measured if one.model == model.name], several) for model in report.models),
        _end(report),
        _next(report),
    )


def page_text(page: Page) -> str:
    quiet = [column for column in page.columns if column.word == "stable"]
    shown = [column for column in page.columns if column.word != "stable"] + quiet[:QUIET]
    left = quiet[QUIET:]
    drifted = [column.name for column in page.columns if column.word == "drifted"]
    return lines(
        f"{page.project}  {page.rows[0]:,} rows of {page.data}, {page.rows[1]:,} of {page.reference}  PSI as Evidently counts it",
        columns([[column.name, f"{column.psi:.3f}", column.word] for column in shown]),
        f"  {len(left)} others  stable" if left else "",
        *(f"  left out  {name}: {why}" for name, why in list(page.left_out.items())[:QUIET]),
        f"DRIFTED  {_some(drifted)}: PSI {page.threshold:g} or more" if drifted else "",
        f"Written: {page.html}",
    )


def _of_model(model: Compared, measured: list[Measured], several: bool) -> str:
    title = f"{model.name}  " if several else ""
    if model.verdict == "inconclusive":
        return f"  {title}not enough rows yet: {model.rows:,} of {LEAST_ROWS}, {model.missing:,} are missing"
    loud = [one for one in measured if one.word != "stable"]
    quiet = [one for one in measured if one.word == "stable"]
    named = quiet if len(quiet) <= QUIET + 1 else quiet[:QUIET]
    left = quiet[len(named) :]
    more = f"{len(left)} others" if left else ""
    return lines(
        f"  {title}{model.rows:,} rows of late, {model.reference_rows:,} of reference",
        columns(
            [_row(one) for one in (*loud, *named)] + ([[more, f"<= {left[0].psi:.3f}", "stable"]] if left else []), indent=4
        ),
    )


def _row(one: Measured) -> list[str]:
    return [_name(one), f"{one.psi:.3f}", one.word, ", ".join(_notes(one))]


def _notes(one: Measured) -> Iterable[str]:
    was, now = one.nulls
    if abs(now - was) >= NOTABLE:
        yield f"null {percent(was)} -> {percent(now)}"
    if one.beyond >= NOTABLE:
        yield f"{percent(one.beyond)} beyond the reference"


def _name(one: Measured) -> str:
    return "predictions" if one.of == PREDICTION else one.feature


def _end(report: Report) -> str:
    drifted = [_name(one) for one in report.measured if one.word == "drifted"]
    if drifted:
        return f"DRIFTED  {_some(drifted)}: PSI {report.threshold:g} or more"
    if report.verdict == "inconclusive":
        return "not known: nothing is said of so few rows" + (", and --strict takes that for drift" if report.strict else "")
    moving = [_name(one) for one in report.measured if one.word == "moving"]
    return f"moving  {', '.join(moving)}: PSI {STABLE:g} or more" if moving else "stable"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:QUIET]) + (f" and {len(names) - QUIET} more" if len(names) > QUIET else "")


def _next(report: Report) -> str:
    again = command_for(
        "drift" if report.verdict == "inconclusive" else "status", report.project, report.target, report.environment
    )
    if report.verdict != "fail":
        return f"Next: {again}"
    return "Next: mlship drift --data rows.csv --html drift.html   # rows of your own beside the reference, in pictures"
