"""The steps of a rollout at one engine, in terms of replicas and of the front's document. Every step can be repeated.

Order is everything: replicas run and are ready before the front names them, and nothing is stopped before the front's old
worker is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from mlship.releases.history import History
from mlship.releases.release import Release
from mlship.targets.base import Deployment, Outcome
from mlship.targets.docker import spec, traffic
from mlship.targets.docker.autoscaler import Autoscaling
from mlship.targets.docker.engine import Container, EngineRefused, Network
from mlship.targets.docker.fleet import UP, Fleet, numbers_for
from mlship.targets.docker.front import Front
from mlship.targets.docker.network import ensure_network
from mlship.targets.docker.reconcile import committed_document
from mlship.targets.docker.traffic import Server

PLENTY = 10_000  # replicas: where nothing is known of memory
Tls = Mapping[str, Any] | None  # as the front's document has it


@dataclass(frozen=True)
class Steps:
    """tls: brings a deployment's certificate to the front's volume, and says what its document names.

    room: how many more replicas of a deployment the machine has memory for now. prove: asks one for the sample of its release.
    """

    fleet: Fleet
    front: Front
    scaling: Autoscaling
    history: History | None
    tls: Callable[[Deployment, Tls], Tls] = lambda deployment, present: present
    room: Callable[[Deployment], int] = lambda deployment: PLENTY
    prove: Callable[[Deployment, str], Outcome] = lambda deployment, name: Outcome()

    def stage(self, deployment: Deployment, before: str) -> Outcome:
        """The new replicas run and are ready, as many as there is memory for beside the old ones; no caller reaches them.

        With `recreate` those of before end first. Their samples are the rollout's to ask; what starts in later steps is asked
        before the front names it.
        """
        self.reconcile(deployment)
        document = self.front.read().document
        if deployment.strategy.name == "recreate" and before != deployment.release.id and document is not None:
            self.front.tell(traffic.with_servers(document, ()))
            self._stop([entry for entry in self.fleet.replicas() if _is(entry, before)], deployment)
        return self._made_ready(deployment, document, self._fitting(deployment, document))[1]

    def weigh(self, deployment: Deployment, before: str, share: float) -> Outcome:
        self.reconcile(deployment)
        document = self._document(deployment)
        new, outcome = self._proved(deployment, document, self._fitting(deployment, document))
        if outcome.ok:
            old = traffic.of_release(document, before)
            self.front.tell(traffic.with_servers(document, traffic.at_share(new, old, share)))
        return outcome

    def shift(self, deployment: Deployment) -> Outcome:
        """The front names the release's replicas only. Those of before run on: their last answers are on their way.

        Where there is no memory for both, they take over in batches, and those of before end one batch after the other.
        """
        document = self._document(deployment)
        count, fitting = self._count(deployment, document), self._fitting(deployment, document)
        new, outcome = self._proved(deployment, document, min(count, fitting))
        while outcome.ok and len(new) < count:
            self._make_room(deployment, new, fitting)
            new, outcome = self._proved(deployment, document, min(count, len(new) + fitting))
        if not outcome.ok:
            return outcome
        self.front.ensure(self._published(deployment), self._network(deployment))
        self.scaling.follow(deployment, self.fleet.secrets(deployment))
        self.front.tell(traffic.with_servers(document, new))
        batches = -(-count // fitting)
        note = f"memory for {fitting} of {count} new replicas beside the old ones: they took over in {batches} batches"
        return Outcome(notes=(note,) if batches > 1 else ())

    def restore(self, failed: str, before: str, deployment: Deployment) -> Outcome:
        """Callers reach `before` again, then the failed replicas go."""
        if not before:
            return self.discard(failed)
        release = self._known(before)
        if release is None and before != deployment.release.id:
            return Outcome(False, f"the records do not tell how {before} was made")
        past = replace(deployment, release=release) if release else deployment
        self._stand(deployment)
        outcome = self._back(past)
        if outcome.ok and failed != before:
            self._put_away([entry for entry in self.fleet.replicas() if entry.labels[spec.RELEASE] == failed], deployment)
        return outcome

    def discard(self, release: str, before: str = "", deployment: Deployment | None = None) -> Outcome:
        """Running copies of the release go, wherever they stand; what was stopped for them comes back first."""
        document = self.front.read().document
        if before and before != release and deployment is not None and not traffic.of_release(document, before):
            return self.restore(release, before, deployment)
        others = [server for server in traffic.servers_of(document) if server.release != release]
        live = self.history.live if self.history else ""
        if document is not None and release != live and len(others) < len(traffic.servers_of(document)):
            self.front.tell(traffic.with_servers(document, others))
        serving = {self.fleet.scope.container(server.name) for server in traffic.servers_of(self.front.read().document)}
        gone = [entry for entry in self.fleet.replicas() if entry.labels[spec.RELEASE] == release and entry.name not in serving]
        self._put_away(gone, deployment)
        if not live and not self.fleet.replicas():
            self._leave()
        return Outcome()

    def retire(self) -> None:
        """What the front does not name is stopped; what the records do not know is removed."""
        document = self.front.read().document
        serving = {self.fleet.scope.container(server.name) for server in traffic.servers_of(document)}
        wanted = {self.history.underway.release.id} if self.history and self.history.underway else set()
        idle = [
            entry for entry in self.fleet.replicas() if entry.name not in serving and entry.labels[spec.RELEASE] not in wanted
        ]
        self._put_away(idle, None)
        self.front.remove_others()

    def operate(self, deployment: Deployment) -> Outcome:
        """The number of replicas, and what the front does with its callers, in place."""
        self.reconcile(deployment)
        document = self._document(deployment)
        before = traffic.of_release(document, deployment.release.id)
        new, outcome = self._proved(deployment, document)
        if not outcome.ok:
            return outcome
        self.front.ensure(self._published(deployment), self._network(deployment))
        self.scaling.follow(deployment, self.fleet.secrets(deployment))
        self.front.tell(traffic.with_servers(document, new))
        left = {self.fleet.scope.container(server.name) for server in before} - {
            self.fleet.scope.container(server.name) for server in new
        }
        self._put_away([entry for entry in self.fleet.replicas() if entry.name in left], deployment, keep=False)
        return Outcome()

    def reconcile(self, deployment: Deployment) -> None:
        """The world as it was committed: network, front, and the replicas that the front names."""
        network = self._stand(deployment)
        wanted = committed_document(self.front.read().document, self.history)
        live = self.history.live_release if self.history else None
        if wanted is not None:
            self._revive(deployment, wanted, network)
        elif live is not None and deployment.strategy.name != "recreate":
            self._back(replace(deployment, release=live))

    def _stand(self, deployment: Deployment) -> Network:
        """Network and front are there; a front that is there already stays where it publishes."""
        network = self._network(deployment)
        present = self.front.container()
        self.front.ensure((present.published if present else None) or self._published(deployment), network)
        return network

    def _leave(self) -> None:
        """No front and no network where nothing serves."""
        self.scaling.leave()
        self.front.remove()
        self.fleet.confirm()
        self.fleet.engine.remove_network(self.fleet.scope.network)

    def _revive(self, deployment: Deployment, document: traffic.Document, network: Network) -> None:
        """Replicas that the front names, and that somebody stopped or removed, run again under the same addresses."""
        up = {self.fleet.server_name(entry) for entry in self.fleet.replicas() if entry.state in UP}
        for release in traffic.shares(document):
            named = traffic.of_release(document, release)
            known = self._known(release)
            if known is not None and any(server.name not in up for server in named):
                numbers = [spec.number_of(server.name) for server in named]
                self.fleet.run(replace(deployment, release=known), numbers, network, named)
        if document != self.front.read().document:
            self.front.tell(document)

    def _back(self, past: Deployment) -> Outcome:
        """Callers reach this release, by as many replicas as the service has."""
        document = self._document(past)
        servers, outcome = self._made_ready(past, document)
        if outcome.ok:
            self.front.tell(traffic.with_servers(document, servers))
            with suppress(EngineRefused):  # callers are served again, whatever becomes of their number
                self.scaling.follow(past, self.fleet.secrets(past))
        return outcome

    def _make_room(self, deployment: Deployment, new: Sequence[Server], batch: int) -> None:
        """One batch of the old replicas ends; the new ones that are ready take its callers."""
        document = self._document(deployment)
        old = [server for server in traffic.servers_of(document) if server.release != deployment.release.id]
        left = old[: max(len(old) - batch, 0)]
        gone = {self.fleet.scope.container(server.name) for server in old if server not in left}
        full = [replace(server, weight=traffic.FULL) for server in left]
        self.front.tell(traffic.with_servers(document, (*full, *new)))
        self._stop([entry for entry in self.fleet.replicas() if entry.name in gone], deployment)

    def _fitting(self, deployment: Deployment, document: traffic.Document | None) -> int:
        """How many replicas of the release may run beside what runs, those that run already among them; at least one."""
        count, up = self._count(deployment, document), self._up(deployment)
        return count if up >= count else min(max(up + self.room(deployment), 1), count)

    def _up(self, deployment: Deployment) -> int:
        return sum(1 for entry in self.fleet.replicas() if entry.state in UP and _is(entry, deployment.release.id))

    def _proved(
        self, deployment: Deployment, document: traffic.Document | None, count: int | None = None
    ) -> tuple[tuple[Server, ...], Outcome]:
        """As `_made_ready`; those that did not run before are asked for the sample."""
        before = {entry.name for entry in self.fleet.replicas() if entry.state in UP}
        new, outcome = self._made_ready(deployment, document, count)
        names = [self.fleet.scope.container(server.name) for server in new]
        for name in (name for name in names if outcome.ok and name not in before):
            outcome = self.prove(deployment, name)
        return new, outcome

    def _made_ready(
        self, deployment: Deployment, document: traffic.Document | None, count: int | None = None
    ) -> tuple[tuple[Server, ...], Outcome]:
        """The release's replicas, as many as the service has now within what is wanted, or so many."""
        release = deployment.release.id
        named = traffic.of_release(document, release)
        count = self._count(deployment, document) if count is None else count
        present = [spec.number_of(server.name) for server in named]
        running = self.fleet.run(deployment, numbers_for(count, present), self._network(deployment), named)
        outcome = self.fleet.until_ready(running, deployment)
        return tuple(self.fleet.server(entry, traffic.FULL) for entry in running), outcome

    def _count(self, deployment: Deployment, document: traffic.Document | None) -> int:
        """What another command, or the autoscaler, made of the number stays, within the range."""
        low, high = deployment.replicas
        live = self.history.live if self.history else ""
        present = len(traffic.of_release(document, live)) or len(traffic.servers_of(document)) or self._up(deployment)
        return min(max(present, low), high) if present else low

    def _document(self, deployment: Deployment) -> traffic.Document:
        present = self.front.read().document
        servers = traffic.servers_of(present)
        if not deployment.settings and present is not None:
            return present
        tls = self.tls(deployment, present["tls"] if present else None)
        return traffic.document(deployment.settings, deployment.request_timeout_s, servers, tls)

    def _put_away(self, containers: Sequence[Container], deployment: Deployment | None, keep: bool = True) -> None:
        """Once nobody's request can be on its way to them: kept where the records know their release, else removed."""
        self._stop(containers, deployment)
        gone = [entry for entry in containers if not keep or not self._is_kept(entry.labels[spec.RELEASE])]
        self.fleet.remove([replace(entry, state="exited") for entry in gone])

    def _stop(self, containers: Sequence[Container], deployment: Deployment | None) -> None:
        """Once nobody's request can be on its way to them."""
        running = [entry for entry in containers if entry.state in UP]
        if running:
            self.front.settle(deployment.request_timeout_s if deployment else 60.0)
            self.fleet.stop(running)

    def _is_kept(self, release: str) -> bool:
        """Stopped replicas of releases that once were live wait for a rollback; of any other one nobody asks again."""
        history = self.history
        if history is None or release == history.live or all(entry.id != release for entry in history.releases):
            return False
        return any(entry.release == release and entry.action in ("deploy", "rollback") for entry in history.entries)

    def _known(self, release: str) -> Release | None:
        if self.history is None:
            return None
        found = [entry for entry in self.history.releases if entry.id == release]
        underway = self.history.underway
        if underway is not None and underway.release.id == release:
            found.append(underway.release)
        return found[0] if found else None

    def _published(self, deployment: Deployment) -> spec.Address:
        present = self.front.container()
        return spec.address(deployment.settings, present.published if present else None)

    def _network(self, deployment: Deployment) -> Network:
        return ensure_network(self.fleet.engine, self.fleet.scope, bool(deployment.settings.get("egress", False)))


def _is(container: Container, release: str) -> bool:
    return container.labels[spec.RELEASE] == release
