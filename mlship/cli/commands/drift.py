"""mlship drift"""

from __future__ import annotations

from typing import Annotated

import typer

from mlship.cli import payloads
from mlship.cli.answer import Answer
from mlship.cli.call import Call
from mlship.cli.hosts import on_each_host
from mlship.cli.options import ProjectName
from mlship.errors import MlshipError
from mlship.flows.context import Where


def command(
    call: Call,
    name: ProjectName = "",
    threshold: Annotated[
        float | None,
        typer.Option(
            "--threshold",
            metavar="PSI",
            min=0,
            help="From which a feature has drifted. Left out: monitoring.alerts.drift, 0.25.",
            show_default=False,
        ),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Too few rows count as drifted.")] = False,
    data: Annotated[
        str,
        typer.Option(
            "--data", metavar="FILE", help="Compare these rows with model.reference, not the live ones.", show_default=False
        ),
    ] = "",
    html: Annotated[
        str, typer.Option("--html", metavar="FILE", help="With --data: write Evidently's report there.", show_default=False)
    ] = "",
) -> Answer:
    """How far live rows are from model.reference, feature by feature. Exit 11 when one has drifted."""
    from mlship.cli.views.drift import page_text, report_text
    from mlship.flows import drift

    if bool(data) != bool(html):
        missing, given = ("--html drift.html", "--data") if data else ("--data rows.csv", "--html")
        raise MlshipError(f"{given} needs its other half", fix=f"add {missing}")
    if data:
        from mlship.flows.drift_page import write_page

        page = write_page(call.context, call.where(name), data, html, threshold)
        return Answer(page_text(page), payloads.drift_page(page), page.verdict, int(page.exit))

    def act(where: Where) -> Answer:
        report = drift.drift(call.context, where, threshold, strict=strict)
        return Answer(report_text(report), payloads.drifted(report), report.verdict, int(report.exit))

    return on_each_host(call, name, act)
