"""Every project at one engine: what `mlship list` asks."""

from __future__ import annotations

from collections.abc import Iterator

from mlship.targets.base import ServiceRow
from mlship.targets.docker.engine import Container, Engine
from mlship.targets.docker.spec import ENVIRONMENT, PROJECT, RELEASE, ROLE


def services(engine: Engine) -> tuple[ServiceRow, ...]:
    """One row a project and environment, also where nothing runs now. ready: its container runs; it is not asked."""
    return tuple(_rows(engine))


def _rows(engine: Engine) -> Iterator[ServiceRow]:
    replicas = engine.containers([PROJECT, f"{ROLE}=replica"])
    known = {(entry.labels[PROJECT], entry.labels.get(ENVIRONMENT, "")) for entry in replicas}
    known |= {(labels[PROJECT], labels[ENVIRONMENT]) for labels in engine.volumes(PROJECT) if ENVIRONMENT in labels}
    for project, environment in sorted(known):
        serving = next((entry for entry in replicas if entry.is_running and _of(entry) == (project, environment)), None)
        yield ServiceRow(
            project=project,
            environment=environment,
            target="docker",
            live=serving.labels[RELEASE] if serving else "",
            endpoint=serving.published.url if serving and serving.published else "",
            ready=serving is not None,
        )


def _of(container: Container) -> tuple[str, str]:
    return container.labels[PROJECT], container.labels.get(ENVIRONMENT, "")
