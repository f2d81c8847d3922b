"""mlship deploy"""

from __future__ import annotations

from typing import Annotated

import typer

from mlship.cli import payloads
from mlship.cli.answer import Answer
from mlship.cli.call import Call
from mlship.cli.hosts import together
from mlship.cli.options import FromOption, ImageOption, Python, RegistryOption, ReplaceOption


def command(
    call: Call,
    image: ImageOption = "",
    source: FromOption = "",
    registry: RegistryOption = "",
    plan: Annotated[
        str,
        typer.Option("--plan", metavar="FILE", help="Exactly what mlship plan --out wrote, or nothing.", show_default=False),
    ] = "",
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
    replaces: ReplaceOption = False,
    python: Python = "",
) -> Answer:
    """Put a release in service; verified, and undone when it fails.

    Builds first where that is needed. The new copy is asked for its release id and its predictions before callers reach it.
    Where it fails, what served before still serves, and the exit code is 6. A --plan of another world is refused with exit 14.
    """
    call.need_consent()
    from mlship.cli.views.deploy import deploy_text, origin_text, plan_text, taken_text
    from mlship.flows import deploy
    from mlship.flows.decided import Wishes, decide, refuse_misplaced
    from mlship.flows.hosts import hosts_of, in_turn

    refuse_misplaced(
        {"--archive": archive, "--plan": plan, "--from": source, "--image": image},
        {"--registry": registry, "--python": python, "--again": "yes" if again else "", "--replace": "yes" if replaces else ""},
    )
    where, taken = call.where(), None
    if archive:
        from mlship.flows.archive_deploy import take

        where, taken = take(call.context, where, call.path(archive))
        image = taken.content
        call.show(taken_text(taken))
    wishes = Wishes(image, source, registry, call.path(plan) if plan else None, again, python, replaces)
    decided = decide(call.context, where, wishes)
    prepared = decided.prepared
    changing = [one.view for one in prepared if not one.view.is_empty]
    call.show(origin_text(decided.origin))
    if changing:
        call.show("\n".join(map(plan_text, changing)))
        call.agree("Apply?")

    def act(position: int) -> Answer:
        result = deploy.deploy(call.context, prepared[position])
        more = {**payloads.taken_in(taken), **payloads.origin(decided.origin)}
        return Answer(deploy_text(result), {**payloads.deployed(result), **more}, brief=result.release.id)

    hosts = hosts_of(decided.places)
    return together(hosts, in_turn(hosts, act, [one.view for one in prepared]))
