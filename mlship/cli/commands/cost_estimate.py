"""mlship cost-estimate"""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from mlship.cli import payloads
from mlship.cli.answer import Answer
from mlship.cli.call import Call
from mlship.errors import MlshipError

if TYPE_CHECKING:
    from mlship.cost.diff import Diff
    from mlship.flows.cost_estimate import Estimated
    from mlship.flows.costing.asked import Asked


class Format(StrEnum):
    """How the plans are printed."""

    table = "table"
    csv = "csv"
    markdown = "markdown"


class Term(StrEnum):
    """Of a commitment."""

    one = "1y"
    three = "3y"


def command(
    call: Call,
    service: Annotated[str, typer.Option("--service", metavar="NAME", help="ecs, lambda, cloud-run, vm, ...")] = "",
    region: Annotated[str, typer.Option("--region", metavar="NAME", help="us-east-1, europe-west1, ...")] = "",
    instance: Annotated[str, typer.Option("--instance", metavar="TYPE", help="m7g.large, n2-standard-2, ...")] = "",
    arch: Annotated[str, typer.Option("--arch", metavar="NAME", help="Of the processor: x86_64 or arm64.")] = "",
    replicas: Annotated[str, typer.Option("--replicas", metavar="N", help="3, or 2..10 that follow the traffic.")] = "",
    rps: Annotated[float | None, typer.Option("--rps", metavar="RATE", help="Requests a second, on average.")] = None,
    peak: Annotated[float | None, typer.Option("--peak", metavar="RATE", help="In the busiest hour of a day.")] = None,
    peak_hour: Annotated[int | None, typer.Option("--peak-hour", metavar="HOUR", help="When that begins; 14.")] = None,
    weekend: Annotated[str, typer.Option("--weekend", metavar="SHARE", help="A weekend day against a weekday; 1.")] = "",
    profile: Annotated[str, typer.Option("--profile", metavar="CSV", help="Rates of 24, 168 or 8760 hours.")] = "",
    requests_month: Annotated[
        str,
        typer.Option("--requests-month", "--requests-per-month", metavar="N", help="Instead of --rps: 1.5M, spread evenly."),
    ] = "",
    hours: Annotated[float | None, typer.Option("--hours", metavar="H", help="Of a month; 730.")] = None,
    service_time: Annotated[str, typer.Option("--service-time", metavar="TIME", help="Of a core for one request: 50ms.")] = "",
    slo: Annotated[
        str, typer.Option("--slo", "--slo-p99", "--p99", metavar="TIME", help="99 of 100 requests are answered within: 100ms.")
    ] = "",
    purchase: Annotated[
        str,
        typer.Option("--purchase", metavar="HOW", help="on-demand, fixed, reserved, reserved+on-demand, on-demand+spot, ..."),
    ] = "",
    term: Annotated[Term | None, typer.Option("--term", help="Of a commitment; 1y.", show_default=False)] = None,
    base: Annotated[
        int | None, typer.Option("--base", metavar="N", help="So many replicas are committed, or never spot.")
    ] = None,
    on_demand_share: Annotated[
        str, typer.Option("--on-demand-share", metavar="SHARE", help="Above the base: 0.25, or 25%, of it is not spot.")
    ] = "",
    on_demand_percentage: Annotated[str, typer.Option("--on-demand-percentage", metavar="PERCENT", help="The same: 25.")] = "",
    cpu: Annotated[str, typer.Option("--cpu", metavar="CORES", help="Of a replica, instead of the file's.")] = "",
    memory: Annotated[str, typer.Option("--memory", metavar="SIZE", help="Of a replica: 2GiB.")] = "",
    gpu: Annotated[str, typer.Option("--gpu", metavar="TYPE", help="l4, t4, a100, ...: machines that have it.")] = "",
    speed: Annotated[
        str, typer.Option("--speed", metavar="X", help="Measured, of a vCPU: 0.7, or m7i=0.7.", show_default=False)
    ] = "",
    headroom: Annotated[
        str, typer.Option("--headroom", metavar="SHARE", help="0.2: so much of every replica stays free.")
    ] = "",
    concurrency: Annotated[
        float | None, typer.Option("--concurrency", metavar="N", help="Requests at a time in one serverless replica.")
    ] = None,
    billing: Annotated[str, typer.Option("--billing", metavar="MODE", help="cloud-run: request or instance.")] = "",
    egress_gb: Annotated[float, typer.Option("--egress-gb", metavar="GB", help="To the internet, a month.")] = 0.0,
    logs_gb: Annotated[float, typer.Option("--logs-gb", metavar="GB", help="A month.")] = 0.0,
    free_tier: Annotated[bool, typer.Option("--free-tier", help="Count what a new account gets for nothing.")] = False,
    prices: Annotated[str, typer.Option("--prices", metavar="FILE", help="Your own rates, over the book's.")] = "",
    max_monthly: Annotated[str, typer.Option("--max-monthly", metavar="USD", help="More, or unknown, is exit 9.")] = "",
    strict: Annotated[bool, typer.Option("--strict", help="An unknown price is exit 9.")] = False,
    optimise: Annotated[bool, typer.Option("--optimise", help="The cheapest plans that keep --slo.")] = False,
    cloud: Annotated[str, typer.Option("--cloud", metavar="NAME", help="--optimise: aws, gcp or azure alone.")] = "",
    max_replicas: Annotated[int | None, typer.Option("--max-replicas", metavar="N", help="--optimise: at most.")] = None,
    burstable: Annotated[bool, typer.Option("--burstable", help="--optimise: machines with CPU credits, too.")] = False,
    deployable: Annotated[bool, typer.Option("--deployable", help="Without plans that mlship cannot deploy to.")] = False,
    max_spot_age: Annotated[
        int | None, typer.Option("--max-spot-age", metavar="DAYS", min=0, help="--optimise: older spot prices do not count.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", help="--optimise: so many plans.")] = 10,
    compare: Annotated[bool, typer.Option("--compare", help="Every target and service beside each other.")] = False,
    diff: Annotated[str, typer.Option("--diff", metavar="BASE", help="Against another file, a git revision, or `live`.")] = "",
    format: Annotated[Format, typer.Option("--format", help="How it is printed.")] = Format.table,
    plot: Annotated[str, typer.Option("--plot", metavar="FILE", help="A chart of cost against traffic: .svg or .png.")] = "",
) -> Answer:
    """What a month and a million predictions cost, before anything is deployed.

    Works with or without mlship.yaml: every input may be said here. Touches nothing, and no network.
    """
    from mlship.flows.costing.asked import Asked
    from mlship.flows.costing.words import count_of, in_our_words, percent_of, share_of

    if on_demand_share and on_demand_percentage:
        raise MlshipError("--on-demand-share says it, too", "--on-demand-percentage", "keep one of them", code="usage")
    asked = Asked(
        target=call.common.target or (_target(call, cloud) if cloud and not optimise and not compare else ""),
        service=service,
        region=region,
        instance=instance,
        arch=arch,
        cloud=cloud,
        replicas=replicas,
        rps=rps,
        peak=peak,
        peak_hour=peak_hour,
        weekend=share_of("--weekend", weekend),
        profile=call.path(profile) if profile else None,
        requests_month=count_of("--requests-month", requests_month),
        hours=hours,
        service_time=service_time,
        slo_p99=slo,
        purchase=purchase,
        term=term.value if term else "",
        base=base,
        on_demand_share=share_of("--on-demand-share", on_demand_share)
        if on_demand_share
        else percent_of("--on-demand-percentage", on_demand_percentage),
        cpu=cpu,
        memory=memory,
        gpu=gpu,
        speed=speed,
        headroom=share_of("--headroom", headroom),
        concurrency=concurrency,
        billing=billing,
        egress_gb=egress_gb,
        logs_gb=logs_gb,
        free_tier=free_tier,
        max_replicas=_counted("--max-replicas", max_replicas, 100_000) if max_replicas is not None else None,
        optimise=optimise,
        burstable=burstable,
        max_spot_age=max_spot_age,
        deployable=deployable,
        limit=_counted("--limit", limit, 1000),
        overrides=call.path(prices) if prices else None,
        max_monthly=max_monthly,
        strict=strict,
        compare=compare,
    )
    return _answered(call, in_our_words(asked), diff, format, plot)


