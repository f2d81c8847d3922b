"""Every project of a subscription that runs on Container Apps: what `mlship list` shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlship.errors import Exit, MlshipError
from mlship.targets.azure.container_apps import seen
from mlship.targets.azure.container_apps.foundation import APP
from mlship.targets.azure.door import Door
from mlship.targets.azure.scope import ENV, PROJECT, Place, Scope
from mlship.targets.base import Opening, ServiceRow


def services(opening: Opening, door: Door) -> tuple[ServiceRow, ...]:
    """Asked of Azure alone: a request to an app that sleeps would wake it. Raises MlshipError: exit 8 for who may not, else 13."""
    try:
        told = door.all(f"/subscriptions/{door.subscription}/providers/{APP}", seen.API)
    except MlshipError as error:
        exit = error.exit if error.exit is Exit.DENIED else Exit.UNREACHABLE
        raise MlshipError(error.what, fix=error.fix, exit=exit, code=error.code) from None
    rows = [row for one in told if (row := _row(door, one)) is not None]
    return tuple(sorted(rows, key=lambda row: (row.project, row.environment)))


def _row(door: Door, app: Mapping[str, Any]) -> ServiceRow | None:
    """None for what is not mlship's."""
    tags: Mapping[str, str] = app.get("tags") or {}
    parts = str(app.get("id") or "").split("/")
    if not tags.get(PROJECT) or len(parts) < 5:
        return None
    scope = Scope(tags[PROJECT], tags.get(ENV, ""))
    found = seen.look(door, Place(parts[2], parts[4]), scope)
    if found is None or found.live is None:
        return None
    is_ready = bool(found.live.ready) or found.live.is_asleep
    return ServiceRow(scope.project, scope.environment, "azure", found.live.release, f"https://{found.host}", is_ready)
