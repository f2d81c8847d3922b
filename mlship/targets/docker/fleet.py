"""The replicas of one project in one environment: made, started, asked, stopped. Every step can be repeated."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from mlship.errors import MlshipError
from mlship.targets.base import Answer, Deployment, Outcome
from mlship.targets.docker import spec
from mlship.targets.docker.asking import READY, AskKeeper, ask_inside
from mlship.targets.docker.bodies import replica_body
from mlship.targets.docker.engine import Container, Engine, Network, NotThere
from mlship.targets.docker.network import free_addresses
from mlship.targets.docker.traffic import Server
from mlship.targets.reason import own_reason
from mlship.units import Memory

LOG_LINES = 8
# One probe waits inside for readiness this long, then the containers' states are looked at.
WAIT_INSIDE_S = 1.0
# An engine starts a container again after 0.1 s, then after twice as long each time.
BETWEEN_STARTS_S = 3.0
POLL_S = 0.05
# An engine does several at once; more than these only wait for each other there.
AT_ONCE = 8
UP = ("running", "restarting", "paused")


@dataclass(frozen=True)
class Fleet:
    """ask: the keeper on the project's network. confirm: raises LeaseLost; called before every single change.

    deliver: brings the image of a deployment to the engine, again if somebody removed it meanwhile.
    secrets: gives the volume with the secrets of a deployment's release, empty where it has none.
    """

    engine: Engine
    scope: spec.Scope
    ask: AskKeeper
    confirm: Callable[[], None]
    deliver: Callable[[Deployment], None]
    secrets: Callable[[Deployment], str] = lambda deployment: ""
    sleep: Callable[[float], None] = time.sleep

    def replicas(self) -> list[Container]:
        """Every one, by release and number; of stopped ones that ended well only what a list of containers tells."""
        found = self.engine.containers([f"{spec.PROJECT}={self.scope.project}", f"{spec.ROLE}=replica"], brief=True)
        ours = [entry for entry in found if self.scope.owns(entry.labels)]
        return sorted(ours, key=lambda entry: (spec.sequence_of(entry.labels[spec.RELEASE]), spec.number_of(entry.name)))

    def replica(self, name: str) -> Container | None:
        """All that the engine tells of it."""
        found = self.engine.container(name)
        is_ours = found is not None and self.scope.owns(found.labels) and found.labels.get(spec.ROLE) == "replica"
        return found if is_ours else None

    def server(self, container: Container, weight: int) -> Server:
        return Server(self.server_name(container), container.addresses.get(self.scope.network, ""), weight)

    def server_name(self, container: Container) -> str:
        return container.name.removeprefix(self.scope.container(""))

    def run(
        self, deployment: Deployment, numbers: Collection[int], network: Network, named: Collection[Server]
    ) -> list[Container]:
        """These replicas of the release are running when this returns; whether they are ready is not asked.

        A stopped one is started again. One that was made otherwise is made anew, unless it serves: `named` are the servers of
        the front, whose replicas get the address back under which the front knows them.
        """
        present = {entry.name: entry for entry in self.replicas()}
        secrets = self.secrets(deployment)
        wanted = spec.spec_of(replica_body(deployment, secrets=secrets))
        names = sorted((self.scope.container(spec.server_name(deployment.release.id, n)) for n in numbers), key=spec.number_of)
        known = {self.scope.container(server.name): server for server in named}
        usable = {name for name in names if name in present and self._is_usable(present[name], wanted, known.get(name))}
        outdated = [present[name] for name in names if name in present and name not in usable]
        self.remove(outdated)
        others = [entry for entry in present.values() if entry not in outdated]
        addresses = self._addresses([name for name in names if name not in usable], others, network, known)
        bodies = {name: replica_body(deployment, address, secrets, spec.number_of(name)) for name, address in addresses.items()}
        self._each(bodies.items(), lambda made: self._create(made[0], made[1], deployment))
        self._each([name for name in names if name in usable and not _is_up(present[name])], self._start)
        return [found for name in names if (found := self.engine.container(name)) is not None]

    def _is_usable(self, container: Container, wanted: str, server: Server | None) -> bool:
        """wanted: its specification. server: as the front names it."""
        if self.scope.network not in container.addresses:
            return False
        return container.labels.get(spec.SPEC) == wanted or (server is not None and server.weight > 0 and _is_up(container))

    def _addresses(
        self, names: Sequence[str], others: Iterable[Container], network: Network, known: Mapping[str, Server]
    ) -> dict[str, str]:
        """A fixed address for each container that has to be made."""
        taken = {address for entry in others for address in entry.addresses.values()} | set(network.taken)
        before = {name: known[name].address for name in names if name in known and known[name].address not in taken}
        fresh = [name for name in names if name not in before]
        free = free_addresses(network.subnet, taken | set(before.values()), len(fresh))
        return {**before, **dict(zip(fresh, free, strict=True))}

    def until_ready(self, containers: Iterable[Container], deployment: Deployment) -> Outcome:
        """Asks each until it is ready, has ended or was started again, or the time is over."""
        deadline = time.monotonic() + deployment.startup_timeout_s
        for container in containers:
            outcome = self._until_ready(container, deadline, deployment)
            if not outcome.ok:
                return outcome
        return Outcome()

    def ready(self, container: Container, wait_s: float = 0.0) -> Answer:
        return ask_inside(self.ask, container.addresses.get(self.scope.network, ""), READY, wait_s)

    def stop(self, containers: Iterable[Container]) -> None:
        self._each([entry for entry in containers if _is_up(entry)], self._stop)

    def remove(self, containers: Iterable[Container]) -> None:
        """Those that run are asked to end first, so that what they are answering is answered."""
        gone = list(containers)
        self.stop(gone)
        self._each(gone, self._remove)

    def _create(self, name: str, body: dict[str, Any], deployment: Deployment) -> None:
        self.confirm()
        try:
            made = self.engine.create(name, body)
        except NotThere:
            self.deliver(deployment)
            self.confirm()
            made = self.engine.create(name, body)
        self._start(made)

    def _start(self, container: str) -> None:
        self.confirm()
        self.engine.start(container)

    def _stop(self, container: Container) -> None:
        self.confirm()
        self.engine.stop(container.id)

    def _remove(self, container: Container) -> None:
        self.confirm()
        self.engine.remove(container.id)

    def _until_ready(self, container: Container, deadline: float, deployment: Deployment) -> Outcome:
        restarts = container.restarts
        while True:
            last = self.ready(container, min(WAIT_INSIDE_S, max(deadline - time.monotonic(), 0.0)))
            if last.status == 200:
                return Outcome()
            found = self.engine.container(container.name)
            if found is None:
                return Outcome(False, f"the container {container.name} was removed by somebody else")
            if not found.is_running or found.restarts > restarts:
                return self._failed(self._at_its_end(found), last, deployment)
            if time.monotonic() >= deadline:
                return self._failed(found, last, deployment)

    def _at_its_end(self, container: Container) -> Container:
        """One that the engine starts again and again tells its exit code only between two starts."""
        until = time.monotonic() + BETWEEN_STARTS_S
        found: Container | None = container
        while found is not None and found.is_running and time.monotonic() < until:
            self.sleep(POLL_S)
            found = self.engine.container(container.name)
        return found or container

    def _failed(self, container: Container, last: Answer | None, deployment: Deployment) -> Outcome:
        """The server's own reason first; the engine alone knows of memory. What a probe met in a dead copy tells nothing."""
        said = tuple(text for _, text in self.engine.logs(container.id, LOG_LINES))
        killed = ended(container) if container.out_of_memory else ""
        again = f"it ended {_times(container.restarts)} and was started again" if container.restarts else ""
        late = f"not ready in {deployment.startup_timeout_s:g} s (serve.startup_timeout): {unready(last)}"
        probe = (unready(last),) if container.is_running and last and not again else ()
        return Outcome(False, killed or own_reason(said) or ended(container) or again or late, (*probe, *said))

    def _each(self, entries: Iterable[Any], act: Callable[[Any], None]) -> None:
        """At the same time; every one is tried, then the first failure is raised."""
        waiting = list(entries)
        if not waiting:
            return
        with ThreadPoolExecutor(min(len(waiting), AT_ONCE)) as pool:
            for done in [pool.submit(act, entry) for entry in waiting]:
                done.result()


