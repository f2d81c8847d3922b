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
    "aws": "mlship.targets.aws.target",
    "gcp": "mlship.targets.gcp.target",
    "azure": "mlship.targets.azure.target",
}
# The service that a target runs when none is named.
SERVICES = {
    "local": "process",
    "docker": "haproxy",
    "fake": "memory",
    "aws": "ecs",
    "gcp": "cloud-run",
    "azure": "container-apps",
    "kubernetes": "deployment",
}
# Known by name, service and price (targets/priced.py); nothing is deployed to them yet.
PRICED_ONLY = tuple(name for name in SERVICES if name not in MODULES)
# What their preflight asks of the account needs no image, so it is asked before one is built. Another target joins them once nothing
# in its preflight looks at a release's id or content, which it does not have by then.
ASKED_BEFORE_BUILD = ("fake", "aws", "gcp")
# The others need credentials and a network, and are asked by name alone.
ON_THIS_MACHINE = ("local", "docker", "fake")


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
    if module is not None:
        return getattr(importlib.import_module(module), function)
    if target in PRICED_ONLY:
        fix = f"mlship cost-estimate --target {target} prices it"
        raise MlshipError(f"deploying to {target} is not built yet", fix=fix, code="not-yet")
    built = ", ".join(name for name in MODULES if name != "fake")
    raise MlshipError(f"there is no target {target}", fix=f"use one of: {built}", code="unknown-target")
