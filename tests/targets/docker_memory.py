"""An engine and a keeper in memory, for the steps of the docker target: what was done to them is told in order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from mlship.releases.history import Entry, History
from mlship.releases.records import LeaseLost
from mlship.releases.release import Release, Served, ServedModel
from mlship.targets.base import Deployment, Outcome
from mlship.targets.docker import spec, traffic
from mlship.targets.docker.autoscaler import Autoscaling
from mlship.targets.docker.engine import Container, EngineImage, EngineRefused, Network
from mlship.targets.docker.fleet import Fleet
from mlship.targets.docker.front import Front
from mlship.targets.docker.steps import Steps

SCOPE = spec.Scope("churn")
SUBNET = "172.20.0.0/24"


class MemoryEngine:
    """The part of an engine that the steps need. exit_code: of what runs to its end. die_after: the command is killed then."""

    address = "unix:///memory"
    host = ""

    def __init__(self) -> None:
        self.did: list[str] = []
        self.made: dict[str, Container] = {}
        self.networks: dict[str, Network] = {}
        self.refused_ports: set[int] = set()
        self.refused_names: set[str] = set()
        self.exit_code = 0
        self.die_after = ""

    def containers(self, labels: Iterable[str], *, brief: bool = False) -> list[Container]:
        wanted = [label.partition("=") for label in labels]
        return [
            entry
            for entry in self.made.values()
            if all(name in entry.labels and (not equal or entry.labels[name] == value) for name, equal, value in wanted)
        ]

    def container(self, name: str) -> Container | None:
        return next((entry for entry in self.made.values() if name in (entry.name, entry.id)), None)

    def create(self, name: str, body: Mapping[str, Any]) -> str:
        assert name not in self.made, name
        ends = (body.get("NetworkingConfig") or {}).get("EndpointsConfig") or {}
        ports = next(iter(body["HostConfig"].get("PortBindings", {}).values()), [{"HostIp": "", "HostPort": "0"}])
        published = spec.Address(ports[0]["HostIp"], int(ports[0]["HostPort"]))
        self.made[name] = Container(
            f"id of {name}",
            name,
            body["Labels"],
            "created",
            published=published if published.port else None,
            addresses={network: end["IPAMConfig"]["IPv4Address"] for network, end in ends.items()},
        )
        self.did.append(f"create {_short(name)}")
        return f"id of {name}"

    def start(self, container: str) -> None:
        found = self._found(container)
        if found.published is not None and found.published.port in self.refused_ports:
            raise EngineRefused("the engine refused: port is already allocated", 500)
        if found.name in self.refused_names:
            raise EngineRefused("the engine refused: no such file", 400)
        self._put(found, "running")
        self._did(f"start {_short(found.name)}")

    def stop(self, container: str, timeout_s: int | None = None) -> None:
        found = self._found(container)
        self._put(found, "exited")
        self._did(f"stop {_short(found.name)}")

    def rename(self, container: str, name: str) -> None:
        found = self.made.pop(self._found(container).name)
        self.made[name] = replace(found, name=name)
        self._did(f"rename {_short(found.name)} to {_short(name)}")

    def read_to_the_end(self, _: float) -> None:
        """What a one-off container that was started has done after a while."""
        for entry in list(self.made.values()):
            if entry.name == SCOPE.reading_front:
                self.made[entry.name] = replace(entry, state="exited", exit_code=self.exit_code)

    def remove(self, container: str) -> None:
        found = self._found(container)
        del self.made[found.name]
        self.did.append(f"remove {_short(found.name)}")

    def logs(self, container: str, lines: int, follow: bool = False) -> list[tuple[str, str]]:
        return [("", "said last")]

    def network(self, name: str) -> Network | None:
        return self.networks.get(name)

    def create_network(self, body: Mapping[str, Any]) -> None:
        self.networks[body["Name"]] = Network(body["Name"], body["Labels"], SUBNET, body["Internal"])

    def remove_network(self, name: str) -> None:
        self.networks.pop(name, None)
        self.did.append("remove network")

    def connect(self, network: str, container: str, address: str) -> None:
        found = self._found(container)
        self.made[found.name] = replace(found, addresses={network: address})

    def running(self) -> list[str]:
        return sorted(_short(name) for name, entry in self.made.items() if entry.is_running)

    def _did(self, what: str) -> None:
        self.did.append(what)
        if what == self.die_after:
            raise KeyboardInterrupt

    def _found(self, container: str) -> Container:
        found = self.container(container)
        assert found is not None, container
        return found

    def _put(self, container: Container, state: str) -> None:
        self.made[container.name] = replace(container, state=state)


class MemoryRecords:
    """The keeper's part: the front's document. old_workers: how often a reading still finds one after a change.

    lost_at: the change before which somebody else has taken the lease, counted from 0.
    """

    exist = True

    def __init__(self, engine: MemoryEngine, lost_at: int = -1) -> None:
        self.engine = engine
        self.document: Mapping[str, Any] | None = None
        self.old_workers = 0
        self.lost_at = lost_at
        self.confirmed = 0

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        assert request["op"] == "front_read"
        front = self.engine.container(SCOPE.front)
        left, self.old_workers = self.old_workers, max(self.old_workers - 1, 0)
        if left and not self.old_workers:
            self.engine.did.append("old worker gone")
        return {"front": self.document, "running": bool(front and front.is_running), "old_workers": left}

    def change(self, request: Mapping[str, Any]) -> dict[str, Any]:
        self.confirm()
        if request["op"] == "front_set":
            self.document = request["front"]
            self.old_workers = 2
            weights = {server["name"].partition("-")[0]: server["weight"] for server in self.document["servers"]}
            told = ", ".join(f"{name} {weight}" for name, weight in sorted(weights.items()))
            self.engine.did.append(f"tell {told or 'nobody'}")
        return {}

    def confirm(self) -> None:
        if self.confirmed == self.lost_at:
            raise LeaseLost()
        self.confirmed += 1

    def moved(self) -> None:
        pass


class World:
    """One project. statuses: what a replica answers by its address, 200 unless told otherwise. capacity: replicas that run at once.

    proved: replicas that the steps asked for the sample; wrong: those that answer it otherwise.
    """

    def __init__(self) -> None:
        self.capacity = 100
        self.engine = MemoryEngine()
        self.records = MemoryRecords(self.engine)
        self.statuses: dict[str, int] = {}
        self.history = History("churn", "", "docker")
        self.proved: list[str] = []
        self.wrong: set[str] = set()

    def steps(self) -> Steps:
        engine: Any = self.engine
        records: Any = self.records

        def image() -> EngineImage:
            return EngineImage("sha256:front", ("mlship/front:1",), {}, python="/usr/bin/python3")

        fleet = Fleet(engine, SCOPE, self._ask, self.records.confirm, _nothing, sleep=_nothing)
        front = Front(engine, SCOPE, records, image, sleep=_nothing)
        scaling = Autoscaling(engine, SCOPE, records, image)
        return Steps(fleet, front, scaling, self.history, room=self._room, prove=self._prove)

    def commit(self, deployment: Deployment) -> None:
        number = self.history.generation + 1
        entry = Entry(number, deployment.release.id, "deploy", "test", 0.0)
        self.history = self.history.deployed(deployment.release, entry, {})

    def live(self, deployment: Deployment) -> Deployment:
        """Deployed, committed, old ones retired; what was done until here is forgotten."""
        before = self.history.live
        assert self.steps().stage(deployment, before).ok
        assert self.steps().shift(deployment).ok
        self.commit(deployment)
        self.steps().retire()
        self.records.old_workers = 0
        self.engine.did.clear()
        self.records.confirmed = 0
        return deployment

    def shares(self) -> dict[str, float]:
        return {name.partition("-")[0]: share for name, share in traffic.shares(self.records.document).items()}

    def _room(self, deployment: Deployment) -> int:
        return self.capacity - len(self.engine.running()) + 1

    def _prove(self, deployment: Deployment, name: str) -> Outcome:
        self.proved.append(_short(name))
        return Outcome(
            _short(name) not in self.wrong, f"{_short(name)} answers otherwise" if _short(name) in self.wrong else ""
        )

    def _ask(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        status = self.statuses.get(request["address"], 200)
        return {"ok": True, "status": status, "headers": {}, "body": "", "error": "connection refused"}


def deployment(sequence: int, replicas: tuple[int, int] = (2, 2), **changes: Any) -> Deployment:
    served = Served(f"sha256:{sequence:064x}", (ServedModel("churn", f"{sequence:064x}"),), resources={"memory": 2**28})
    release = Release(sequence, served, 0.0)
    settings = {"port": 9090, "host": "127.0.0.1"}
    fixed: dict[str, Any] = {"startup_timeout_s": 0.0, **changes}
    return Deployment("churn", "", "docker", "haproxy", release, settings, {}, replicas=replicas, **fixed)


def _short(name: str) -> str:
    """`mlship-churn-r1-abcdef-2` -> `r1-2`."""
    what = name.removeprefix(SCOPE.container(""))
    return f"{what.split('-')[0]}-{what.split('-')[-1]}" if what.count("-") == 2 else what


def _nothing(*_: object) -> None:
    pass
