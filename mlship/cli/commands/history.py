"""mlship history"""

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
    recover: Annotated[
        bool, typer.Option("--recover", help="Make a history that is gone again, of the records beside the images (aws).")
    ] = False,
) -> Answer:
    """Who released what, when and why."""
    from mlship.cli.views.history import history_text
    from mlship.flows.history import history
    from mlship.flows.recover import recover as recovered

    def act(where: Where) -> Answer:
        result = (recovered if recover else history)(call.context, where)
        return Answer(history_text(result), payloads.history(result), brief=result.live)

    return on_every_host(call, name, act)
