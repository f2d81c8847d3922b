"""mlship deploy"""

from __future__ import annotations

from typing import Annotated

import typer

from mlship.cli import payloads
from mlship.cli.answer import Answer
from mlship.cli.call import Call
from mlship.cli.options import ImageOption, Python


def command(
    call: Call,
    image: ImageOption = "",
    again: Annotated[bool, typer.Option("--again", help="Deploy content that was rolled back from or failed before.")] = False,
    python: Python = "",
) -> Answer:
    """Put a release in service; verified, and undone when it fails.

    Builds first where that is needed. The new copy is asked for its release id and its predictions before callers reach it.
    Where it fails, what served before still serves, and the exit code is 6.
    """
    call.need_consent()
    from mlship.cli.views.deploy import deploy_text, plan_text
    from mlship.flows import deploy, plan

    prepared = plan.prepare(call.context, call.where(), image=image, again=again, python=python)
    if not prepared.view.is_empty:
        call.show(plan_text(prepared.view))
        call.agree("Apply?")
    result = deploy.deploy(call.context, prepared)
    return Answer(deploy_text(result), payloads.deployed(result), brief=result.release.id)
