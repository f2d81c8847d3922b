"""mlship destroy"""

from __future__ import annotations

from mlship.cli.answer import Answer
from mlship.cli.call import Call
from mlship.cli.options import ProjectName

NOTHING = "Nothing to do: nothing is there"


def command(call: Call, name: ProjectName = "") -> Answer:
    """Remove everything that mlship made for this project on a target: replicas, records, images.

    Images that were built stay on this machine, and so does what you tagged yourself.
    """
    call.need_consent()
    from mlship.cli.views.text import lines, place
    from mlship.flows import destroy

    where = call.where(name)
    going = destroy.prepare(call.context, where)
    if going:
        call.show(lines("Plan  these go for good:", *(f"  - {item}" for item in going)))
        call.agree("Destroy?")
    result = destroy.destroy(call.context, where)
    text = lines(
        *(f"  - {item}" for item in result.removed if item not in going),
        f"Removed {place(result.project, result.environment)} from {result.target}" if result.removed else NOTHING,
    )
    payload = {
        "project": result.project,
        "environment": result.environment,
        "target": result.target,
        "removed": list(result.removed),
    }
    return Answer(text, payload)
