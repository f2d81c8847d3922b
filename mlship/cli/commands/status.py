"""mlship status"""

from __future__ import annotations

from mlship.cli import payloads
from mlship.cli.answer import Answer
from mlship.cli.call import Call
from mlship.cli.options import ProjectName


def command(call: Call, name: ProjectName = "") -> Answer:
    """What is live, asked from the server."""
    from mlship.cli.views.status import status_text
    from mlship.flows import status

    result = status.status(call.context, call.where(name))
    return Answer(status_text(result, call.now), payloads.status(result), brief=result.serving)
