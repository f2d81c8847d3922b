"""The target `azure`: which of its services runs a project. Each of them is a folder here that implements targets.base.Target."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import cast

from mlship.errors import MlshipError
from mlship.targets.azure.cloud import cloud_of
from mlship.targets.azure.door import AzureDoor, Door
from mlship.targets.azure.keeping import records_of
from mlship.targets.base import Opening, ServiceRow, Target

# service -> the module whose `open_service(opening, door)` gives its target, and whose `services(opening, door)` lists all projects
MODULES = {
    "container-apps": "mlship.targets.azure.container_apps.target",
    "azureml": "mlship.targets.azure.azureml.target",
}
DEFAULT = "container-apps"


def open_target(opening: Opening) -> Target:
    """Raises MlshipError for a service that nothing is deployed to."""
    return open_with(opening, door_of(opening))


def door_of(opening: Opening) -> AzureDoor:
    said, environ = opening.settings, opening.environ
    subscription = str(said.get("subscription") or environ.get("AZURE_SUBSCRIPTION_ID") or "")
    return AzureDoor(subscription, cloud_of(str(said.get("cloud") or ""), environ))


def open_with(opening: Opening, door: Door) -> Target:
    """The same, through this door."""
    service = str(opening.settings.get("service") or "") or _recorded(opening, door)
    if service not in MODULES:
        built = ", ".join(MODULES)
        raise MlshipError(
            f"deploying to azure service {service} is not built",
            fix=f"write targets.azure.service: one of {built}",
            code="not-yet",
        )
    opener = cast("Callable[[Opening, Door], Target]", importlib.import_module(MODULES[service]).open_service)
    return opener(opening, door)


def services(opening: Opening) -> tuple[ServiceRow, ...]:
    """Every project in the subscription, whatever service runs it."""
    return services_with(opening, door_of(opening))


def services_with(opening: Opening, door: Door) -> tuple[ServiceRow, ...]:
    rows: list[ServiceRow] = []
    for module in MODULES.values():
        lister = cast("Callable[[Opening, Door], tuple[ServiceRow, ...]]", importlib.import_module(module).services)
        rows += lister(opening, door)
    return tuple(sorted(rows, key=lambda row: (row.project, row.environment)))


def _recorded(opening: Opening, door: Door) -> str:
    """Where there is no YAML the records say what the project runs on."""
    history = records_of(opening, door).read()
    settings = history.operating.get("settings") if history else None
    return str((settings or {}).get("service") or DEFAULT)
