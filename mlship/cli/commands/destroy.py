"""mlship destroy"""

from __future__ import annotations

from mlship.cli import payloads
from mlship.cli.answer import Answer
from mlship.cli.call import Call
from mlship.cli.hosts import together
from mlship.cli.options import ProjectName


def command(call: Call, name: ProjectName = "") -> Answer:
    """Remove everything that mlship made for this project on a target: replicas, records, images.

    Images that were built stay on this machine, and so does what you tagged yourself.
    """
    call.need_consent()
    from mlship.cli.views.text import lines, place
    from mlship.flows import destroy
    from mlship.flows.hosts import hosts_of, in_turn, looked_at, places

    found = places(call.context, call.where(name))
    hosts = hosts_of(found)
    going = looked_at(hosts, lambda position: destroy.prepare(call.context, found[position]))
    if any(going):
        for where, items in zip(found, going, strict=True):
            heading = f"Plan  {where.host}{' ' if where.host else ''}these go for good:"
            call.show(lines(heading, *(f"  - {item}" for item in items)) if items else "")
        call.agree("Destroy?")

    def act(position: int) -> Answer:
        result = destroy.destroy(call.context, found[position])
        what = place(result.project, result.environment)
        nothing = f"Nothing to do: nothing of {what} is on {result.target}"
        text = lines(
            *(f"  - {item}" for item in result.removed if item not in going[position]),
            f"Removed {what} from {result.target}" if result.removed else nothing,
            f"Stays: {', '.join(result.stays)}" if result.stays else "",
        )
        return Answer(text, payloads.destroyed(result))

    return together(hosts, in_turn(hosts, act))
