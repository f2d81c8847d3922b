"""mlship plan"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mlship.cli import payloads
from mlship.cli.answer import Answer
from mlship.cli.call import Call
from mlship.cli.hosts import together
from mlship.cli.options import ImageOption, Python
from mlship.errors import Exit

if TYPE_CHECKING:
    from mlship.flows.results import PlanView


def command(
    call: Call,
    image: ImageOption = "",
    again: Annotated[bool, typer.Option("--again", help="Allow content that was rejected before.")] = False,
    python: Python = "",
    detailed_exitcode: Annotated[bool, typer.Option("--detailed-exitcode", help="Exit 3 when there are changes.")] = False,
) -> Answer:
    """What deploy would do. Builds first where that is needed; changes nothing that is live."""
    from mlship.cli.views.deploy import plan_text
    from mlship.cli.views.text import lines
    from mlship.flows import plan
    from mlship.flows.hosts import places

    found = places(call.context, call.where())
    prepared = plan.prepare_each(call.context, found, image=image, again=again, python=python)

    def answer(view: PlanView) -> Answer:
        text = lines(plan_text(view), "" if view.is_empty else f"Next: {call.hint('deploy')}")
        changes = detailed_exitcode and not view.is_empty
        return Answer(text, payloads.planned(view), exit=Exit.CHANGES if changes else Exit.OK)

    return together([place.host for place in found], [answer(one.view) for one in prepared])
