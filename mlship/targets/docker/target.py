"""The docker target: one replica on one engine, releases side by side only until the new one has proved itself."""

from __future__ import annotations

import hashlib
import json
import platform
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import replace
from pathlib import Path

from mlship.errors import Finding, MlshipError
from mlship.oci.image import CONTENT_LABEL
from mlship.oci.layout import Layout
from mlship.releases.history import History
from mlship.releases.records import LeaseLost
from mlship.targets.base import (
    Action,
    Answer,
    Deployment,
    Feature,
    LogLine,
    Measures,
    Observed,
    Opening,
    Outcome,
    Replica,
    Request,
    Resource,
    ServiceRow,
    Why,
)
from mlship.targets.docker import place, spec
from mlship.targets.docker.asking import READY, ask_inside, ask_published
from mlship.targets.docker.compose import compose_text
from mlship.targets.docker.delivery import contents_here, deliver, in_layout, remove_unused
from mlship.targets.docker.engine import (
    Connect,
    Container,
    Engine,
    EngineImage,
    EngineRefused,
    Unreachable,
    as_document,
    connect,
)
from mlship.targets.docker.fleet import Fleet, as_outcome, ended, unready
from mlship.targets.docker.keeping import Keeper
from mlship.targets.docker.preflight import Surroundings, findings
from mlship.targets.docker.records import DockerRecords
from mlship.targets.docker.resources import FEATURES, resources_of
from mlship.targets.verify import said_release

ASK_RELEASE = Request("GET", "/mlship/release", timeout_s=3.0)
VOLUME_TRIES = 20


def open_target(opening: Opening) -> DockerTarget:
    return DockerTarget(opening, lambda: connect(opening.environ))


def services(opening: Opening) -> tuple[ServiceRow, ...]:
    """Every project at the engine. Raises MlshipError with exit 13 when no engine answers."""
    return place.services(connect(opening.environ))


