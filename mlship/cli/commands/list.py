"""mlship list"""

from __future__ import annotations

from dataclasses import replace

from mlship.cli import payloads
from mlship.cli.answer import Answer
from mlship.cli.call import Call
from mlship.cli.hints import Scope
from mlship.errors import Exit


def command(call: Call) -> Answer:
    """Every service on a target; on those of this machine without --target.

    A cloud is asked by name: --target aws --region us-east-1. A service whose records cannot be read is named with what to do, and the
    exit code is that of a command for it.
    """
    from mlship.cli.views.status import list_text
    from mlship.flows import listing

    found = listing.list_services(call.context, target=call.common.target, region=call.common.region)
    services = tuple(
        replace(row, fix=Scope(row.project, row.environment, row.target, call.common.region).completed(row.fix))
        for row in found.services
    )
    result = replace(found, services=services)
    brief = "\n".join(row.project for row in result.services)
    exit = next((row.exit for row in services if row.exit), Exit.OK)
    return Answer(list_text(result), payloads.listed(result), brief=brief, exit=exit)