def _target(call: Call, cloud: str) -> str:
    """`--cloud aws` alone is `--target aws`, but for a file whose nodes it is then said of."""
    from mlship.flows.loading import project_of

    try:
        project = project_of(call.context, call.where(), needs_model=False)
    except MlshipError as error:
        if error.code != "no-file":
            raise
        return cloud
    return "" if project.target == "kubernetes" else cloud


def _answered(call: Call, asked: Asked, base: str, form: Format, plot: str) -> Answer:
    """The plans are shown before a gate refuses them, and stand beside the error in --json."""
    from mlship.cli.failures import complete, error_payload, error_text
    from mlship.cli.views.cost import brief_text
    from mlship.flows.cost_estimate import cost_estimate
    from mlship.flows.costing.gate import over_budget

    if base and (asked.optimise or asked.compare):
        raise MlshipError("--diff compares one plan with one", fix="leave --optimise and --compare out", code="usage")
    found = cost_estimate(call.context, call.where(), asked)
    changed = _difference(call, asked, found, base) if base else None
    wrote = _plotted(call, found, plot) if plot else ""
    text = _text(call, found, changed, base, form)
    if form is Format.table and wrote:
        text = f"{text}\nWrote {wrote}"
    payload = payloads.estimated(found, changed)
    error = over_budget(found.budget) if found.plans else _no_plan()
    if error is None:
        return Answer(text, payload, brief=brief_text(found.plans, found.chosen))
    call.show(text)
    complete(error, call.scope)
    call.terminal.complain(error_text(error))
    return Answer("", {**error_payload(error), **payload}, exit=error.exit)


