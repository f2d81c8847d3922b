"""The autoscaler at work, against an engine and a front of our own; killed at every touch of them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_scale_document import DOCUMENT

from mlship.keeper import wire
from mlship.keeper.engine_api import Container, Failure
from mlship.keeper.records import Records
from mlship.keeper.scale_document import ScaleDocument
from mlship.keeper.scale_hands import lowest_free
from mlship.keeper.scale_loop import Autoscaler, Surroundings
from mlship.keeper.scale_measures import CpuReadings, Reading, reading, room_for

PLENTY = "MemTotal: 64000000 kB\nMemAvailable: 60000000 kB\n"
NETWORK, PREFIX, FRONT = DOCUMENT["network"], DOCUMENT["prefix"], DOCUMENT["front"]


class Killed(BaseException):
    """What SIGKILL is to a process: nothing of it runs any more."""


class World:
    """Engine and front in memory. touches: how often they were changed; dies_at: the change that is the last of the process.

    after: whether that change still happens.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.touches = 0
        self.dies_at = -1
        self.after = False
        self.away = False
        self.refuses = ""
        self.load = 0.0
        self.unready: set[str] = set()
        self.made: dict[str, dict[str, Any]] = {}
        self.front = {"servers": [], "schema": 1}
        self.running = True
        self.seen_unready: list[str] = []
        self.old_workers = 0
        self.add(1, "running")
        self.front["servers"] = [self.server(1)]

    def add(self, number: int, state: str, release: str = "r1-0a1b2c") -> None:
        labels = {**DOCUMENT["body"]["Labels"], "mlship.release": release}
        name = f"{PREFIX}{release}-{number}"
        self.made[name] = {"state": state, "labels": labels, "address": f"172.20.0.{len(self.made) + 2}"}

    def server(self, number: int, release: str = "r1-0a1b2c") -> dict[str, Any]:
        name = f"{release}-{number}"
        address = self.made[f"{PREFIX}{name}"]["address"]
        return {"name": name, "release": release, "address": address, "port": 8080, "weight": 256}

    @property
    def serving(self) -> list[str]:
        return [server["name"].removeprefix("r1-0a1b2c-") for server in self.front["servers"]]

    def changes(self, change: Callable[[], Any]) -> Any:
        self.touches += 1
        if self.touches == self.dies_at:
            if self.after:
                change()
            raise Killed
        return change()

    # -- the engine ---------------------------------------------------------------------------------------------------------

    def containers(self, labels: Any = ()) -> Any:
        if self.away:
            return Failure(0, "the engine does not answer: gone")
        wanted = dict(label.split("=", 1) for label in labels)
        return tuple(
            Container(name, name, entry["labels"], entry["state"], {NETWORK: entry["address"]})
            for name, entry in self.made.items()
            if wanted.items() <= entry["labels"].items()
        )

    def network(self, name: str) -> Any:
        assert name == NETWORK
        return {"IPAM": {"Config": [{"Subnet": "172.20.0.0/16"}]}}

    def inspect(self, name: str) -> Any:
        assert name == FRONT
        return {"Config": {"Entrypoint": ["python", "-m", "mlship.keeper"]}}

    def execute(self, name: str, argv: list[str], timeout_s: float) -> Any:
        request = json.loads(argv[-1])
        [asked] = [found for found, entry in self.made.items() if entry["address"] == request["address"]]
        ready = self.made[asked]["state"] == "running" and asked not in self.unready
        return wire.pack({"status": 200 if ready else 503})

    def create(self, name: str, body: dict[str, Any]) -> Any:
        if self.refuses:
            return Failure(500, self.refuses)

        def change() -> str:
            assert name not in self.made
            address = body["NetworkingConfig"]["EndpointsConfig"][NETWORK]["IPAMConfig"]["IPv4Address"]
            assert address not in [entry["address"] for entry in self.made.values()]
            self.made[name] = {"state": "created", "labels": body["Labels"], "address": address}
            return name

        return self.changes(change)

    def start(self, name: str) -> Any:
        return self.changes(lambda: self.made[name].update(state="running"))

    def stop(self, name: str, timeout_s: int) -> Any:
        assert timeout_s == 12
        self._nobody_reaches(name)
        return self.changes(lambda: self.made[name].update(state="exited"))

    def remove(self, name: str) -> Any:
        self._nobody_reaches(name)
        self.changes(lambda: self.made.pop(name))

    def _nobody_reaches(self, name: str) -> None:
        assert name not in [f"{PREFIX}{server['name']}" for server in self.front["servers"]]
        assert not self.old_workers or self.made[name]["state"] != "running"

    def cpu_s(self, name: str) -> float:
        return self.now * 1.2

    # -- the front ----------------------------------------------------------------------------------------------------------

    def read(self) -> dict[str, Any]:
        return {"front": self.front, "running": self.running, "applied": True, "old_workers": self.old_workers}

    def set(self, front: dict[str, Any], token: str) -> dict[str, Any]:
        for server in front["servers"]:
            entry = self.made[f"{PREFIX}{server['name']}"]
            assert entry["state"] == "running" and entry["address"] == server["address"]
            assert f"{PREFIX}{server['name']}" not in self.unready
        assert front["servers"]
        self.changes(lambda: setattr(self, "front", front))
        self.old_workers = 1
        return {}

    # -- what the front measures --------------------------------------------------------------------------------------------

    def look(self) -> None:
        pass

    def taken(self) -> Reading:
        return Reading(self.load, self.load)


