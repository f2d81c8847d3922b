"""The front: its container, and the document that tells it who gets which share of the callers."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mlship.errors import Exit, MlshipError
from mlship.targets.docker import spec, traffic
from mlship.targets.docker.bodies import front_body
from mlship.targets.docker.engine import Container, Engine, EngineImage, Network
from mlship.targets.docker.network import front_address
from mlship.targets.docker.records import DockerRecords

START_S = 15.0
# The configuration's hard-stop-after ends an old worker this long after the callers' idle connections, at the latest.
LONGEST_PAUSE_S = 30.0
SETTLE_MARGIN_S = 5.0
POLL_S = 0.05


@dataclass(frozen=True)
class FrontState:
    """What the keeper read. since: of its start, seconds since the epoch.

    document: None where there is none that can be read; `damaged` says why. servers: name -> what HAProxy says of it; totals:
    counts since the project began, over every reload and restart.
    """

    document: Mapping[str, Any] | None = None
    running: bool = False
    old_workers: int = 0
    since: float = 0.0
    rate: float = 0.0
    servers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    totals: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    damaged: str = ""


@dataclass(frozen=True)
class Front:
    """image: the front's image at the engine, brought there where it is missing. confirm: raises LeaseLost."""

    engine: Engine
    scope: spec.Scope
    records: DockerRecords
    image: Callable[[], EngineImage]
    sleep: Callable[[float], None] = time.sleep

    def container(self) -> Container | None:
        return self._owned(self.scope.front)

    def read(self) -> FrontState:
        """Raises MlshipError where the records cannot be reached."""
        if not self.records.exist:
            return FrontState()
        said = self.records.ask({"op": "front_read"})
        return FrontState(
            said.get("front"),
            bool(said.get("running")),
            int(said.get("old_workers", 0)),
            float(said.get("since") or 0.0),
            float(said.get("rate") or 0.0),
            said.get("servers") or {},
            said.get("totals") or {},
            str(said.get("damaged") or ""),
        )

    def tell(self, document: traffic.Document) -> None:
        """The document is the truth from now on, and a running front serves by it when this returns.

        Raises LeaseLost, and MlshipError with code front-refused when HAProxy does not take it; then the one before stays.
        """
        self.records.change({"op": "front_set", "front": document})

    def settle(self, longest_s: float) -> None:
        """Until no worker from before the last reload is left: only then nobody's request is on its way to a replica that

        is not in the document any more. longest_s: how long one answer may take.
        """
        deadline = time.monotonic() + traffic.KEEP_ALIVE_S + max(longest_s, LONGEST_PAUSE_S) + SETTLE_MARGIN_S
        while (state := self.read()).running and state.old_workers and time.monotonic() < deadline:
            self.sleep(POLL_S)

    def ensure(self, published: spec.Address, network: Network) -> None:
        """A front runs at that address; one that publishes elsewhere, or was made otherwise, is replaced.

        Raises EngineRefused, after the former one was brought back, when the address cannot be had.
        """
        present = self._taken_over()
        image = self.image() if present is None else None
        wanted = front_body(self.scope, published, "", "")
        if present is not None and present.labels.get(spec.SPEC) == spec.spec_of(wanted):
            if not present.is_running:
                self._start(present.id)
            return
        before = present.published if present is not None else None
        if present is not None:
            self.remove()
        try:
            self._create(published, network, image or self.image())
        except MlshipError:
            self.remove()
            if before is not None:
                self._create(before, network, self.image())
            raise

    def running(self) -> bool:
        found = self.container()
        return found is not None and found.is_running

    def remove(self) -> None:
        present = self.container()
        if present is None:
            return
        self.records.confirm()
        if present.is_running:
            self.engine.stop(present.id)
        self.records.confirm()
        self.engine.remove(present.id)
        self.records.moved()

    def remove_others(self) -> None:
        """Fronts that a renewal needs no more, or that a killed one has left."""
        for name in (self.scope.next_front, self.scope.former_front, self.scope.reading_front):
            present = self._owned(name)
            if present is not None:
                self.records.confirm()
                self.engine.remove(present.id)

    def _taken_over(self) -> Container | None:
        """The front; where a renewal was killed in the middle, the one of both that runs."""
        present, other = self.container(), self._owned(self.scope.next_front)
        if (present is not None and present.is_running) or other is None or not other.is_running:
            return present
        self.records.confirm()
        if present is not None:
            self.engine.remove(present.id)
        self.engine.rename(other.id, self.scope.front)
        self.records.moved()
        return self.container()

    def _create(self, published: spec.Address, network: Network, image: EngineImage) -> None:
        """A document is there first: it is the keeper's to write, and the front only reads it."""
        if self.read().document is None:
            self.tell(traffic.document({}, 2.0, ()))
        self.records.confirm()
        made = self.engine.create(self.scope.front, front_body(self.scope, published, reference(image), image.python))
        self.engine.connect(network.name, made, front_address(network.subnet))
        self._start(made)

    def _owned(self, name: str) -> Container | None:
        found = self.engine.container(name)
        return found if found is not None and self.scope.owns(found.labels) else None

    def _has_failed(self, container: str) -> bool:
        """It ended and was started again: waiting longer helps nobody."""
        present = self.engine.container(container)
        return present is not None and present.restarts > 1

    def _start(self, container: str) -> None:
        self.records.confirm()
        self.engine.start(container)
        self.await_running(container)

    def await_running(self, container: str) -> None:
        """Until HAProxy answers in the container, which was started as the front. Raises MlshipError when it has not, or ended."""
        self.records.moved()
        deadline = time.monotonic() + START_S
        while not self.read().running:
            if time.monotonic() > deadline or self._has_failed(container):
                said = tuple(text for _, text in self.engine.logs(container, 8))
                raise MlshipError(
                    f"the front does not start within {START_S:.0f} s, or ends again and again",
                    where=f"container {self.scope.front} at {self.engine.address}",
                    fix=f"docker logs {self.scope.front}",
                    exit=Exit.VERIFY_FAILED,
                    code="front-failed",
                    details=said,
                )
            self.sleep(POLL_S)


def reference(image: EngineImage) -> str:
    """A name that `docker ps` shows, where it has one."""
    return image.tags[0] if image.tags else image.id