class DockerTarget:
    """Implements targets.base.Target. reach: gives the engine, on first need."""

    name = "docker"

    def __init__(self, opening: Opening, reach: Connect, sleep: Callable[[float], None] = time.sleep) -> None:
        self._settings = opening.settings
        self._scope = spec.Scope(opening.project, opening.environment)
        self._layout = Layout(opening.home.images)
        self._reach = reach
        self._sleep = sleep
        self._engine_once: Engine | None = None
        self._content = ""
        self._keeper = Keeper(self._engine, self._scope, self._keeper_image)
        self._records = DockerRecords(self._engine, self._scope, self._keeper)

    @property
    def features(self) -> Mapping[str, Mapping[str, Feature]]:
        return FEATURES

    @property
    def records(self) -> DockerRecords:
        return self._records

    def render(self, deployment: Deployment) -> dict[str, bytes]:
        scope = spec.Scope(deployment.project, deployment.environment)
        release = deployment.release.id
        replica = spec.replica_body(deployment, spec.address(deployment.settings))
        bodies = {scope.container(release, "staged"): spec.staged_body(deployment), scope.container(release): replica}
        return {
            "apply/containers.json": as_document(bodies),
            "apply/volume.json": as_document(spec.volume_body(scope)),
            "eject/compose.yaml": compose_text(scope.container(release), replica),
        }

    def resources(self, deployment: Deployment) -> tuple[Resource, ...]:
        return resources_of(deployment)

    def preflight(self, deployment: Deployment) -> tuple[Finding, ...]:
        self._content = deployment.release.served.content
        return findings(deployment, self._surroundings(deployment))

    def observe(self) -> Observed:
        history = self._records.read()
        fleet = self._fleet()
        containers = fleet.containers()
        live = fleet.live()
        answer = self._ask_live(live, ASK_RELEASE)
        serving = (answer.headers.get("x-mlship-release") or said_release(answer)) if answer.status else ""
        restorable = self._restorable(history)
        replicas = tuple(self._replica(entry, history) for entry in containers if _counts(entry, history))
        seen = [
            history.generation if history else 0,
            # Not whether it answers at this instant: a busy model is no change of the world.
            serving or (live.labels[spec.RELEASE] if live else ""),
            sorted((entry.id, entry.is_running) for entry in containers),
            sorted(restorable),
        ]
        return Observed(
            history=history,
            endpoint=live.published.url if live and live.published else "",
            serving=serving,
            replicas=replicas,
            restorable=restorable,
            notes=tuple(self._notes(history, live, containers)),
            fingerprint=hashlib.sha256(json.dumps(seen).encode()).hexdigest(),
        )

    def apply(self, action: Action, deployment: Deployment | None) -> Outcome:
        """A refusal of the engine is an outcome, so that the rollout can take the step back."""
        try:
            self._records.confirm()
            return self._steps[action.kind](action, deployment)
        except LeaseLost as lost:
            return as_outcome(lost)
        except (EngineRefused, Unreachable) as error:
            if action.kind in ("deliver", "stage") and isinstance(error, Unreachable):
                raise
            return as_outcome(error)

    def ask(self, request: Request) -> Answer:
        """An engine that does not answer is no answer, so that the rollout can take the step back."""
        try:
            if request.of == "live":
                return self._ask_live(self._fleet().live(), request)
            staged = next((entry for entry in self._fleet().staged() if entry.is_running), None)
            return ask_inside(self._engine(), staged, request) if staged else Answer(0, b"no staged copy runs")
        except (EngineRefused, Unreachable) as error:
            return Answer(0, error.what.encode())

    def measure(self) -> Mapping[str, Measures]:
        return {}

    def why(self) -> tuple[Why, ...]:
        return ()

    def logs(self, release: str = "", lines: int = 100, follow: bool = False) -> Iterator[LogLine]:
        container = self._logged(release)
        for when, text in self._engine().logs(container.id, lines, follow):
            yield LogLine(container.name, container.labels[spec.RELEASE], text, when)

    def close(self) -> None:
        """Ends the keeper's container now; it ends by itself when this process does."""
        self._keeper.close()

    @property
    def _steps(self) -> Mapping[str, Callable[[Action, Deployment | None], Outcome]]:
        return {
            "deliver": self._deliver,
            "stage": lambda action, deployment: self._fleet().stage(_needed(deployment)),
            "shift": lambda action, deployment: self._fleet().shift(_needed(deployment)),
            "restore": self._restore,
            "discard": self._discard,
            "retire": self._retire,
            "operate": lambda action, deployment: self._operate(_needed(deployment)),
            "destroy": self._destroy,
        }

    def _deliver(self, action: Action, deployment: Deployment | None) -> Outcome:
        self._bring(_needed(deployment))
        return Outcome()

    def _bring(self, deployment: Deployment) -> None:
        deliver(self._engine(), self._layout, deployment.project, deployment.release.served.content)

    def _operate(self, deployment: Deployment) -> Outcome:
        """Another port or address needs another container of the same release; everything else is only recorded."""
        live = self._fleet().live()
        if live is None or live.published == spec.address(deployment.settings, live.published):
            return Outcome()
        return self._fleet().shift(deployment)

    def _restore(self, action: Action, deployment: Deployment | None) -> Outcome:
        """Also without the records: what served before is still there as a stopped container."""
        try:
            history = self._records.read()
        except MlshipError:
            history = None
        return self._fleet().restore(action.release, action.before, _needed(deployment), history)

    def _discard(self, action: Action, deployment: Deployment | None) -> Outcome:
        history = self._records.read()
        outcome = self._fleet().discard(action.release, history)
        wanted = deployment.release if deployment is not None and deployment.release.id != action.release else None
        self._remove_images(history, {wanted.served.content} if wanted else set())
        return outcome

    def _retire(self, action: Action, deployment: Deployment | None) -> Outcome:
        history = self._records.read()
        self._fleet().retire(history)
        self._remove_images(history)
        return Outcome()

    def _destroy(self, action: Action, deployment: Deployment | None) -> Outcome:
        for attempt in range(VOLUME_TRIES):
            self._keeper.close()
            ours = self._engine().containers([f"{spec.PROJECT}={self._scope.project}", spec.ROLE])
            for entry in ours:
                if self._scope.owns(entry.labels):
                    self._engine().remove(entry.id)
            if self._removed_volume(last=attempt == VOLUME_TRIES - 1):
                break
            self._sleep(0.1)
        remove_unused(self._engine(), self._scope.project, keep=())
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
        """Of releases that nobody can ask for any more. The keeper gives up its own image first, if that is one of them."""
        keep = wanted | ({release.served.content for release in history.releases} if history else set())
        image = self._engine().image(self._keeper.image) if self._keeper.image else None
        if image is not None and image.content not in keep and history is not None:
            self._keeper.close()
        remove_unused(self._engine(), self._scope.project, keep)

    def _engine(self) -> Engine:
        if self._engine_once is None:
            self._engine_once = self._reach()
        return self._engine_once

    def _fleet(self) -> Fleet:
        return Fleet(self._engine(), self._scope, self._bring, self._sleep)

    def _keeper_image(self) -> EngineImage:
        """Any image of ours will do. That of the live copy first, because it is not about to be removed; one of another

        project last, because that project could not be destroyed whole while the keeper runs.
        """
        engine, fleet = self._engine(), self._fleet()
        live = fleet.live()
        for reference in (*((live.image,) if live else ()), *(entry.image for entry in fleet.containers())):
            image = engine.image(reference)
            if image is not None:
                return image
        here = engine.images([CONTENT_LABEL, f"{spec.PROJECT}={self._scope.project}"])
        if here:
            return here[0]
        wanted = in_layout(self._layout, self._content) if self._content else None
        newest = wanted or next(iter(self._layout.images(self._scope.project)), None)
        if newest is not None:
            return deliver(engine, self._layout, self._scope.project, newest.content)
        others = engine.images([CONTENT_LABEL])
        if others:
            return others[0]
        raise MlshipError(
            f"the records of {self._scope.name} are there, but no image of mlship to read them with",
            where=f"volume {self._scope.volume} at {engine.address}",
            fix="mlship build, then run the same command again",
            code="no-image",
        )

    def _ask_live(self, live: Container | None, request: Request) -> Answer:
        if live is None or not live.is_running:
            return Answer(0, b"no container of this project runs")
        if self._engine().is_local and live.published is not None:
            return ask_published(live.published, request)
        return ask_inside(self._engine(), live, request)

    def _replica(self, container: Container, history: History | None) -> Replica:
        staged = container.labels[spec.ROLE] == "staged"
        ask = replace(READY, of="staged" if staged else "live")
        answer = self._ready(container, ask)
        return Replica(
            name=container.name,
            release=container.labels[spec.RELEASE],
            ready=answer.status == 200,
            since=container.started,
            staged=staged,
            detail="" if answer.status == 200 else ended(container) or unready(answer),
        )

    def _ready(self, container: Container, ask: Request) -> Answer:
        if not container.is_running:
            return Answer(0, container.state.encode())
        return ask_inside(self._engine(), container, ask) if ask.of == "staged" else self._ask_live(container, ask)

    def _restorable(self, history: History | None) -> frozenset[str]:
        if history is None:
            return frozenset()
        contents = contents_here(self._engine(), self._layout, self._scope.project)
        return frozenset(release.id for release in history.releases if release.served.content in contents)

    def _notes(self, history: History | None, live: Container | None, containers: list[Container]) -> Iterator[str]:
        if live is not None and live.published is not None and self._settings:
            wanted = spec.address(self._settings, live.published)
            if wanted != live.published:
                yield f"published on {live.published}; mlship.yaml says {wanted}"
        if history is None and any(_sequence(entry) > 1 for entry in containers):
            yield "there are containers of this project, but their records are gone"

    def _logged(self, release: str) -> Container:
        fleet = self._fleet()
        candidates = [entry for entry in fleet.containers() if release in ("", entry.labels[spec.RELEASE])]
        live = fleet.live()
        chosen = next((entry for entry in candidates if live and entry.id == live.id), next(iter(candidates), None))
        if chosen is None:
            of = f" of {release}" if release else ""
            raise MlshipError(
                f"there is no container{of} of {self._scope.name} at the engine",
                where=self._engine().address,
                fix=f"mlship history {self._scope.project} --target docker",
                code="no-container",
            )
        return chosen

    def _surroundings(self, deployment: Deployment) -> Surroundings:
        engine, fleet = self._engine(), self._fleet()
        live = fleet.live()
        containers = fleet.containers()
        published = spec.address(deployment.settings, live.published if live else None)
        image = in_layout(self._layout, deployment.release.served.content)
        has_it = live is not None and live.published == published
        return Surroundings(
            engine=engine.facts(),
            published=published,
            ours=frozenset(entry.name for entry in containers),
            listening=_unbindable(published) if engine.is_local and not has_it else "",
            free=_free_memory() if engine.is_local else 0,
            platform=image.platform if image else "",
            contents=contents_here(engine, self._layout, deployment.project),
            history=self._records.read(),
            sequences=tuple(_sequence(entry) for entry in containers),
            serving=live.labels[spec.RELEASE] if live else "",
        )


def _needed(deployment: Deployment | None) -> Deployment:
    assert deployment is not None, "only retire and destroy come without a deployment"
    return deployment


def _counts(container: Container, history: History | None) -> bool:
    """Stopped containers are kept releases; one that should be serving counts whatever state it is in."""
    if container.state in ("running", "restarting", "paused"):
        return True
    crashed = container.state in ("exited", "dead") and container.exit_code != 0
    return crashed and history is not None and container.labels[spec.RELEASE] == history.live


def _sequence(container: Container) -> int:
    number = container.labels[spec.RELEASE].removeprefix("r").partition("-")[0]
    return int(number) if number.isdecimal() else 0


def _unbindable(address: spec.Address) -> str:
    """Why a program cannot listen there, or empty. Ports that only root may open are the engine's business."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address.host, address.port))
        except PermissionError:
            return ""
        except OSError as error:
            return (error.strerror or str(error)).lower()
    return ""


def _free_memory() -> int:
    """Bytes that programs can still take; 0 where the system does not tell."""
    if platform.system() != "Linux":
        return 0
    lines = Path("/proc/meminfo").read_text().splitlines()
    found = next((line for line in lines if line.startswith("MemAvailable:")), "")
    return int(found.split()[1]) * 1024 if found else 0
