"""mlship history"""

from __future__ import annotations

from mlship.cli import payloads
from mlship.cli.answer import Answer
from mlship.cli.call import Call
from mlship.cli.options import ProjectName


def command(call: Call, name: ProjectName = "") -> Answer:
    """Who released what, when and why."""
    from mlship.cli.views.history import history_text
    from mlship.flows import history

    result = history.history(call.context, call.where(name))
    return Answer(history_text(result), payloads.history(result), brief=result.live)
