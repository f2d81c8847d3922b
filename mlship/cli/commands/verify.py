"""mlship verify"""

from __future__ import annotations

from dataclasses import asdict

from mlship.cli.answer import Answer
from mlship.cli.call import Call
from mlship.cli.hosts import on_each_host
from mlship.cli.options import ProjectName
from mlship.flows.context import Where


def command(call: Call, name: ProjectName = "") -> Answer:
    """Ask the live release its id and the sample again. Changes nothing; exit 6 when it answers otherwise."""
    from mlship.flows import verify

    def act(where: Where) -> Answer:
        result = verify.verify(call.context, where)
        text = f"ok  {result.release} at {result.endpoint}: {result.text}"
        return Answer(text, {"verify": asdict(result)}, brief=result.release)

    return on_each_host(call, name, act)