class Trial:
    """One world, and the autoscaler in it; a new one goes on where a killed one ended."""

    def __init__(self, folder: Path, document: dict[str, Any] | None = None) -> None:
        self.folder = folder
        self.world = World()
        self.said: list[str] = []
        self.free = PLENTY
        self.stop = threading.Event()
        self.records = Records(folder)
        self.write({**DOCUMENT, "per_replica": 10.0, "down_after_s": 20.0, **(document or {})})
        self.begin()

    def write(self, document: dict[str, Any]) -> None:
        ScaleDocument(self.folder, self.records).set(document)

    def begin(self) -> None:
        world: Any = self.world
        around = Surroundings(world, world, world, lambda: self.world.now, lambda: self.free)
        self.scaler = Autoscaler(self.folder, around, self.said.append, self.stop)
        self.scaler.give_back()

    def rounds(self, count: int) -> None:
        """A front's old worker lives until the end of the next round."""
        for _ in range(count):
            self.world.now += 2.0
            leaving = self.world.old_workers
            try:
                self.scaler.round()
            except Killed:
                self.world.dies_at = -1
                self.begin()
            if leaving:
                self.world.old_workers = 0


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    return Trial(tmp_path)


def test_replicas_come_with_the_load_and_go_after_quiet(trial: Trial) -> None:
    trial.world.load = 28.0
    trial.rounds(8)
    assert trial.world.serving == ["1", "2", "3"]
    trial.world.load = 3.0
    trial.rounds(20)
    assert trial.world.serving == ["1"]
    assert list(trial.world.made) == [f"{PREFIX}r1-0a1b2c-1"]
    assert trial.said == [
        "r1-0a1b2c: 1..3 replicas by rps, 10 a replica, down after 20 s",
        "bring: 1 -> 2: rps 28.0, 10 a replica, more than 1 should carry",
        "serve: r1-0a1b2c-2 ready",
        "bring: 2 -> 3: rps 28.0, 10 a replica, more than 2 should carry",
        "serve: r1-0a1b2c-3 ready",
        "take out: 3 -> 1: 1 would have been enough for 20 s",
        "r1-0a1b2c-2, r1-0a1b2c-3: stopped when the front's old worker is gone",
        "clear away: r1-0a1b2c-2, r1-0a1b2c-3: no caller reaches them",
    ]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("at", range(1, 16))
