"""What ECS could do and mlship does not do there yet: refused by name, never left out silently. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from mlship.errors import Finding
from mlship.targets.base import Deployment

_MEASURED = ("p50_ms", "p95_ms", "p99_ms", "error_rate")


def in_documents(deployment: Deployment) -> Iterator[Finding]:
    """What is missing in what is rendered, too."""
    least, most = deployment.replicas
    if least != most:
        what = f"scale.replicas {least}..{most}: autoscaling on aws is not yet built"
        yield refused(deployment, "scale.replicas", what, f"write scale.replicas: {most}", "not-yet")
    if deployment.release.served.secrets:
        fix = "use target docker, or leave out what needs them (serve.auth)"
        yield refused(deployment, "secrets", "secrets for the target aws are not yet built", fix, "not-yet")


def in_a_deploy(deployment: Deployment) -> Iterator[Finding]:
    yield from in_documents(deployment)
    if any(gate.split()[0] in _MEASURED for gate in deployment.strategy.gates):
        what = "rollout.gates that are measured are not yet built on aws"
        yield refused(deployment, "rollout.gates", what, "keep prediction_change alone, or write approve: manual", "not-yet")


def refused(deployment: Deployment, key: str, what: str, fix: str, code: str) -> Finding:
    return Finding(what, deployment.places.get(key, ""), fix, code=code)
