"""Which module opens which target. A new target is a line here and its own file or folder."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import cast

from mlship.errors import MlshipError
from mlship.targets.base import Opening, ServiceRow, Target

MODULES = {
    "local": "mlship.targets.local.target",
    "docker": "mlship.targets.docker.target",
    "fake": "mlship.targets.fake",
}
# The service that a target runs when none is named.
SERVICES = {"local": "process", "docker": "haproxy", "fake": "memory"}


def open_target(name: str, opening: Opening) -> Target:
    """Raises MlshipError for a target that is not built yet."""
    opener = cast("Callable[[Opening], Target]", _part(name, "open_target"))
    return opener(opening)


def services(name: str, opening: Opening) -> tuple[ServiceRow, ...]:
    """Every project on the target. Raises MlshipError with exit 13 when it cannot be asked."""
    lister = cast("Callable[[Opening], tuple[ServiceRow, ...]]", _part(name, "services"))
    return lister(opening)


def _part(target: str, function: str) -> object:
    module = MODULES.get(target)
    if module is None:
        raise MlshipError(
            f"there is no target {target}, or it is not built yet",
            fix=f"use one of: {', '.join(name for name in MODULES if name != 'fake')}",
            code="not-yet",
        )
    return getattr(importlib.import_module(module), function)