def numbers_for(count: int, present: Sequence[int]) -> list[int]:
    """Which replicas there are when there shall be `count`: those with the lowest numbers stay, gaps are filled first."""
    kept = sorted(present)[:count]
    fresh = (number for number in range(1, count + len(kept) + 1) if number not in kept)
    return sorted([*kept, *(next(fresh) for _ in range(count - len(kept)))])


def _is_up(container: Container) -> bool:
    return container.state in UP


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _said(answer: Answer) -> str:
    text = answer.body.decode(errors="replace").strip()
    return f"{answer.status} {text[:200]}".strip() if answer.status else text[:200] or "nothing"


def ended(container: Container) -> str:
    """Why a copy does not run, in one line; empty when it does."""
    if container.out_of_memory:
        return f"out of memory (exit {container.exit_code}, limit {Memory(container.memory)})"
    if container.complaint:
        return container.complaint
    if container.state in ("exited", "dead", "restarting") or (container.restarts and container.exit_code):
        return f"it ended with exit code {container.exit_code}"
    return "" if container.is_running else f"it is {container.state}"


def unready(answer: Answer | None) -> str:
    """What the readiness probe got."""
    return f"GET {READY.path} -> {_said(answer)}" if answer else "it was never asked"


def as_outcome(error: MlshipError) -> Outcome:
    """A refusal in the middle of a change is an outcome, so that what served before is brought back."""
    return Outcome(False, error.what, tuple(str(detail) for detail in error.details), fault="target")
