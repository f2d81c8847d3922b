"""Which module tells what a target bills, and what its services can do. It needs no SDK, and no target that is built."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Protocol, cast

from mlship.errors import Finding, MlshipError
from mlship.targets.base import Deployment, Feature, Resource

MODULES = {
    "local": "mlship.targets.local.resources",
    "docker": "mlship.targets.docker.resources",
    "aws": "mlship.targets.aws.resources",
    "gcp": "mlship.targets.gcp.resources",
    "azure": "mlship.targets.azure.resources",
    "kubernetes": "mlship.targets.kubernetes.resources",
}


class Priced(Protocol):
    """A module `targets/<name>/resources.py`; all of it is pure."""

    FEATURES: Mapping[str, Mapping[str, Feature]]
    """service -> dotted key or word -> how the service honours it."""
    EXCLUDED: Mapping[str, tuple[str, ...]]
    """service -> what will be billed and is not among its resources, for people."""

    def resources(self, deployment: Deployment) -> tuple[Resource, ...]:
        """What is billed. A size that the service does not have is the next larger one, or its largest."""

    def findings(self, deployment: Deployment) -> tuple[Finding, ...]:
        """What the service cannot give, and what is missing for its price."""


def priced(target: str) -> Priced:
    """Raises MlshipError for a name that no target has."""
    module = MODULES.get(target)
    if module is None:
        raise MlshipError(f"there is no target {target}", fix=f"use one of: {', '.join(MODULES)}", code="unknown-target")
    return cast(Priced, importlib.import_module(module))
