"""mlship destroy"""

from __future__ import annotations

from mlship.cli.answer import Answer
from mlship.cli.call import Call
from mlship.cli.options import ProjectName


def command(call: Call, name: ProjectName = "") -> Answer:
    """Remove everything that mlship made for this project: replicas, records, stored images."""
    call.need_consent()
    from mlship.cli.views.text import lines
    from mlship.flows import destroy

    where = call.where(name)
    going = destroy.prepare(call.context, where)
    if going:
        call.show(lines("Plan  these go for good:", *(f"  - {item}" for item in going)))
        call.agree("Destroy?")
    result = destroy.destroy(call.context, where)
    text = lines(
        *(f"  - {item}" for item in result.removed), "Removed" if result.removed else "Nothing to do: nothing is there"
    )
    payload = {
        "project": result.project,
        "environment": result.environment,
        "target": result.target,
        "removed": list(result.removed),
    }
    return Answer(text, payload)
