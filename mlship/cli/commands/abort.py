"""mlship abort"""

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
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Kept in the history.", show_default=False)] = "",
) -> Answer:
    """Take back a rollout that is under way; the release before serves on.

    Needs no checkout, no build and no mlship.yaml. The release that is taken back is marked rejected.
    """
    call.need_consent()
    from mlship.cli.views.deploy import abort_text, rollback_plan_text
    from mlship.flows import abort
    from mlship.flows.hosts import hosts_of, in_turn, looked_at, under_way

    found = under_way(call.context, call.where(name))
    hosts = hosts_of(found)
    prepared = looked_at(hosts, lambda position: abort.prepare(call.context, found[position], reason=reason))
    call.show("\n".join(rollback_plan_text(one.view, call.now) for one in prepared))
    call.agree("Take it back?")

    def act(position: int) -> Answer:
        result = abort.abort(call.context, prepared[position])
        return Answer(abort_text(result), payloads.aborted(result), brief=result.live.id if result.live else "")

    return together(hosts, in_turn(hosts, act))
