"""The operating part of a deployment: what is not in a release's hash, as plain data in the records and back. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlship.config.project import Project
from mlship.config.schema import Scale
from mlship.config.secrets import STORES
from mlship.flows.opening import settings_of
from mlship.flows.secrets import references_of
from mlship.releases.release import Release
from mlship.targets.base import Deployment, Strategy
from mlship.targets.recorded import strategy_to_plain
from mlship.targets.table import SERVICES

CANARY_STEPS = (0.05, 0.25, 1.0)
# Where the file says no number: Cloud Run starts a replica for the first request, and bills none that waits.
REPLICAS_UNSAID = {("gcp", "cloud-run"): (0, 1)}


def deployment_from(project: Project, release: Release) -> Deployment:
    """Project and release as the target wants them."""
    operating = operating_part(project)
    return deployment_from_operating(project.name, project.environment, project.target, release, operating, project)


def deployment_from_operating(
    name: str, environment: str, target: str, release: Release, operating: Mapping[str, Any], project: Project | None
) -> Deployment:
    """A deployment as the records describe it: what a rollback without a YAML starts from.

    Records of an earlier mlship lack keys that came later; those are as a file without them would have them.
    """
    replicas = operating.get("replicas", {})
    return Deployment(
        project=name,
        environment=environment,
        target=target,
        service=operating.get("service", SERVICES.get(target, "")),
        release=release,
        settings=operating.get("settings", {}),
        operating=operating,
        labels=operating.get("labels", {}),
        startup_timeout_s=operating.get("startup_timeout_s", 60.0),
        request_timeout_s=operating.get("request_timeout_s", 2.0),
        keep=operating.get("keep", 5),
        replicas=(replicas.get("min", 1), replicas.get("max", 1)),
        strategy=strategy_of(operating),
        references=operating.get("references", {}),
        places={key: project.at(key) for key in project.positions} if project else {},
    )


def operating_part(project: Project) -> dict[str, Any]:
    """What a file says besides the served part. Keys that came later are there only where the file says something in them, so
    that an upgrade of mlship changes nothing that is live.
    """
    scale = project.scale
    settings = settings_of(project)
    service = settings.get("service") or SERVICES.get(project.target, "")
    operating = {
        "service": service,
        "settings": settings,
        "labels": dict(project.labels),
        "replicas": _replicas(project, service),
        "startup_timeout_s": project.serve.startup_timeout.seconds,
        "request_timeout_s": project.serve.request_timeout.seconds,
        "keep": project.rollout.keep,
    }
    strategy = strategy_from(project)
    if strategy != Strategy():
        operating["rollout"] = strategy_to_plain(strategy)
    if project.cost.profile != "on-demand":
        operating["cost"] = {"profile": project.cost.profile, "on_demand_base": project.cost.on_demand_base or 0}
    if scale.replicas.min != scale.replicas.max or scale.schedule:
        operating["scale"] = _scaling(scale)
    if project.public:
        operating["public"] = True
    if project.serve.auth is not None and project.target in STORES:
        operating["auth"] = True
    if references := references_of(project):
        operating["references"] = references
    return operating


def _replicas(project: Project, service: str) -> dict[str, int]:
    said = project.scale.replicas.min, project.scale.replicas.max
    least, most = said if "scale.replicas" in project.positions else REPLICAS_UNSAID.get((project.target, service), said)
    return {"min": least, "max": most}


def with_references(operating: Mapping[str, Any], of_release: Mapping[str, Any]) -> dict[str, Any]:
    """A version of a secret means something only beside the name that it was pinned under: a release keeps its names."""
    others = {key: entry for key, entry in operating.items() if key != "references"}
    return {**others, "references": of_release["references"]} if "references" in of_release else others


def strategy_from(project: Project) -> Strategy:
    """How the file wants a release to take over."""
    said = project.rollout
    steps = tuple(_share(step) for step in said.steps)
    return Strategy(
        name=said.strategy or "",
        steps=steps or (CANARY_STEPS if said.strategy == "canary" else ()),
        bake_s=said.bake.seconds if said.bake else 0.0,
        min_requests=said.min_requests,
        gates=said.gates,
        on_fail=said.on_fail,
        approve=said.approve,
        mirror=_share(said.mirror) if said.mirror else 0.0,
    )


def _share(said: str) -> float:
    return int(said.removesuffix("%")) / 100


def strategy_of(operating: Mapping[str, Any]) -> Strategy:
    """How the records say that a release takes over."""
    said = dict(operating.get("rollout", {}))
    lists = {name: tuple(said[name]) for name in ("steps", "gates") if name in said}
    return Strategy(**{**said, **lists})


def _scaling(scale: Scale) -> dict[str, Any]:
    """What the number of replicas follows, inside its range."""
    floors = {"schedule": [{"cron": one.cron, "min": one.min} for one in scale.schedule]} if scale.schedule else {}
    return {"metric": scale.metric, "per_replica": scale.per_replica, "down_after_s": scale.down_after.seconds, **floors}
