"""What is known of each copy: state, last exit, readiness, last words. What `status --why` shows."""

from __future__ import annotations

from mlship.targets.base import Why
from mlship.targets.docker import spec
from mlship.targets.docker.engine import Container, Engine
from mlship.targets.docker.fleet import UP, Fleet, unready
from mlship.targets.docker.observing import Seen

LINES = 10


def whys(seen: Seen, fleet: Fleet, engine: Engine) -> tuple[Why, ...]:
    """The front first. Stopped copies of other releases are kept for rollbacks and nothing is wrong with them."""
    live = seen.history.live if seen.history else ""
    front = (_why(seen.front, "", "", engine),) if seen.front is not None else ()
    shown = [entry for entry in seen.replicas if entry.state in UP or entry.labels[spec.RELEASE] == live or entry.exit_code]
    whole = [entry if entry.state in UP else fleet.replica(entry.name) or entry for entry in shown]
    return (*front, *(_why(entry, entry.labels[spec.RELEASE], _probe(entry, fleet), engine) for entry in whole))


def _why(container: Container, release: str, probe: str, engine: Engine) -> Why:
    has_ended = not container.is_running or container.restarts > 0 or container.exit_code
    return Why(
        replica=container.name,
        release=release,
        state=container.state,
        exit_code=container.exit_code if has_ended else None,
        out_of_memory=container.out_of_memory,
        restarts=container.restarts,
        probe=probe,
        log=tuple(text for _, text in engine.logs(container.id, LINES)),
    )


def _probe(container: Container, fleet: Fleet) -> str:
    return unready(fleet.ready(container)) if container.is_running else ""
