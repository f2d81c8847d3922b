"""list: every project on every target that can be asked from here."""

from __future__ import annotations

from mlship.errors import MlshipError
from mlship.flows.context import Context
from mlship.flows.results import Listed
from mlship.targets.base import Opening, ServiceRow
from mlship.targets.table import MODULES, services


def list_services(context: Context, target: str = "") -> Listed:
    """Without a target all are asked, and one that cannot be reached is named; a named one that cannot be asked raises."""
    opening = Opening("", "", context.home, context.runner, context.clock, context.who, context.environ)
    if target:
        return Listed(services(target, opening))
    rows: list[ServiceRow] = []
    unreachable: dict[str, str] = {}
    for name in MODULES:
        try:
            rows.extend(services(name, opening))
        except MlshipError as error:
            unreachable[name] = str(error)
    return Listed(tuple(rows), unreachable)
