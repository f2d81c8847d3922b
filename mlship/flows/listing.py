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
    _refuse_vain_region(target, region)
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


def _refuse_vain_region(target: str, region: str) -> None:
    """Raises MlshipError for a region where none means anything. Pure."""
    if region and not target:
        raise MlshipError(
            "--region is of a cloud, and none is named", fix=f"mlship list --target aws --region {region}", code="usage"
        )
    if region and target in ON_THIS_MACHINE:
        raise MlshipError(f"the target {target} has no region", fix="leave --region out", code="usage")
