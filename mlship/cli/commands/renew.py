"""mlship renew"""

from __future__ import annotations

from mlship.cli import payloads
from mlship.cli.answer import Answer
from mlship.cli.call import Call
from mlship.cli.hosts import together
from mlship.cli.options import ProjectName


def command(call: Call, name: ProjectName = "") -> Answer:
    """Bring the newest HAProxy and OpenSSL to the front of a service on docker.

    The release, its replicas and the callers' shares stay. Nobody reaches the service for a second or two, which no deploy
    costs: that is why a deploy never does it. Where the new front does not come up, the former one serves again, and the exit
    code is 6. Needs no checkout and no mlship.yaml.
    """
    call.need_consent()
    from mlship.cli.views.renew import renew_plan_text, renewed_text
    from mlship.flows import renew
    from mlship.flows.hosts import hosts_of, in_turn, looked_at, places

    found = places(call.context, call.where(name))
    hosts = hosts_of(found)
    prepared = looked_at(hosts, lambda position: renew.prepare(call.context, found[position]))
    changing = [one.view for one in prepared if not one.view.is_empty]
    if changing:
        call.show("\n".join(map(renew_plan_text, changing)))
        call.agree("Renew?")

    def act(position: int) -> Answer:
        result = renew.renew(call.context, prepared[position])
        return Answer(renewed_text(result), payloads.renewed(result), brief=result.view.after.has)

    return together(hosts, in_turn(hosts, act))
