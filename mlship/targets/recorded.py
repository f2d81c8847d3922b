"""What the records keep of a deployment that is under way, so that any machine can go on without mlship.yaml. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from mlship.releases.history import History, Underway
from mlship.targets.base import Deployment, Strategy


def deployment_to_plain(deployment: Deployment) -> dict[str, Any]:
    """As JSON gives it back. No secrets: the target holds them already."""
    strategy = strategy_to_plain(deployment.strategy)
    references = {"references": dict(deployment.references)} if deployment.references else {}
    return {
        "service": deployment.service,
        "settings": dict(deployment.settings),
        "labels": dict(deployment.labels),
        "startup_timeout_s": deployment.startup_timeout_s,
        "request_timeout_s": deployment.request_timeout_s,
        "keep": deployment.keep,
        "replicas": list(deployment.replicas),
        **references,
        "strategy": {**strategy, "steps": list(deployment.strategy.steps), "gates": list(deployment.strategy.gates)},
    }


def strategy_to_plain(strategy: Strategy) -> dict[str, Any]:
    """Without the keys that came later and say nothing: what an earlier mlship wrote is no change."""
    said = asdict(strategy)
    return said if strategy.mirror else {key: entry for key, entry in said.items() if key != "mirror"}


def deployment_under_way(history: History, underway: Underway) -> Deployment:
    """The deployment that began."""
    said = dict(underway.deployment)
    return Deployment(
        project=history.project,
        environment=history.environment,
        target=history.target,
        release=underway.release,
        operating=underway.operating,
        replicas=tuple(said.pop("replicas")),
        strategy=_strategy(said.pop("strategy")),
        **said,
    )


def _strategy(said: Mapping[str, Any]) -> Strategy:
    return Strategy(**{**said, "steps": tuple(said["steps"]), "gates": tuple(said["gates"])})
