"""`python -m mlship.keeper scale FOLDER`: keeps the number of replicas at what the load needs, until SIGTERM.

Every round looks anew at the document, the front and the engine, and takes one step under the lease; a command that has the
lease comes first. Callers never depend on it: the front and the replicas run without.
"""

from __future__ import annotations

import io
import ipaddress
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mlship.keeper import wire
from mlship.keeper.engine_api import Container, Engine, Failure
from mlship.keeper.front import Front
from mlship.keeper.records import Records, Refused
from mlship.keeper.scale_document import Scale, ScaleDocument
from mlship.keeper.scale_measures import MEMINFO, CpuReadings, FrontReadings, load_of, room_for
from mlship.keeper.scale_plan import RUNNING, Admit, Bring, Clear, Rest, Seen, Settle, Step, TakeOut, next_step
from mlship.keeper.scaling import Sample, remembered
from mlship.keeper.state import Damaged, Newer

SOCKET = Path("/run/mlship/engine.sock")
PERIOD_S = 2.0
READINGS = 4  # of the front in each period
LEASE_S = 10.0  # a killed autoscaler keeps a command waiting no longer than this
READY_WAIT_S = 1.0  # how long the replicas that are coming are asked in each round, all together
FIRST_PAUSE_S, LONGEST_PAUSE_S = 30.0, 600.0  # after a replica that did not come
GIVE_UP_S = 30.0  # a socket that the engine made anew is met only by a container that is started anew: then this program ends


class Problem(Exception):
    """This round cannot go on; says why. The next one looks anew."""


