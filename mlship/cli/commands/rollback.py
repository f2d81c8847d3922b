"""mlship rollback"""

from __future__ import annotations

from typing import Annotated

import typer

from mlship.cli import payloads
from mlship.cli.answer import Answer
from mlship.cli.call import Call
from mlship.cli.hosts import together
from mlship.cli.options import ProjectName


def command(
    call: Call,
    name: ProjectName = "",
    to: Annotated[str, typer.Option("--to", metavar="RELEASE", help="An older release, such as r11.", show_default=False)] = "",
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Kept in the history.", show_default=False)] = "",
    with_operations: Annotated[
        bool, typer.Option("--with-operations", help="Restore its scale and rollout settings too, not only what it serves.")
    ] = False,
) -> Answer:
    """Serve the release before, or any older one.

    Needs no checkout, no build and no mlship.yaml. The release that gives way is marked rejected.
    """
    call.need_consent()
    from mlship.cli.views.deploy import rollback_plan_text, rollback_text
    from mlship.flows import rollback
    from mlship.flows.hosts import hosts_of, in_turn, places

    found = places(call.context, call.where(name))
    prepared = rollback.prepare_each(call.context, found, to=to, with_operations=with_operations, reason=reason)
    changing = [one.view for one in prepared if not one.view.is_empty]
    if changing:
        call.show("\n".join(rollback_plan_text(view, call.now) for view in changing))
        call.agree("Roll back?")

    def act(position: int) -> Answer:
        result = rollback.rollback(call.context, prepared[position])
        return Answer(rollback_text(result), payloads.deployed(result), brief=result.release.id)

    hosts = hosts_of(found)
    return together(hosts, in_turn(hosts, act, [one.view for one in prepared]))