def test_killed_at_any_touch_it_converges_and_no_caller_is_sent_nowhere(tmp_path: Path, at: int, after: bool) -> None:
    """The world itself refuses servers that are not ready, and stops of replicas that callers reach."""
    trial = Trial(tmp_path)
    trial.world.dies_at, trial.world.after = at, after
    trial.world.load = 28.0
    trial.rounds(16)
    assert trial.world.serving == ["1", "2", "3"]
    trial.world.load = 3.0
    trial.rounds(30)
    assert trial.world.serving == ["1"]
    assert list(trial.world.made) == [f"{PREFIX}r1-0a1b2c-1"]
    assert trial.world.dies_at == -1 or trial.world.touches < at


def test_whoever_has_the_lease_comes_first(trial: Trial) -> None:
    trial.records.acquire("theirs", "anna@laptop", 3600)
    trial.world.load = 28.0
    trial.rounds(5)
    assert (trial.world.touches, trial.said[1:]) == (0, ["anna@laptop has the lease: nothing is changed meanwhile"])
    trial.records.release("theirs")
    trial.rounds(1)
    assert trial.world.touches > 0


def test_its_lease_is_given_back_after_each_step(trial: Trial) -> None:
    trial.world.load = 28.0
    trial.rounds(4)
    assert trial.records.acquire("theirs", "anna@laptop", 30) == {"seconds_left": 30}


def test_one_that_does_not_become_ready_goes_and_the_next_waits_longer(trial: Trial) -> None:
    trial.world.unready = {f"{PREFIX}r1-0a1b2c-2"}
    trial.world.load = 15.0
    trial.rounds(34)
    assert trial.said[1:] == [
        "bring: 1 -> 2: rps 15.0, 10 a replica, more than 1 should carry",
        "clear away: r1-0a1b2c-2 not ready in 60 s",
        f"{PREFIX}r1-0a1b2c-2 was running, /readyz said 503",
        "rps 15.0, 10 a replica, more than 1 should carry; no more are brought for a while: 1 did not come",
    ]
    trial.rounds(15)
    assert [line.split(":")[0] for line in trial.said[5:]] == ["bring"]
    trial.rounds(32)
    assert trial.said[-1].endswith("2 did not come")
    trial.world.unready = set()
    trial.rounds(32)
    assert trial.world.serving == ["1", "2"]


def test_what_the_engine_refuses_is_said_and_not_asked_again_at_once(trial: Trial) -> None:
    trial.world.refuses = "no space left on device"
    trial.world.load = 15.0
    trial.rounds(10)
    assert trial.said[2] == "r1-0a1b2c-2 cannot be made: 500 no space left on device"
    assert len(trial.said) == 4
    trial.world.refuses = ""
    trial.rounds(16)
    assert trial.world.serving == ["1", "2"]


def test_memory_limits_the_number(trial: Trial) -> None:
    trial.free = "MemTotal: 4000000 kB\nMemAvailable: 1100000 kB\n"
    trial.world.load = 28.0
    trial.rounds(10)
    assert trial.world.serving == ["1"]
    assert trial.said[1:] == ["rps 28.0, 10 a replica, more than 1 should carry; 2 wanted, free memory is enough for 1"]


def test_a_deploy_changes_range_and_release(trial: Trial) -> None:
    trial.write({**DOCUMENT, "replicas": {"min": 2, "max": 4}})
    trial.rounds(3)
    assert trial.world.serving == ["1", "2"]
    trial.world.add(1, "running", "r2-0d1e2f")
    labels = {**DOCUMENT["body"]["Labels"], "mlship.release": "r2-0d1e2f"}
    trial.write({**DOCUMENT, "release": "r2-0d1e2f", "body": {**DOCUMENT["body"], "Labels": labels}})
    trial.rounds(2)
    assert trial.said[-1] == "no caller reaches r2-0d1e2f: nothing is changed"
    trial.world.front = {"servers": [trial.world.server(1, "r2-0d1e2f")], "schema": 1}
    trial.world.load = 120.0
    trial.rounds(8)
    assert [server["name"] for server in trial.world.front["servers"]] == [f"r2-0d1e2f-{number}" for number in (1, 2, 3)]
    assert f"{PREFIX}r1-0a1b2c-1" in trial.world.made, "what a kept release needs is not its business"


