"""mlship plan"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mlship.cli import payloads
from mlship.cli.answer import Answer
from mlship.cli.call import Call
from mlship.cli.hosts import together
from mlship.cli.options import FromOption, ImageOption, Python, RegistryOption, ReplaceOption
from mlship.errors import Exit

if TYPE_CHECKING:
    from mlship.flows.results import PlanView


def command(
    call: Call,
    image: ImageOption = "",
    source: FromOption = "",
    registry: RegistryOption = "",
    out: Annotated[
        str, typer.Option("--out", metavar="FILE", help="Write it down for deploy --plan FILE.", show_default=False)
    ] = "",
    again: Annotated[bool, typer.Option("--again", help="Allow content that was rejected before.")] = False,
    replaces: ReplaceOption = False,
    python: Python = "",
    detailed_exitcode: Annotated[bool, typer.Option("--detailed-exitcode", help="Exit 3 when there are changes.")] = False,
) -> Answer:
    """What deploy would do. Builds first where that is needed; changes nothing that is live.

    With --out the plan becomes a file, the same bytes for the same world and mlship.yaml. deploy --plan applies exactly that.
    """
    from mlship.cli.views.deploy import origin_text, plan_text
    from mlship.cli.views.text import lines
    from mlship.flows.decided import Wishes, decide, refuse_misplaced

    refuse_misplaced({"--image": image, "--from": source}, {"--registry": registry, "--python": python})
    wishes = Wishes(image=image, source=source, registry=registry, again=again, python=python, replaces=replaces)
    decided = decide(call.context, call.where(), wishes)
    path = None
    if out:
        from mlship.flows import plan_file

        path = plan_file.write(call.path(out), decided.prepared, again=again)
    follow = call.hint(f"deploy --plan {out}" if out else f"deploy --from {source}" if source else "deploy")

    def answer(view: PlanView) -> Answer:
        text = lines(plan_text(view), "" if view.is_empty and not path else f"Next: {follow}")
        changes = detailed_exitcode and not view.is_empty
        more = {**payloads.origin(decided.origin), **({"out": str(path)} if path else {})}
        return Answer(text, {**payloads.planned(view), **more}, exit=Exit.CHANGES if changes else Exit.OK)

    call.show(origin_text(decided.origin))
    return together([place.host for place in decided.places], [answer(one.view) for one in decided.prepared])