class Autoscaler:
    """folder: the volume. say: one line of log. clock: seconds, never goes back. meminfo: gives what the kernel says."""

    def __init__(
        self,
        folder: Path,
        engine: Engine,
        say: Callable[[str], None],
        front: Front | None = None,
        readings: FrontReadings | None = None,
        clock: Callable[[], float] = time.monotonic,
        meminfo: Callable[[], str] = MEMINFO.read_text,
        stop: threading.Event | None = None,
    ) -> None:
        self._engine = engine
        self._say = say
        self._clock = clock
        self._meminfo = meminfo
        self._records = Records(folder)
        self._document = ScaleDocument(folder, self._records)
        self._front = front or Front(folder, self._records)
        self._readings = readings or FrontReadings(folder)
        self._cpu = CpuReadings(engine, clock)
        # The same after a restart of the container, so that it gives back what it was killed with.
        self._token = f"autoscaler-{os.uname().nodename}"
        self._stop = stop or threading.Event()
        self._scale: Scale | None = None
        self._samples: tuple[Sample, ...] = ()
        self._coming: dict[str, float] = {}
        self._last_answers: dict[str, str] = {}
        self._failures = 0
        self._paused_until = 0.0
        self._silent_since: float | None = None
        self._told = ""

    def run(self) -> int:
        """Until it is asked to end (0), or the engine was away for too long (1)."""
        with suppress(Refused, Damaged, Newer, OSError):
            self._records.release(self._token)
        self._say("begun")
        while not self._stop.is_set():
            for _ in range(READINGS):
                self._readings.look()
                if self._stop.wait(PERIOD_S / READINGS):
                    break
            else:
                self.round()
            if self._silent_since is not None and self._clock() - self._silent_since > GIVE_UP_S:
                self._say(f"no engine for {GIVE_UP_S:.0f} s: the container is started anew to look for its socket")
                return 1
        self._say("ended as asked")
        return 0

    def round(self) -> None:
        """Looks, decides, and takes one step."""
        try:
            scale = self._document.read()
            if scale is None:
                raise Problem("there is no scale.json: nothing is scaled")
            self._follow(scale)
            self._sample(scale)
            seen = self._seen(scale)
            step = self._next(scale, seen)
            if isinstance(step, Rest):
                return self._rest(step)
            with self._lease():
                if self._document.read() == scale:
                    step = self._next(scale, self._seen(scale, asked=seen.ready))
                    self._take(scale, step)
        except (Problem, Refused, Damaged, Newer, OSError) as problem:
            self._tell_once(str(problem))

    def _follow(self, scale: Scale) -> None:
        """A deploy may have changed the document: what was measured of another release says nothing about this one."""
        present = self._scale
        if present is None or (present.release, present.policy.target, present.policy.metric) != (
            scale.release, scale.policy.target, scale.policy.metric,
        ):  # fmt: skip
            self._samples, self._coming, self._failures, self._paused_until = (), {}, 0, 0.0
        if present != scale:
            policy = scale.policy
            self._say(
                f"{scale.release}: {policy.low}..{policy.high} replicas by {policy.metric}, {policy.per_replica:g} a replica, "
                f"down after {policy.down_after_s:g} s"
            )
        self._scale = scale

    def _sample(self, scale: Scale) -> None:
        load = self._load(scale)
        if load is not None:
            self._samples = remembered(self._samples, Sample(self._clock(), load), scale.policy)

    def _load(self, scale: Scale) -> float | None:
        taken = self._readings.taken()
        if taken is None or scale.policy.metric != "cpu":
            return None if taken is None else load_of(scale.policy, taken)
        servers = {server["name"] for server in self._traffic()["servers"]}
        serving = [found for found in self._replicas(scale) if found.name.removeprefix(scale.prefix) in servers]
        return float(self._answered(self._cpu.percent(serving, scale.policy.cores)))

    def _seen(self, scale: Scale, asked: frozenset[str] | None = None) -> Seen:
        """asked: which of the coming replicas were ready a moment ago; they are asked now where it is None."""
        said = self._front.read()
        if said["front"] is None or not said["running"]:
            raise Problem("the front does not run: nothing is changed")
        containers = self._replicas(scale)
        here = {found.name.removeprefix(scale.prefix): found for found in containers}
        self._coming = {name: since for name, since in self._coming.items() if name in here}
        listed = {server["name"] for server in said["front"]["servers"]}
        running = [name for name in self._coming if here[name].state in RUNNING and name not in listed]
        return Seen(
            servers=said["front"]["servers"],
            containers=containers,
            applied=said["applied"],
            ready=self._ready(scale, {name: here[name] for name in running}) if asked is None else asked,
            old_workers=said["old_workers"],
            room=room_for(scale.memory, self._meminfo()),
            held=self._held(),
        )

    def _held(self) -> str:
        left = self._paused_until - self._clock()
        return "" if left <= 0 else f"no more are brought for a while: {self._failures} did not come"

    def _next(self, scale: Scale, seen: Seen) -> Step:
        return next_step(scale, seen, self._samples, self._coming, self._clock())

    def _ready(self, scale: Scale, running: Mapping[str, Container]) -> frozenset[str]:
        """Asked from the front, over the network, as callers' requests will go."""
        found = set()
        for name, container in running.items():
            answer = self._asked(scale, container, READY_WAIT_S / len(running))
            self._last_answers[name] = answer.get("error", "") or str(answer.get("status"))
            if answer.get("status") == 200:
                found.add(name)
        return frozenset(found)

    def _asked(self, scale: Scale, container: Container, wait_s: float) -> Mapping[str, Any]:
        request = {
            "address": container.addresses.get(scale.network, ""), "port": scale.port, "method": "GET", "path": "/readyz",
            "timeout_s": 2.0, "wait_s": wait_s,
        }  # fmt: skip
        front = self._answered(self._engine.inspect(scale.front))
        argv = [*((front.get("Config") or {}).get("Entrypoint") or []), "probe", json.dumps(request)]
        printed = self._engine.execute(scale.front, argv, wait_s + 10)
        if isinstance(printed, Failure):
            return {"status": 0, "error": str(printed)}
        try:
            answer = wire.read(io.BytesIO(printed))
        except wire.WireError as error:
            return {"status": 0, "error": f"the probe failed: {error}"}
        return answer if isinstance(answer, dict) else {"status": 0, "error": "the probe said nothing"}

    @contextmanager
    def _lease(self) -> Iterator[None]:
        try:
            self._records.acquire(self._token, "autoscaler", LEASE_S)
        except Refused as refused:
            raise Problem(f"{refused.more.get('holder', 'somebody')} has the lease: nothing is changed meanwhile") from None
        try:
            yield
        finally:
            self._records.release(self._token)

    def _take(self, scale: Scale, step: Step) -> None:
        if isinstance(step, Rest):
            return self._rest(step)
        self._told = ""
        if isinstance(step, Settle):
            self._front.set(self._traffic(), self._token)
        elif isinstance(step, Admit | TakeOut):
            self._front.set({**self._traffic(), "servers": [dict(server) for server in step.servers]}, self._token)
        self._log(step)
        if isinstance(step, Admit):
            self._failures = 0
            self._coming = {name: since for name, since in self._coming.items() if name not in step.names}
        elif isinstance(step, Bring):
            self._bring(scale, step)
        elif isinstance(step, Clear):
            self._clear(scale, step)
        return None

    def _log(self, step: Settle | Admit | TakeOut | Bring | Clear) -> None:
        words = {Settle: "settle", Admit: "serve", TakeOut: "take out", Bring: "bring", Clear: "clear away"}
        self._say(f"{words[type(step)]}: {step.reason}")

    def _bring(self, scale: Scale, step: Bring) -> None:
        for name in step.keep:
            self._coming[name] = self._clock()
        for container in step.start:
            if not self._goes_on():
                return
            self._start(container.id, container.name.removeprefix(scale.prefix))
        for number in step.numbers:
            if not self._goes_on():
                return
            server = scale.server(number)
            made = self._engine.create(f"{scale.prefix}{server}", self._body(scale))
            if isinstance(made, Failure):
                self._pause(1)
                raise Problem(f"{server} cannot be made: {made}")
            self._start(made, server)

    def _start(self, container: str, server: str) -> None:
        started = self._engine.start(container)
        if started is not None:
            self._pause(1)
            self._engine.remove(container)
            raise Problem(f"{server} cannot be started: {started}")
        self._coming[server] = self._clock()

    def _body(self, scale: Scale) -> dict[str, Any]:
        """The recorded body with an address of its own."""
        network = self._answered(self._engine.network(scale.network))
        everyone = self._answered(self._engine.containers())
        taken = {container.addresses.get(scale.network, "") for container in everyone}
        address = lowest_free(network, taken)
        if address is None:
            raise Problem(f"the network {scale.network} has no free address")
        return {
            **scale.body,
            "NetworkingConfig": {"EndpointsConfig": {scale.network: {"IPAMConfig": {"IPv4Address": address}}}},
        }

    def _clear(self, scale: Scale, step: Clear) -> None:
        if step.failed:
            self._pause(len(step.containers))
        for container in step.containers:
            if not self._goes_on():
                return
            server = container.name.removeprefix(scale.prefix)
            if step.failed:
                self._say(f"{server} was {container.state}; /readyz: {self._last_answers.get(server, 'never asked')}")
            self._coming.pop(server, None)
            self._last_answers.pop(server, None)
            stopped = self._engine.stop(container.id, scale.stop_timeout_s) if container.state in RUNNING else None
            gone = stopped if stopped is not None and not stopped.is_absence else self._engine.remove(container.id)
            if gone is not None:
                raise Problem(f"{server} cannot be removed: {gone}")

    def _goes_on(self) -> bool:
        """Asked before each change: the lease is still this one's, and nobody asked for the end. Raises Refused."""
        self._records.renew(self._token)
        return not self._stop.is_set()

    def _pause(self, failed: int) -> None:
        self._failures += failed
        self._paused_until = self._clock() + min(FIRST_PAUSE_S * 2 ** min(self._failures - 1, 10), LONGEST_PAUSE_S)

    def _traffic(self) -> dict[str, Any]:
        front = self._front.read()["front"]
        if front is None:
            raise Problem("there is no front.json: nothing is changed")
        return dict(front)

    def _replicas(self, scale: Scale) -> tuple[Container, ...]:
        return tuple(self._answered(self._engine.containers(scale.labels)))

    def _answered(self, said: Any) -> Any:
        if isinstance(said, Failure):
            if said.status == 0 and self._silent_since is None:
                self._silent_since = self._clock()
            raise Problem(str(said))
        self._silent_since = None
        return said

    def _rest(self, step: Rest) -> None:
        if step.kind:
            self._tell_once(step.reason, step.kind)
        else:
            self._told = ""

    def _tell_once(self, text: str, kind: str = "") -> None:
        """A state that lasts is said when it begins."""
        if self._told != (kind or text):
            self._say(text)
        self._told = kind or text


def lowest_free(network: Mapping[str, Any], taken: set[str]) -> str | None:
    """An address that no container has; the first of the subnet is the engine's, the last usable one the front's."""
    ranges = (network.get("IPAM") or {}).get("Config") or [{}]
    subnet = ipaddress.IPv4Network(ranges[0]["Subnet"])
    addresses = (str(subnet[number]) for number in range(2, subnet.num_addresses - 2))
    return next((address for address in addresses if address not in taken), None)


def scale(folder: Path, socket: Path = SOCKET) -> int:
    """The program of the container; gives its exit code."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    return Autoscaler(folder, Engine(socket), _line, stop=stop).run()


def _line(text: str) -> None:
    sys.stdout.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {text}\n")
    sys.stdout.flush()