def test_without_document_front_or_engine_it_waits_and_says_so_once(trial: Trial) -> None:
    trial.world.away = True
    trial.rounds(3)
    trial.world.away, trial.world.running = False, False
    trial.rounds(3)
    ScaleDocument(trial.folder, trial.records).set(None)
    trial.rounds(3)
    (trial.folder / "scale.json").write_text("{")
    trial.rounds(3)
    assert trial.said[1:] == [
        "the engine does not answer: gone",
        "the front does not run: nothing is changed",
        "there is no scale.json: nothing is scaled",
        "scale.json is not JSON",
    ]
    assert trial.world.touches == 0


def test_a_server_whose_container_is_gone_is_replaced(trial: Trial) -> None:
    trial.write({**DOCUMENT, "replicas": {"min": 2, "max": 3}})
    trial.rounds(4)
    del trial.world.made[f"{PREFIX}r1-0a1b2c-1"]
    trial.rounds(6)
    assert trial.world.serving == ["2", "1"]


def test_replicas_follow_the_cpu(tmp_path: Path) -> None:
    """Each uses 1.2 cores of its 1.5 all the time: 80 %, where 70 % are wanted."""
    trial = Trial(tmp_path, {"metric": "cpu", "per_replica": None})
    trial.rounds(30)
    assert trial.world.serving == ["1", "2", "3"]


def test_cpu_is_counted_between_two_looks_and_not_of_one_that_began_anew() -> None:
    used = {"a": 10.0, "b": 5.0}
    now = [0.0]
    engine: Any = type("Asked", (), {"cpu_s": lambda self, name: used[name]})()
    readings = CpuReadings(engine, lambda: now[0])
    both = [Container(name, name, {}, "running", {}) for name in used]
    assert readings.percent(both, 0.5) == 0
    now[0], used["a"], used["b"] = 2.0, 10.5, 0.1
    assert readings.percent(both, 0.5) == 50


def test_the_front_tells_what_is_in_flight_and_how_many_come() -> None:
    rows = [
        {"pxname": "callers", "svname": "FRONTEND", "scur": "9", "req_rate": "120"},
        {"pxname": "model", "svname": "r1-0a1b2c-1", "scur": "3", "qcur": "1"},
        {"pxname": "model", "svname": "BACKEND", "scur": "4", "qcur": "1"},
        {"pxname": "panic", "svname": "r1-0a1b2c-1", "scur": "2", "qcur": ""},
    ]
    assert reading(rows) == Reading(in_flight=6, rate=120)


def test_room_is_what_is_available_less_a_reserve() -> None:
    assert room_for(2**30, PLENTY) == 54
    assert room_for(2**30, "MemTotal: 1000 kB\n") == 0
    assert room_for(2**30, "") == 0


def test_addresses_are_given_from_below_and_never_twice() -> None:
    small = {"IPAM": {"Config": [{"Subnet": "172.20.0.0/29"}]}}
    assert lowest_free(small, set()) == "172.20.0.2"
    assert lowest_free(small, {"172.20.0.2", "172.20.0.3"}) == "172.20.0.4"
    assert lowest_free(small, {f"172.20.0.{number}" for number in range(2, 6)}) is None, "the last one is the front's"


def test_it_ends_when_the_engine_stays_away(trial: Trial) -> None:
    class Hasty(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            trial.world.now += timeout or 0.0
            return self.is_set()

    trial.world.away = True
    trial.stop = Hasty()
    trial.begin()
    assert trial.scaler.run() == 1
    assert trial.said[-1].startswith("no engine for 30 s")


def test_the_program_ends_cleanly_when_it_is_asked_to(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "mlship.keeper", "scale", str(tmp_path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        assert program.stdout.readline().endswith("begun\n")
        program.send_signal(signal.SIGTERM)
        assert program.stdout.read().endswith("ended as asked\n")
    assert program.returncode == 0
