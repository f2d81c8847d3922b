"""mlship deploy"""

from __future__ import annotations

from typing import Annotated

import typer

from mlship.cli import payloads
from mlship.cli.answer import Answer
from mlship.cli.call import Call
from mlship.cli.hosts import together
from mlship.cli.options import ImageOption, Python


def command(
    call: Call,
    image: ImageOption = "",
    archive: Annotated[
        str,
        typer.Option(
            "--archive",
            metavar="FILE",
            help="What mlship build --archive wrote, on a machine without a network.",
            show_default=False,
        ),
    ] = "",
    again: Annotated[bool, typer.Option("--again", help="Deploy content that was rolled back from or failed before.")] = False,
    python: Python = "",
) -> Answer:
    """Put a release in service; verified, and undone when it fails.

    Builds first where that is needed. The new copy is asked for its release id and its predictions before callers reach it.
    Where it fails, what served before still serves, and the exit code is 6.
    """
    call.need_consent()
    from mlship.cli.views.deploy import deploy_text, plan_text, taken_text
    from mlship.flows import deploy, plan
    from mlship.flows.hosts import hosts_of, in_turn, places

    where, taken = call.where(), None
    if archive:
        from mlship.flows.archive_deploy import refuse_other_options, take

        refuse_other_options(image, python)
        where, taken = take(call.context, where, call.path(archive))
        image = taken.content
        call.show(taken_text(taken))
    found = places(call.context, where)
    prepared = plan.prepare_each(call.context, found, image=image, again=again, python=python)
    changing = [one.view for one in prepared if not one.view.is_empty]
    if changing:
        call.show("\n".join(map(plan_text, changing)))
        call.agree("Apply?")

    def act(position: int) -> Answer:
        result = deploy.deploy(call.context, prepared[position])
        return Answer(deploy_text(result), {**payloads.deployed(result), **payloads.taken_in(taken)}, brief=result.release.id)

    hosts = hosts_of(found)
    return together(hosts, in_turn(hosts, act, [one.view for one in prepared]))
