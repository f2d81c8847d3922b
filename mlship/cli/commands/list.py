"""mlship list"""

from __future__ import annotations

from mlship.cli import payloads
from mlship.cli.answer import Answer
from mlship.cli.call import Call


def command(call: Call) -> Answer:
    """Every service on a target; on those of this machine without --target.

    A cloud is asked by name: --target aws --region us-east-1.
    """
    from mlship.cli.views.status import list_text
    from mlship.flows import listing

    result = listing.list_services(call.context, target=call.common.target, region=call.common.region)
    return Answer(list_text(result), payloads.listed(result), brief="\n".join(row.project for row in result.services))
