"""The target `aws`: which of its services runs a project. Each of them is a folder here that implements targets.base.Target."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import replace
from typing import cast

from mlship.errors import MlshipError
from mlship.releases.release_record import recovered
from mlship.targets.aws.door import BotoDoor, Door
from mlship.targets.aws.listing import rows
from mlship.targets.aws.records import LostRecords, records_of
from mlship.targets.base import Opening, ServiceRow, Target

# service -> the module whose `open_service(opening, door)` gives its target
MODULES = {
    "ecs": "mlship.targets.aws.ecs.target",
    "sagemaker": "mlship.targets.aws.sagemaker.target",
    "lambda": "mlship.targets.aws.lambdas.target",
}
DEFAULT = "ecs"


def open_target(opening: Opening) -> Target:
    """Raises MlshipError for a service that nothing is deployed to."""
    return open_with(opening, BotoDoor(str(opening.settings.get("region") or "")))


def services(opening: Opening) -> tuple[ServiceRow, ...]:
    """Every project of the account in the region. Raises MlshipError where nobody can be asked."""
    door = BotoDoor(str(opening.settings.get("region") or ""))
    return tuple(rows(replace(opening, settings={}), door, open_with))


def open_with(opening: Opening, door: Door) -> Target:
    """The same, through this door."""
    service = str(opening.settings.get("service") or "") or _recorded(opening, door)
    if service not in MODULES:
        built = ", ".join(MODULES)
        raise MlshipError(
            f"deploying to aws service {service} is not built", fix=f"write targets.aws.service: one of {built}", code="not-yet"
        )
    opener = cast("Callable[[Opening, Door], Target]", importlib.import_module(MODULES[service]).open_service)
    return opener(opening, door)


def _recorded(opening: Opening, door: Door) -> str:
    """Where there is no YAML the records say what the project runs on; where these are gone, what lies beside the images."""
    records = records_of(opening, door)
    try:
        history = records.read()
    except LostRecords:
        history = recovered(records.beside_images(), "", "", 0.0)
    settings = history.operating.get("settings") if history else None
    return str((settings or {}).get("service") or DEFAULT)
