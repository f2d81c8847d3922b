"""The target `gcp`: which of its services runs a project. Each of them is a folder here that implements targets.base.Target."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import cast

from mlship.errors import MlshipError
from mlship.targets.base import Opening, ServiceRow, Target
from mlship.targets.gcp.door import Door
from mlship.targets.gcp.listing import rows
from mlship.targets.gcp.records import records_of
from mlship.targets.gcp.sdk import SdkDoor

# service -> the module whose `open_service(opening, door)` gives its target
MODULES = {"cloud-run": "mlship.targets.gcp.cloud_run.target", "vertex": "mlship.targets.gcp.vertex.target"}
DEFAULT = "cloud-run"


def open_target(opening: Opening) -> Target:
    """Raises MlshipError for a service that nothing is deployed to."""
    return open_with(opening, door_of(opening))


def services(opening: Opening) -> tuple[ServiceRow, ...]:
    """Every project of mlship in the region. Raises MlshipError where nobody can be asked."""
    return tuple(rows(opening, door_of(opening), open_with))


def door_of(opening: Opening) -> SdkDoor:
    settings = opening.settings
    return SdkDoor(str(settings.get("project") or ""), str(settings.get("region") or ""))


def open_with(opening: Opening, door: Door) -> Target:
    """The same, through this door."""
    service = str(opening.settings.get("service") or "") or _recorded(opening, door)
    if service not in MODULES:
        built = ", ".join(MODULES)
        raise MlshipError(
            f"deploying to gcp service {service} is not built", fix=f"write targets.gcp.service: one of {built}", code="not-yet"
        )
    opener = cast("Callable[[Opening, Door], Target]", importlib.import_module(MODULES[service]).open_service)
    return opener(opening, door)


def _recorded(opening: Opening, door: Door) -> str:
    """Where there is no YAML the records say what the project runs on."""
    history = records_of(opening, door).read()
    settings = history.operating.get("settings") if history else None
    return str((settings or {}).get("service") or DEFAULT)
