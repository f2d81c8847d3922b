"""list: every project on a target."""

from __future__ import annotations

from mlship.config.names import check_region
from mlship.errors import Exit, MlshipError
from mlship.flows.context import Context
from mlship.flows.loading import region_here
from mlship.flows.results import Listed
from mlship.targets.base import Opening, ServiceRow
from mlship.targets.table import ON_THIS_MACHINE, services


def list_services(context: Context, target: str = "", region: str = "") -> Listed:
    """Without a target those of this machine are asked, and one that cannot be reached is named; a named one that cannot be asked
    raises. region: of a cloud.
    """
    region = check_region(target, region) if region else region_here(context, target)
    settings = {"region": region} if region else {}
    opening = Opening(
        "", "", context.home, context.runner, context.clock, context.who, context.environ, settings, progress=context.progress
    )
    if target:
        return Listed(services(target, opening))
    rows: list[ServiceRow] = []
    unreachable: dict[str, str] = {}
    for name in ON_THIS_MACHINE:
        try:
            rows.extend(services(name, opening))
        except MlshipError as error:
            unreachable[name] = error.what if error.exit is Exit.UNREACHABLE else str(error)  # most machines have no engine
    return Listed(tuple(rows), unreachable)