def _no_plan() -> MlshipError:
    """Where a search finds nothing, what asked for it must not go on as if it had."""
    fix = "allow more: a longer --slo, more --max-replicas, other clouds and regions"
    return MlshipError("no plan keeps what was asked for", "--optimise", fix, code="no-plan")


def _text(call: Call, found: Estimated, changed: Diff | None, base: str, form: Format) -> str:
    if form is Format.csv:
        from mlship.cost.csv_text import csv_text

        return csv_text(found.plans)
    if form is Format.markdown:
        return _markdown(found, changed, base)
    from datetime import UTC, datetime

    from mlship.cli.views.cost import cost_text, diff_text

    today = datetime.fromtimestamp(call.now, UTC).date().isoformat()
    text = cost_text(found, today=today, suggestion=_suggestion(found))
    return f"{diff_text(changed, base)}\n{text}" if changed else text


def _markdown(found: Estimated, changed: Diff | None, base: str) -> str:
    from mlship.cost.markdown import diff_markdown, markdown

    budget = found.budget
    verdict = f"{'ok' if budget.ok else 'not kept'}, {budget.why}" if budget else ""
    if changed:
        return diff_markdown(changed, found.prices_as_of, base=base, verdict=verdict)
    return markdown(found.plans, found.prices_as_of, chosen=found.chosen, verdict=verdict, why_not=found.why_not)


def _difference(call: Call, asked: Asked, found: Estimated, base: str) -> Diff:
    from mlship.cost.diff import diff
    from mlship.flows.cost_estimate import cost_estimate
    from mlship.flows.costing.base import base_of

    where = base_of(call.context, call.where(), base)
    before = cost_estimate(call.context, where, replace(asked, max_monthly="", strict=False))
    return diff(before.plans[max(before.chosen, 0)], found.plans[max(found.chosen, 0)])


def _plotted(call: Call, found: Estimated, plot: str) -> str:
    from mlship.flows.costing.chart import write_chart

    return str(write_chart(found, call.path(plot)))


def _suggestion(found: Estimated) -> str:
    from mlship.flows.costing.gate import fill_in

    chosen = found.plans[max(found.chosen, 0)] if found.plans else None
    if chosen is not None and not chosen.is_complete:
        return fill_in(chosen.unknowns)
    if found.workload.traffic is None:
        return "the same with --rps 20 --service-time 10ms, or cost.traffic in mlship.yaml"
    return "" if found.chosen < 0 else "the same with --optimise looks at every machine, region and purchase"


def _counted(option: str, said: int, most: int) -> int:
    """Raises MlshipError for what cannot be meant."""
    if 1 <= said <= most:
        return said
    raise MlshipError(f"{said} is not a number from 1 to {most}", option, "correct it", code="usage")
