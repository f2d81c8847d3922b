"""mlship test"""

from __future__ import annotations

from typing import Annotated

import typer

from mlship.cli import payloads
from mlship.cli.answer import Answer
from mlship.cli.call import Call
from mlship.cli.hosts import on_each_host
from mlship.cli.options import ImageOption, ProjectName, Python
from mlship.flows.context import Where


def command(
    call: Call,
    name: ProjectName = "",
    live: Annotated[bool, typer.Option("--live", help="Ask the live release, not the built image.")] = False,
    image: ImageOption = "",
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="GATE", help="This gate alone; may be repeated.", show_default=False)
    ] = None,
    max_memory: Annotated[
        str, typer.Option("--max-memory", metavar="SIZE", help="Of all processes, such as 500MB.", show_default=False)
    ] = "",
    max_start: Annotated[
        str, typer.Option("--max-start", metavar="TIME", help="From start to ready, such as 5s.", show_default=False)
    ] = "",
    slo: Annotated[str, typer.Option("--slo", metavar="p95_ms=N", help="Latency under a short load.", show_default=False)] = "",
    max_change: Annotated[
        float | None,
        typer.Option(
            "--max-change",
            metavar="SHARE",
            min=0,
            help="How far predictions may move from the live release.",
            show_default=False,
        ),
    ] = None,
    breaking: Annotated[
        bool, typer.Option("--breaking", help="A schema that breaks callers of the live release is meant to be.")
    ] = False,
    drill: Annotated[bool, typer.Option("--drill", help="SIGTERM under load: no request may fail.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="What is not known counts as failed.")] = False,
    junit: Annotated[
        str, typer.Option("--junit", metavar="FILE", help="Write the results as JUnit XML, too.", show_default=False)
    ] = "",
    key: Annotated[
        str,
        typer.Option(
            "--key", metavar="NAME", help="The variable that has a caller's key for the live release.", show_default=False
        ),
    ] = "",
    platforms: Annotated[
        list[str] | None,
        typer.Option(
            "--as",
            metavar="PLATFORM",
            help="Run the image at a Docker engine as sagemaker, vertex, azureml, cloud-run, container-apps, ecs or lambda "
            "does, and call it as that platform's callers do; may be repeated.",
            show_default=False,
        ),
    ] = None,
    python: Python = "",
) -> Answer:
    """Judge the built image before a deploy: answers, truths, quality, schema, budgets; with --as a platform's demands.

    Exit 5 when a gate fails, 11 when a live release crosses --slo alone.
    """
    from mlship.cli.views.test import report_text
    from mlship.disk import write_atomic
    from mlship.flows.gating import budgets, course, platform_course
    from mlship.flows.gating.junit import junit as junit_of
    from mlship.masks import masked

    wishes = course.Wishes(
        live=live,
        image=image,
        only=tuple(only or ()),
        max_memory=budgets.memory_limit(max_memory),
        max_start=budgets.start_limit(max_start),
        slo=budgets.promise(slo),
        max_change=max_change,
        breaking=breaking,
        drill=drill,
        strict=strict,
        key=key,
        python=python,
        platforms=tuple(platforms or ()),
    )
    judge = platform_course.judge if wishes.platforms else course.judge

    def act(where: Where) -> Answer:
        report = judge(call.context, where, wishes)
        if junit:
            write_atomic(
                call.context.cwd / junit, masked(junit_of(report).decode()).encode(), other="name another file with --junit"
            )
        return Answer(report_text(report), payloads.tested(report), report.verdict, int(report.exit))

    if wishes.platforms:  # the engine of this machine, whatever hosts serve
        return act(call.where(name))
    return on_each_host(call, name, act)
