"""Every project at one engine: what `mlship list` asks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mlship.targets.base import ServiceRow
from mlship.targets.docker.engine import Container, Engine
from mlship.targets.docker.spec import ENVIRONMENT, PROJECT, RELEASE, ROLE


def services(engine: Engine) -> tuple[ServiceRow, ...]:
    """One row a project and environment, also where nothing runs now. ready: its front and a replica run; none is asked."""
    return tuple(_rows(engine))


def _rows(engine: Engine) -> Iterator[ServiceRow]:
    containers = engine.containers([PROJECT, ROLE])
    known = {_of(entry.labels) for entry in containers}
    known |= {_of(labels) for labels in engine.volumes(PROJECT) if ENVIRONMENT in labels}
    for project, environment in sorted(known):
        ours = [entry for entry in containers if _of(entry.labels) == (project, environment)]
        fronts = [entry for entry in ours if entry.labels[ROLE] == "front"]  # two while one is renewed
        front = max(fronts, key=lambda entry: entry.is_running, default=None)
        # Beside a canary the committed release is the one that has run longer.
        replicas = sorted((entry for entry in ours if _is_serving(entry)), key=lambda entry: entry.started)
        yield ServiceRow(
            project=project,
            environment=environment,
            target="docker",
            live=replicas[0].labels[RELEASE] if replicas else "",
            endpoint=front.published.url if front and front.is_running and front.published else "",
            ready=bool(front and front.is_running and replicas),
        )


def _is_serving(container: Container) -> bool:
    return container.is_running and container.labels[ROLE] == "replica"


def _of(labels: Mapping[str, str]) -> tuple[str, str]:
    return labels[PROJECT], labels.get(ENVIRONMENT, "")
