"""mlship history"""

from __future__ import annotations

from mlship.cli import payloads
from mlship.cli.answer import Answer
from mlship.cli.call import Call
from mlship.cli.hosts import on_every_host
from mlship.cli.options import ProjectName
from mlship.flows.context import Where


def command(call: Call, name: ProjectName = "") -> Answer:
    """Who released what, when and why."""
    from mlship.cli.views.history import history_text
    from mlship.flows import history

    def act(where: Where) -> Answer:
        result = history.history(call.context, where)
        return Answer(history_text(result), payloads.history(result), brief=result.live)

    return on_every_host(call, name, act)
