"""mlship bench"""

from __future__ import annotations

from typing import Annotated

import typer

from mlship.cli import payloads
from mlship.cli.answer import Answer
from mlship.cli.call import Call
from mlship.cli.hosts import on_each_host
from mlship.cli.options import ProjectName, Python
from mlship.errors import MlshipError
from mlship.flows.context import Where


def command(
    call: Call,
    name: ProjectName = "",
    slo: Annotated[
        str, typer.Option("--slo", metavar="p99=TIME", help="What to keep, instead of the file's slo.p99.", show_default=False)
    ] = "",
    seconds: Annotated[
        float, typer.Option("--seconds", metavar="N", min=0.5, max=300, help="How long each measurement lasts.")
    ] = 3.0,
    rows: Annotated[
        int, typer.Option("--rows", metavar="N", min=0, help="Rows of the sample in each request; 0: all of them.")
    ] = 1,
    model: Annotated[str, typer.Option("--model", metavar="NAME", help="One of several models.", show_default=False)] = "",
    built: Annotated[
        bool, typer.Option("--built", help="A server of the built image on this machine, though a release is live.")
    ] = False,
    key: Annotated[
        str,
        typer.Option("--key", metavar="NAME", help="The variable that has a caller's key (serve.auth).", show_default=False),
    ] = "",
    python: Python = "",
) -> Answer:
    """Load the live release, or the built image: latency, throughput, highest rate.

    Exit 5 when answers are wrong, 11 when no rate keeps the promised latency.
    """
    from mlship.cli.views.bench import bench_text
    from mlship.flows import bench
    from mlship.flows.benching.subject import Wishes, find, promise

    wishes = Wishes(seconds, promise(slo), model, rows, built, key, python)

    def act(where: Where) -> Answer:
        subject = find(call.context, where, wishes)
        if subject.is_far:
            _consent(call, subject.endpoint)
        result = bench.bench(call.context, subject, wishes)
        return Answer(bench_text(result), payloads.benched(result), f"{result.measured.throughput:.4g}", int(result.exit))

    return on_each_host(call, name, act)


def _consent(call: Call, endpoint: str) -> None:
    """Callers of a service elsewhere would feel it. Raises MlshipError where nobody agreed."""
    if not call.common.yes and not call.terminal.can_ask:
        raise MlshipError(
            f"{endpoint} is not on this machine, and a bench loads it to its limit",
            fix=f"{call.hint('bench')} --yes, or measure here: {call.hint('bench --built')}",
            code="consent-needed",
        )
    call.agree(f"{endpoint} is not on this machine, and callers may be using it. Load it to its limit?")
