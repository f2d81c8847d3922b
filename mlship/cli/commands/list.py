"""mlship list"""

from __future__ import annotations

from mlship.cli import payloads
from mlship.cli.answer import Answer
from mlship.cli.call import Call


def command(call: Call) -> Answer:
    """Every service on a target; on all targets of this machine without --target."""
    from mlship.cli.views.status import list_text
    from mlship.flows import listing

    result = listing.list_services(call.context, target=call.common.target)
    return Answer(list_text(result), payloads.listed(result), brief="\n".join(row.project for row in result.services))
