"""How a project is operated by its records. Pure."""

from __future__ import annotations

from dataclasses import replace

from mlship.releases.history import History
from mlship.targets.base import Deployment


def as_before(history: History | None, deployment: Deployment) -> Deployment:
    """Operated as the records say: what is taken back may have come with other numbers, labels and callers, of which mlship.yaml tells."""
    if history is None or not history.live:
        return deployment
    said = history.operating
    replicas, (least, most) = said.get("replicas") or {}, deployment.replicas
    return replace(
        deployment,
        operating=said,
        labels=said.get("labels") or {},
        settings=said.get("settings") or deployment.settings,
        replicas=(replicas.get("min", least), replicas.get("max", most)),
        places={},
    )
