"""mlship status"""

from __future__ import annotations

from typing import Annotated

import typer

from mlship.cli import payloads
from mlship.cli.answer import Answer
from mlship.cli.call import Call
from mlship.cli.hosts import on_every_host
from mlship.cli.options import ProjectName
from mlship.flows.context import Where


def command(
    call: Call,
    name: ProjectName = "",
    why: Annotated[
        bool, typer.Option("--why", help="Exit code, memory, probe and last log lines of each copy that is not well.")
    ] = False,
) -> Answer:
    """What is live, asked from the server."""
    from mlship.cli.views.status import status_text
    from mlship.flows import status

    def act(where: Where) -> Answer:
        result = status.status(call.context, where, why=why)
        return Answer(status_text(result, call.now), payloads.status(result), brief=result.serving)

    return on_every_host(call, name, act)
