"""The containers of one project in one environment, and the steps that change them. Every step can be repeated."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from mlship.errors import MlshipError
from mlship.releases.history import History
from mlship.targets.base import Answer, Deployment, Outcome
from mlship.targets.docker import spec
from mlship.targets.docker.asking import READY, ask_inside, ask_published
from mlship.targets.docker.engine import Container, Engine, NotThere
from mlship.targets.docker.holder import is_dead
from mlship.targets.reason import own_reason
from mlship.units import Memory

LOG_LINES = 8
# One exec waits inside for readiness this long, then the container's state is looked at.
WAIT_INSIDE_S = 3.0
POLL_S = 0.02


@dataclass(frozen=True)
class Fleet:
    """deliver: brings the image of a deployment to the engine, again if somebody removed it meanwhile."""

    engine: Engine
    scope: spec.Scope
    deliver: Callable[[Deployment], None]
    sleep: Callable[[float], None] = time.sleep

    def containers(self) -> list[Container]:
        """Ours, keepers left out; the newest first."""
        found = self.engine.containers([f"{spec.PROJECT}={self.scope.project}", spec.ROLE])
        ours = [entry for entry in found if self.scope.owns(entry.labels) and entry.labels[spec.ROLE] in ("replica", "staged")]
        return sorted(ours, key=lambda entry: entry.created, reverse=True)

    def replicas(self) -> list[Container]:
        return [entry for entry in self.containers() if entry.labels[spec.ROLE] == "replica"]

    def staged(self) -> list[Container]:
        return [entry for entry in self.containers() if entry.labels[spec.ROLE] == "staged"]

    def live(self) -> Container | None:
        """The replica that callers reach, or would reach if it did not crash."""
        return next((entry for entry in self.replicas() if entry.state in ("running", "restarting", "paused")), None)

    def stage(self, deployment: Deployment) -> Outcome:
        """Runs the release at 0 % beside what serves, until it says that it is ready."""
        body = spec.staged_body(deployment)
        name = self.scope.container(deployment.release.id, "staged")
        for other in self.staged():
            if not other.is_running or other.labels[spec.SPEC] != spec.spec_of(body):
                self.engine.remove(other.id)
        if not any(entry.name == name for entry in self.staged()):
            self.engine.start(self._create(name, body, deployment))
        return self._until_ready(name, deployment, self._ask_inside)

    def shift(self, deployment: Deployment) -> Outcome:
        """What serves is stopped and kept, the release takes the port.

        The container that gets the port exists before the other one is stopped: the gap is one stop, one start and the
        time that the model takes to load.
        """
        published = self._address(deployment)
        body = spec.replica_body(deployment, published)
        wanted = self._replica(deployment, body)
        began = time.monotonic()
        stopped = [entry for entry in self.replicas() if entry.id != wanted and entry.state != "exited" and entry.started]
        for other in stopped:
            self.engine.stop(other.id)
        self.engine.start(wanted)
        outcome = self._until_ready(wanted, deployment, self._ask_published)
        if not outcome.ok:
            return outcome
        gap_s = time.monotonic() - began
        for staged in self.staged():
            self.engine.remove(staged.id)
        notes = (f"port {published.port} was unanswered for {gap_s:.1f} s",) if stopped else ()
        return Outcome(notes=notes)

    def restore(self, failed: str, before: str, deployment: Deployment, history: History | None) -> Outcome:
        """The failed release goes (a known one stays stopped), and `before` serves again."""
        for staged in self.staged():
            self.engine.remove(staged.id)
        known = {release.id for release in history.releases} if history else set()
        wanted = spec.spec_of(spec.replica_body(deployment, self._address(deployment)))
        for entry in self.replicas():
            if entry.labels[spec.RELEASE] == failed and (failed != before or entry.labels[spec.SPEC] == wanted):
                self._put_away(entry, keep=failed in known and failed != before)
        return self._bring_back(before, deployment, history) if before else Outcome()

    def discard(self, release: str, history: History | None) -> Outcome:
        """Running copies of the release go; of a release that the records know, the stopped container stays."""
        known = history is not None and any(entry.id == release for entry in history.releases)
        for entry in self.containers():
            if entry.labels[spec.RELEASE] == release and (history is None or release != history.live or _is_staged(entry)):
                self._put_away(entry, keep=known and not _is_staged(entry))
        return Outcome()

    def retire(self, history: History | None) -> None:
        """Removes what the records do not know: containers of let-go or never committed releases, displaced ones."""
        known = {release.id for release in history.releases} if history else set()
        live = self.live()
        for entry in self.containers():
            displaced = live is not None and entry.labels[spec.RELEASE] == live.labels[spec.RELEASE] and entry.id != live.id
            unknown = entry.labels[spec.RELEASE] not in known
            if entry != live and (displaced or unknown or _is_staged(entry)):
                self.engine.remove(entry.id)
        for keeper in self._abandoned_keepers():
            self.engine.remove(keeper.id)

    def _abandoned_keepers(self) -> list[Container]:
        """Those of commands that were killed before they could start them; any other ends with its command."""
        found = self.engine.containers([f"{spec.PROJECT}={self.scope.project}", f"{spec.ROLE}=keeper"])
        return [
            entry
            for entry in found
            if self.scope.owns(entry.labels) and entry.state == "created" and is_dead(spec.origin_of(entry.labels))
        ]

    def _address(self, deployment: Deployment) -> spec.Address:
        """As the settings say; without a YAML, where the service is now, or was last."""
        present = self.live() or next(iter(self.replicas()), None)
        return spec.address(deployment.settings, present.published if present else None)

    def _replica(self, deployment: Deployment, body: dict[str, object]) -> str:
        """The id of the container that gets the port; made now unless it is there already."""
        release, name = deployment.release.id, self.scope.container(deployment.release.id)
        same = [entry for entry in self.replicas() if entry.labels[spec.RELEASE] == release]
        for entry in same:
            if entry.labels[spec.SPEC] == spec.spec_of(body) and entry.name == name:
                return entry.id
        for entry in same:
            if entry.name == name:
                self.engine.rename(entry.id, f"{name}-{entry.labels[spec.SPEC]}")
        return self._create(name, body, deployment)

    def _create(self, name: str, body: dict[str, object], deployment: Deployment) -> str:
        try:
            return self.engine.create(name, body)
        except NotThere:
            self.deliver(deployment)
            return self.engine.create(name, body)

    def _bring_back(self, before: str, deployment: Deployment, history: History | None) -> Outcome:
        kept = next((entry for entry in self.replicas() if entry.labels[spec.RELEASE] == before), None)
        former = next((entry for entry in history.releases if entry.id == before), None) if history else None
        past = replace(deployment, release=former) if former else deployment
        if kept is None and former is None:
            return Outcome(False, f"the container of {before} is gone, and the records do not tell how to make it again")
        if kept is None:
            body = spec.replica_body(past, self._address(past))
            container = self._create(self.scope.container(before), body, past)
        else:
            container = kept.id
        self.engine.start(container)
        return self._until_ready(container, past, self._ask_published)

    def _put_away(self, container: Container, keep: bool) -> None:
        if not keep:
            self.engine.remove(container.id)
        elif container.state in ("running", "restarting", "paused"):
            self.engine.stop(container.id)

    def _until_ready(self, name: str, deployment: Deployment, ask: Callable[[Container, float], Answer]) -> Outcome:
        """Asks until the copy is ready, has ended or was started again, or its time is over."""
        deadline = time.monotonic() + deployment.startup_timeout_s
        last: Answer | None = None
        restarts: int | None = None
        while True:
            container = self.engine.container(name)
            if container is None:
                return Outcome(False, f"the container {name} was removed by somebody else")
            restarts = container.restarts if restarts is None else restarts
            if not container.is_running or container.restarts > restarts:
                return self._failed(container, last, deployment)
            last = ask(container, min(WAIT_INSIDE_S, max(deadline - time.monotonic(), 0.0)))
            if last.status == 200:
                return Outcome()
            if time.monotonic() >= deadline:
                return self._failed(self.engine.container(name) or container, last, deployment)

    def _failed(self, container: Container, last: Answer | None, deployment: Deployment) -> Outcome:
        """The server's own reason first; the engine alone knows of memory. What a probe met in a dead copy tells nothing."""
        said = tuple(text for _, text in self.engine.logs(container.id, LOG_LINES))
        killed = ended(container) if container.out_of_memory else ""
        late = f"not ready in {deployment.startup_timeout_s:g} s: {unready(last)}"
        probe = (unready(last),) if container.is_running and last else ()
        return Outcome(False, killed or own_reason(said) or ended(container) or late, (*probe, *said))

    def _ask_inside(self, container: Container, wait_s: float) -> Answer:
        return ask_inside(self.engine, container, READY, wait_s)

    def _ask_published(self, container: Container, wait_s: float) -> Answer:
        """As callers do; asked often, because callers wait."""
        if not self.engine.is_local or container.published is None:
            return ask_inside(self.engine, container, READY, wait_s)
        until = time.monotonic() + min(wait_s, 0.5)
        while (answer := ask_published(container.published, READY)).status != 200 and time.monotonic() < until:
            self.sleep(POLL_S)
        return answer


def _is_staged(container: Container) -> bool:
    return container.labels[spec.ROLE] == "staged"


def _said(answer: Answer) -> str:
    text = answer.body.decode(errors="replace").strip()
    return f"{answer.status} {text[:200]}".strip() if answer.status else text[:200] or "nothing"


def ended(container: Container) -> str:
    """Why a copy does not run, in one line; empty when it does."""
    if container.out_of_memory:
        return f"out of memory (exit {container.exit_code}, limit {Memory(container.memory)})"
    if container.complaint:
        return container.complaint
    if container.state in ("exited", "dead", "restarting"):
        return f"it ended with exit code {container.exit_code}"
    return "" if container.is_running else f"it is {container.state}"


def unready(answer: Answer | None) -> str:
    """What the readiness probe got."""
    return f"GET {READY.path} -> {_said(answer)}" if answer else "it was never asked"


def as_outcome(error: MlshipError) -> Outcome:
    """A refusal in the middle of a change is an outcome, so that what served before is brought back."""
    return Outcome(False, error.what, tuple(str(detail) for detail in error.details), fault="target")
