"""mlship promote"""

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
    full: Annotated[bool, typer.Option("--full", help="All callers move now, whatever the steps that are left.")] = False,
) -> Answer:
    """Go on with a rollout that waits, to its next step or to the end.

    Needs no checkout, no build and no mlship.yaml. Passes the step that it waits at; the gates of later steps are judged. A step
    whose command was killed is watched to its end. What a gate had judged to have failed by then is only taken back (exit 6).
    """
    call.need_consent()
    from mlship.cli.views.deploy import deploy_text, plan_text
    from mlship.flows import promote
    from mlship.flows.hosts import hosts_of, in_turn, looked_at, under_way

    found = under_way(call.context, call.where(name))
    hosts = hosts_of(found)
    prepared = looked_at(hosts, lambda position: promote.prepare(call.context, found[position], full=full))
    call.show("\n".join(plan_text(one.view) for one in prepared))
    call.agree("Go on?")

    def act(position: int) -> Answer:
        result = promote.promote(call.context, prepared[position])
        return Answer(deploy_text(result), payloads.deployed(result), brief=result.release.id)

    return together(hosts, in_turn(hosts, act))
