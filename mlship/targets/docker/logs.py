"""The lines of all replicas as one stream, by time; new replicas join while it is followed."""

from __future__ import annotations

import heapq
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

from mlship.errors import MlshipError
from mlship.targets.base import LogLine
from mlship.targets.docker import spec
from mlship.targets.docker.engine import Container, Engine
from mlship.targets.docker.fleet import UP, Fleet

LOOK_S = 1.0  # how often new replicas are looked for while the log is followed


def merged_logs(
    engine: Engine, fleet: Fleet, release: str, lines: int, follow: bool, sleep: Callable[[float], None]
) -> Iterator[LogLine]:
    """The last `lines` of all, then what comes, without end, when `follow`.

    release: empty for the running replicas, or, where none runs, those of the newest release. Raises MlshipError for none.
    """
    chosen = _chosen(engine, fleet, release)
    last = heapq.merge(*(list(_lines(engine, entry, lines)) for entry in chosen), key=lambda line: line.when)
    yield from list(last)[-lines:] if lines else ()
    if follow:
        yield from _followed(engine, fleet, release, chosen)


def _chosen(engine: Engine, fleet: Fleet, release: str) -> list[Container]:
    found = [entry for entry in fleet.replicas() if release in ("", entry.labels[spec.RELEASE])]
    running = [entry for entry in found if entry.state in UP]
    if not found:
        of = f" of {release}" if release else ""
        raise MlshipError(
            f"there is no container{of} of {fleet.scope.name} at the engine",
            where=engine.address,
            fix=f"mlship history {fleet.scope.project} --target docker",
            code="no-container",
        )
    newest = found[-1].labels[spec.RELEASE]
    return running or [entry for entry in found if entry.labels[spec.RELEASE] == newest]


def _lines(engine: Engine, container: Container, lines: int, follow: bool = False) -> Iterator[LogLine]:
    for when, text in engine.logs(container.id, lines, follow):
        yield LogLine(container.name, container.labels[spec.RELEASE], text, when)


def _followed(engine: Engine, fleet: Fleet, release: str, known: list[Container]) -> Iterator[LogLine]:
    """One thread a replica; they end with their replica, or with this process."""
    arrived: queue.Queue[LogLine] = queue.Queue()
    followed: dict[str, threading.Thread] = {}

    def read(container: Container, lines: int) -> None:
        with suppress(MlshipError):  # the replica, or the engine, is gone: the next look says so
            for line in _lines(engine, container, lines, follow=True):
                arrived.put(line)

    def follow(container: Container, lines: int) -> None:
        thread = threading.Thread(target=read, args=(container, lines), daemon=True, name=f"logs {container.name}")
        followed[container.id] = thread
        thread.start()

    for container in known:
        follow(container, 0)
    while True:
        try:
            yield arrived.get(timeout=LOOK_S)
        except queue.Empty:
            pass
        if arrived.empty():
            for container in fleet.replicas():
                is_wanted = container.state in UP and release in ("", container.labels[spec.RELEASE])
                present = followed.get(container.id)
                if is_wanted and (present is None or not present.is_alive()):
                    follow(container, 1000 if present is None else 0)
