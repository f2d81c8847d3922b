"""The docker target: N replicas behind a front on one engine. The interface only; the rooms beside this do the work."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import replace

from mlship.errors import Exit, Finding, MlshipError
from mlship.oci.image import FRONT_LABEL
from mlship.oci.layout import Layout
from mlship.oci.registry.push_variant import PushVariant
from mlship.releases.history import History
from mlship.releases.records import LeaseLost
from mlship.targets.asked import asked
from mlship.targets.base import (
    Action,
    Answer,
    Deployment,
    Feature,
    FrontFacts,
    LogLine,
    Measures,
    NewFront,
    Observed,
    Opening,
    Outcome,
    Request,
    Resource,
    ServiceRow,
    Why,
)
from mlship.targets.docker import place, spec, traffic
from mlship.targets.docker.asking import LOOPBACK, ask_inside, ask_published
from mlship.targets.docker.autoscaler import Autoscaling, is_scaled
from mlship.targets.docker.delivery import (
    bring_front,
    contents_here,
    deliver,
    deliver_front,
    in_layout,
    remove_unused,
    remove_unused_fronts,
    sends_zstd,
)
from mlship.targets.docker.engine import Connect, Container, Engine, EngineImage, EngineRefused, Unreachable, connect
from mlship.targets.docker.fleet import Fleet, as_outcome
from mlship.targets.docker.front import Front
from mlship.targets.docker.holder import is_dead
from mlship.targets.docker.keeping import Keeper
from mlship.targets.docker.loading import Sendings
from mlship.targets.docker.logs import merged_logs
from mlship.targets.docker.machine import free_memory, room, unbindable
from mlship.targets.docker.measuring import measures
from mlship.targets.docker.network import ensure_network
from mlship.targets.docker.observing import Seen, observed
from mlship.targets.docker.preflight import Surroundings, findings
from mlship.targets.docker.records import DockerRecords
from mlship.targets.docker.rendering import rendered
from mlship.targets.docker.renewal import Renewal, front_facts
from mlship.targets.docker.resources import FEATURES, PUSH, resources
from mlship.targets.docker.secrets import SecretStore
from mlship.targets.docker.steps import PLENTY, Steps
from mlship.targets.docker.whys import whys
from mlship.targets.verify import said_release, verify

ASK_RELEASE = Request("GET", "/mlship/release", timeout_s=3.0)
PROBE_TIMEOUT_S = 60.0
VOLUME_TRIES = 20


def open_target(opening: Opening) -> DockerTarget:
    return DockerTarget(opening, lambda: connect(opening.environ))


def services(opening: Opening) -> tuple[ServiceRow, ...]:
    """Every project at the engine. Raises MlshipError with exit 13 when no engine answers."""
    return place.services(connect(opening.environ))


class DockerTarget:
    """Implements targets.base.Target. reach: gives the engine, on first need. free: bytes of memory on this machine, 0 unknown."""

    name = "docker"

    def __init__(
        self,
        opening: Opening,
        reach: Connect,
        sleep: Callable[[float], None] = time.sleep,
        free: Callable[[], int] = free_memory,
    ) -> None:
        self._free_memory = free
        self._settings = opening.settings
        self._scope = spec.Scope(opening.project, opening.environment)
        self._layout = Layout(opening.home.images)
        self._sendings = Sendings(opening.progress)
        self._front_image = opening.front
        self._reach = reach
        self._sleep = sleep
        self._clock = opening.clock
        self._engine_once: Engine | None = None
        self._keeper = Keeper(self._engine, self._scope, self._keeper_image, self._deliver_front)
        # A conversation of its own: a renewal of the lease never waits behind a long probe.
        self._prober = Keeper(self._engine, self._scope, self._keeper_image, self._deliver_front, PROBE_TIMEOUT_S, asks=True)
        self._records = DockerRecords(self._engine, self._scope, self._keeper)
        self._secrets = SecretStore(self._engine, self._scope, self._records, self._keeper_image)

    @property
    def features(self) -> Mapping[str, Mapping[str, Feature]]:
        return FEATURES

    @property
    def push(self) -> Mapping[str, PushVariant]:
        return PUSH

    @property
    def records(self) -> DockerRecords:
        return self._records

    def platform(self) -> str:
        return self._engine().facts().platform

    def render(self, deployment: Deployment) -> dict[str, bytes]:
        return rendered(deployment)

    def resources(self, deployment: Deployment) -> tuple[Resource, ...]:
        return resources(deployment)

    def preflight(self, deployment: Deployment) -> tuple[Finding, ...]:
        return findings(deployment, self._surroundings(deployment))

    def observe(self) -> Observed:
        seen = self._seen()
        answer = self._ask_live(seen.front, ASK_RELEASE)
        serving = (answer.headers.get("x-mlship-release") or said_release(answer)) if answer.status == 200 else ""
        published = seen.front.published if seen.front is not None else None
        endpoint = published.url_of(_scheme(seen.document)) if published else ""
        lost = self._lost(seen.history)
        found = {release.id for release in seen.history.releases} if seen.history else set()
        said = observed(seen, self._fleet(), serving, endpoint, found - lost.keys(), self._notes(seen))
        return replace(said, lost=lost, front=front_facts(seen.front))

    def apply(self, action: Action, deployment: Deployment | None) -> Outcome:
        """A refusal of the engine is an outcome, so that the rollout can take the step back."""
        try:
            self._records.confirm()
            return self._steps[action.kind](action, deployment)
        except LeaseLost as lost:
            return as_outcome(lost)
        except Unreachable as error:
            if action.kind in ("deliver", "stage"):
                raise
            return as_outcome(error)
        except MlshipError as error:
            if action.kind == "deliver" and not isinstance(error, EngineRefused):
                raise
            return as_outcome(error)

    def ask(self, request: Request) -> Answer:
        return asked(self._ask, request, self._secrets.operator_key)

    def _ask(self, request: Request) -> Answer:
        """An engine that does not answer is no answer, so that the rollout can take the step back."""
        try:
            if request.replica or request.of == "staged":
                return self._ask_replica(request)
            return self._ask_live(self._front().container(), request)
        except MlshipError as error:
            return Answer(0, error.what.encode())

    def measure(self) -> Mapping[str, Measures]:
        return measures(self._seen(), self._fleet(), self._secrets.operator_key)

    def why(self) -> tuple[Why, ...]:
        return whys(self._seen(), self._fleet(), self._engine())

    def logs(self, release: str = "", lines: int = 100, follow: bool = False) -> Iterator[LogLine]:
        yield from merged_logs(self._engine(), self._fleet(), release, lines, follow, self._sleep)

    def secret_versions(self, values: Mapping[str, str], history: History | None) -> Mapping[str, str]:
        return self._secrets.versions(values, history)

    def front_anew(self) -> NewFront:
        if self._front_image is None or self._front_image.anew is None:
            raise MlshipError("no front can be made here", fix="run mlship renew", exit=Exit.BUILD_FAILED, code="no-front")
        content = self._front_image.anew(self._engine().facts().platform)
        return NewFront(content, front_facts(self._layout.find(content)) or FrontFacts())

    def renew_front(self, new: NewFront, deployment: Deployment) -> Outcome:
        former = self._former_content()
        try:
            closed_s = self._renewed(new, deployment)
        except MlshipError as error:
            self._forget_front(new.content)
            return replace(as_outcome(error), fault="target")
        self._forget_front(former)
        return Outcome(notes=(f"nobody reached the service for {closed_s:.1f} s",))

    def _renewed(self, new: NewFront, deployment: Deployment) -> float:
        engine = self._engine()
        image = bring_front(engine, self._layout, new.content, self._sendings)
        network = ensure_network(engine, self._scope, bool(deployment.settings.get("egress", False)))
        closed_s = Renewal(self._front(), lambda: self._is_reached(deployment.release.id)).run(image, network)
        if is_scaled(deployment):
            scaling = Autoscaling(engine, self._scope, self._records, lambda: image)
            scaling.follow(deployment, self._secrets.volume(deployment))
        return closed_s

    def _is_reached(self, release: str) -> bool:
        answer = self._ask_live(self._front().container(), ASK_RELEASE)
        return answer.status == 200 and (answer.headers.get("x-mlship-release") or said_release(answer)) == release

    def _former_content(self) -> str:
        front = self._front().container()
        image = self._engine().image(front.image) if front is not None else None
        return image.content if image is not None else ""

    def _forget_front(self, content: str) -> None:
        """One that another project, or the front itself, still uses stays."""
        if content:
            remove_unused_fronts(self._engine(), content)

    def close(self) -> None:
        """Ends the keepers now; they end by themselves when this process does."""
        self._prober.close()
        self._keeper.close()

    @property
    def _steps(self) -> Mapping[str, Callable[[Action, Deployment | None], Outcome]]:
        return {
            "deliver": lambda action, deployment: self._deliver(_needed(deployment)),
            "stage": lambda action, deployment: self._walk().stage(_needed(deployment), action.before),
            "weigh": lambda action, deployment: self._walk().weigh(_needed(deployment), action.before, action.share),
            "shift": lambda action, deployment: self._walk().shift(_needed(deployment)),
            "restore": self._restore,
            "discard": self._discard,
            "retire": self._retire,
            "operate": lambda action, deployment: self._walk().operate(_needed(deployment)),
            "destroy": self._destroy,
        }

    def _deliver(self, deployment: Deployment) -> Outcome:
        self._bring(deployment)
        self._deliver_front()
        return Outcome(notes=self._sendings.notes())

    def _bring(self, deployment: Deployment) -> None:
        content = deployment.release.served.content
        deliver(self._engine(), self._layout, deployment.project, content, self._sendings)

    def _restore(self, action: Action, deployment: Deployment | None) -> Outcome:
        return self._walk().restore(action.release, action.before, _needed(deployment))

    def _discard(self, action: Action, deployment: Deployment | None) -> Outcome:
        walk = self._walk()
        outcome = walk.discard(action.release, action.before, deployment)
        wanted = deployment.release if deployment is not None and deployment.release.id != action.release else None
        self._remove_images(walk.history, {wanted.served.content} if wanted else set())
        return outcome

    def _retire(self, action: Action, deployment: Deployment | None) -> Outcome:
        walk = self._walk()
        walk.retire()
        for keeper in self._abandoned_keepers():
            self._records.confirm()
            self._engine().remove(keeper.id)
        self._secrets.retire(walk.history)
        self._remove_images(walk.history)
        return Outcome()

    def _destroy(self, action: Action, deployment: Deployment | None) -> Outcome:
        """Also without readable records: what carries the project's labels goes."""
        engine = self._engine()
        for attempt in range(VOLUME_TRIES):
            self.close()
            for entry in engine.containers([f"{spec.PROJECT}={self._scope.project}", spec.ROLE]):
                if self._scope.owns(entry.labels):
                    engine.remove(entry.id)
            if self._secrets.destroy() and self._removed_volume(last=attempt == VOLUME_TRIES - 1):
                break
            self._sleep(0.1)
        network = engine.network(self._scope.network)
        if network is not None and self._scope.owns_object(network.labels):
            engine.remove_network(self._scope.network)
        remove_unused(engine, self._scope.project, keep=())
        remove_unused_fronts(engine)
        return Outcome()

    def _removed_volume(self, last: bool) -> bool:
        """False while a keeper, such as that of a renewal in between, still has it."""
        try:
            if self._records.exist:
                self._engine().remove_volume(self._scope.volume)
        except EngineRefused as refused:
            if last or refused.status != 409:
                raise
            return False
        return True

    def _remove_images(self, history: History | None, wanted: Set[str] = frozenset()) -> None:
        """Of releases that nobody can ask for any more."""
        keep = wanted | ({release.served.content for release in history.releases} if history else set())
        remove_unused(self._engine(), self._scope.project, keep)

    def _abandoned_keepers(self) -> list[Container]:
        """Those of commands that were killed before they could start them; any other ends with its command."""
        found = self._engine().containers([f"{spec.PROJECT}={self._scope.project}", f"{spec.ROLE}=keeper"])
        return [
            entry
            for entry in found
            if self._scope.owns(entry.labels) and entry.state == "created" and is_dead(spec.origin_of(entry.labels))
        ]

    def _engine(self) -> Engine:
        if self._engine_once is None:
            self._engine_once = self._reach()
        return self._engine_once

    def _fleet(self) -> Fleet:
        ask, confirm = self._prober.ask, self._records.confirm
        return Fleet(self._engine(), self._scope, ask, confirm, self._bring, self._secrets.volume)

    def _front(self) -> Front:
        return Front(self._engine(), self._scope, self._records, self._deliver_front, self._sleep)

    def _walk(self) -> Steps:
        scaling = Autoscaling(self._engine(), self._scope, self._records, self._deliver_front)
        return Steps(
            self._fleet(), self._front(), scaling, self._readable_history(), self._secrets.tls, self._room, self._prove
        )

    def _prove(self, deployment: Deployment, name: str) -> Outcome:
        said = verify(self.ask, deployment.release, "staged", replica=name)
        return Outcome(said.ok, f"{name}: {said.cause}" if said.cause else "", said.evidence)

    def _room(self, deployment: Deployment) -> int:
        """Only this machine's own memory is known; an engine elsewhere is believed to have enough."""
        free = self._free_memory() if self._engine().is_local else 0
        limit = int(deployment.release.served.resources.get("memory", 0))
        if not free or not limit:
            return PLENTY
        at_most = room(free, (), limit)
        if at_most >= deployment.replicas[1]:
            return at_most
        running = [entry for entry in self._fleet().replicas() if entry.is_running]
        used = [usage.memory for entry in running if (usage := self._engine().usage(entry.id)) is not None]
        return room(free, used, limit)

    def _readable_history(self) -> History | None:
        """Nothing where it is damaged: what served before is brought back without records too."""
        try:
            return self._records.read()
        except MlshipError:
            return None

    def _seen(self) -> Seen:
        history = self._records.read()
        front, scaler = self._front(), self._engine().container(self._scope.autoscaler)
        return Seen(history, front.read(), front.container(), tuple(self._fleet().replicas()), scaler)

    def _deliver_front(self) -> EngineImage:
        """The front of this version; where none can be made, any that the engine has."""
        if self._front_image is not None:
            return deliver_front(self._engine(), self._layout, self._front_image, self._sendings)
        found = next(iter(self._engine().images([FRONT_LABEL])), None)
        if found is None:
            raise MlshipError(
                "there is no image of a front at the engine, and none can be made here",
                where=self._engine().address,
                fix="run the command in a project's folder",
                exit=Exit.BUILD_FAILED,
                code="no-front",
            )
        return found

    def _keeper_image(self) -> EngineImage:
        """That of our own front first, so that its keeper and the records are of one version."""
        front = self._front().container()
        own = self._engine().image(front.image) if front is not None else None
        return own or self._deliver_front()

    def _ask_live(self, front: Container | None, request: Request) -> Answer:
        if front is None or not front.is_running or front.published is None:
            return Answer(0, b"no front of this project runs")
        if self._engine().is_local:
            return ask_published(front.published, request, self._pinned())
        return ask_inside(self._prober.ask, LOOPBACK, request, tls=self._pinned() is not None)

    def _pinned(self) -> str | None:
        """The certificates that the front answers with; None for one that speaks plain HTTP."""
        tls = (self._front().read().document or {}).get("tls")
        return self._secrets.chain(tls["certificate"]) if tls else None

    def _ask_replica(self, request: Request) -> Answer:
        chosen = self._fleet().replica(request.replica) if request.replica else self._last_staged()
        if chosen is None or not chosen.is_running:
            return Answer(0, f"{request.replica or 'no staged copy'} does not run".encode())
        return ask_inside(self._prober.ask, chosen.addresses.get(self._scope.network, ""), request)

    def _last_staged(self) -> Container | None:
        fleet, document = self._fleet(), self._front().read().document
        serving = {server.name for server in traffic.servers_of(document) if server.weight}
        staged = [entry for entry in fleet.replicas() if entry.is_running and fleet.server_name(entry) not in serving]
        return staged[-1] if staged else None

    def _lost(self, history: History | None) -> dict[str, str]:
        """Releases of the records that could not be served again, and why."""
        if history is None:
            return {}
        contents = contents_here(self._engine(), self._layout, self._scope.project)
        whole = self._secrets.restorable(history.releases)
        gone = {release.id: "its secrets are not on docker any more" for release in history.releases if release.id not in whole}
        imageless = [release.id for release in history.releases if release.served.content not in contents]
        return gone | dict.fromkeys(imageless, "its image is not on docker any more")

    def _notes(self, seen: Seen) -> Iterator[str]:
        if seen.state.damaged:
            yield f"the front's document cannot be read ({seen.state.damaged}); the next deploy writes it anew"
        published = seen.front.published if seen.front is not None else None
        if published is not None and self._settings:
            wanted = spec.address(self._settings, published)
            if wanted != published:
                yield f"published on {published}; mlship.yaml says {wanted}"
        if seen.front is not None and self._is_of_another_version(seen.front):
            yield "the front was made by another mlship and serves on; mlship renew puts one of this version in its place"
        if seen.history is None and any(_sequence(entry) > 1 for entry in seen.replicas):
            yield "there are containers of this project, but their records are gone"

    def _is_of_another_version(self, front: Container) -> bool:
        key = front.labels.get(FRONT_LABEL, "")
        return self._front_image is not None and key not in ("", self._front_image.key)

    def _surroundings(self, deployment: Deployment) -> Surroundings:
        engine = self._engine()
        seen = self._seen()
        present = seen.front.published if seen.front is not None else None
        published = spec.address(deployment.settings, present)
        image = in_layout(self._layout, deployment.release.served.content)
        running = [entry for entry in seen.replicas if entry.is_running]
        network = engine.network(self._scope.network)
        return Surroundings(
            engine=engine.facts(),
            published=published,
            ours=frozenset({self._scope.front, self._scope.next_front}),
            listening=unbindable(published) if engine.is_local and present != published else "",
            free=self._free_memory() if engine.is_local else 0,
            platform=image.platform if image else "",
            contents=contents_here(engine, self._layout, deployment.project),
            history=seen.history,
            lost=self._lost(seen.history),
            sequences=tuple(_sequence(entry) for entry in seen.replicas),
            serving=next(iter(traffic.shares(seen.document)), ""),
            running=sum(1 for entry in running if entry.labels[spec.RELEASE] == deployment.release.id),
            egress=None if network is None else not network.internal,
            sends_zstd=image is not None and sends_zstd(engine, image),
            front=front_facts(seen.front),
            now=self._clock(),
        )


def _needed(deployment: Deployment | None) -> Deployment:
    assert deployment is not None, "only retire and destroy come without a deployment"
    return deployment


def _sequence(container: Container) -> int:
    return spec.sequence_of(container.labels[spec.RELEASE])


def _scheme(document: traffic.Document | None) -> str:
    return "https" if document is not None and document.get("tls") else "http"
