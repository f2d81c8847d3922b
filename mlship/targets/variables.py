"""The server's environment that a target decides. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from mlship.errors import Finding
from mlship.targets.base import Deployment

# A value for one of them in `env` would make the server listen elsewhere or call itself otherwise.
OWN_VARIABLES = (
    "PORT", "AIP_HTTP_PORT", "SAGEMAKER_BIND_TO_PORT", "PYTHONPATH", "MLSHIP_MANIFEST", "MLSHIP_RELEASE", "MLSHIP_HOST",
    "MLSHIP_HOLD", "MLSHIP_DRAIN_DELAY_S", "MLSHIP_DRAIN_TIMEOUT_S", "MLSHIP_SECRETS",
)  # fmt: skip


def variables_of_user(deployment: Deployment) -> dict[str, str]:
    """What `env` says, without those that the target decides."""
    return {name: text for name, text in deployment.release.served.env.items() if name not in OWN_VARIABLES}


def without_effect(deployment: Deployment) -> Iterator[Finding]:
    """A warning for each variable of `env` that the target decides instead."""
    for name in sorted(set(OWN_VARIABLES) & set(deployment.release.served.env)):
        yield Finding(
            f"env.{name} has no effect: the target {deployment.target} sets it itself",
            deployment.places.get(f"env.{name}", ""),
            "leave it out",
            "warning",
            "own-variable",
        )
