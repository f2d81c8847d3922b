"""`python -m mlship.keeper scale FOLDER`: keeps the number of replicas at what the load needs, until SIGTERM.

Every round looks anew at the document, the front and the engine, and takes one step under the lease; a command that has the
lease comes first. Callers never depend on it: the front and the replicas run without.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlship.keeper.engine_api import Engine
from mlship.keeper.front import Front
from mlship.keeper.records import Records, Refused
from mlship.keeper.scale_document import Scale, ScaleDocument
from mlship.keeper.scale_hands import Hands, NotBrought, Problem, answered
from mlship.keeper.scale_measures import MEMINFO, CpuReadings, FrontReadings, load_of, room_for
from mlship.keeper.scale_plan import RUNNING, Admit, Bring, Clear, Rest, Seen, Settle, Step, TakeOut, next_step
from mlship.keeper.scaling import Sample, remembered
from mlship.keeper.state import Busy, Damaged, Newer

SOCKET = Path("/run/mlship/engine.sock")
PERIOD_S = 2.0
READINGS = 4  # of the front in each period
LEASE_S = 10.0  # a killed autoscaler keeps a command waiting no longer than this
FIRST_PAUSE_S, LONGEST_PAUSE_S = 30.0, 600.0  # after a replica that did not come
GIVE_UP_S = 30.0  # a socket that the engine made anew is met only by a container that is started anew: then this program ends

WORDS = {Settle: "settle", Admit: "serve", TakeOut: "take out", Bring: "bring", Clear: "clear away"}


@dataclass(frozen=True)
class Surroundings:
    """clock: seconds, never goes back. meminfo: what the kernel says about the memory of the engine's machine."""

    engine: Engine
    front: Front
    readings: FrontReadings
    clock: Callable[[], float] = time.monotonic
    meminfo: Callable[[], str] = MEMINFO.read_text


class Autoscaler:
    """folder: the volume. say: one line of log. stop: set when somebody wants the end."""

    def __init__(self, folder: Path, around: Surroundings, say: Callable[[str], None], stop: threading.Event) -> None:
        self._around = around
        self._clock = around.clock
        self._say = say
        self._stop = stop
        self._records = Records(folder)
        self._document = ScaleDocument(folder, self._records)
        self._hands = Hands(around.engine, self._goes_on)
        self._cpu = CpuReadings(around.engine, around.clock)
        # The same after a restart of the container, so that it gives back what it was killed with.
        self._token = f"autoscaler-{os.uname().nodename}"
        self._scale: Scale | None = None
        self._samples: tuple[Sample, ...] = ()
        self._coming: dict[str, float] = {}
        self._answers: dict[str, str] = {}
        self._failures = 0
        self._paused_until = 0.0
        self._silent_since: float | None = None
        self._told = ""

    def run(self) -> int:
        """Until it is asked to end (0), or the engine was away for too long (1)."""
        self.give_back()
        self._say("begun")
        while not self._stop.is_set():
            for _ in range(READINGS):
                self._around.readings.look()
                if self._stop.wait(PERIOD_S / READINGS):
                    break
            else:
                self.round()
            if self._silent_since is not None and self._clock() - self._silent_since > GIVE_UP_S:
                self._say(f"no engine for {GIVE_UP_S:.0f} s: the container is started anew to look for its socket")
                return 1
        self._say("ended as asked")
        return 0

    def give_back(self) -> None:
        """The lease that a killed one in this container had."""
        with suppress(Refused, Damaged, Newer, OSError):
            self._records.release(self._token)

    def round(self) -> None:
        """Looks, decides, and takes one step."""
        try:
            self._round()
        except Problem as problem:
            if problem.is_silence and self._silent_since is None:
                self._silent_since = self._clock()
            self._tell_once(str(problem))
        except (Refused, Damaged, Newer, Busy, OSError) as problem:
            self._tell_once(str(problem))

    def _round(self) -> None:
        scale = self._document.read()
        if scale is None:
            raise Problem("there is no scale.json: nothing is scaled")
        self._follow(scale)
        self._sample(scale)
        seen = self._seen(scale)
        self._silent_since = None
        step = self._next(scale, seen)
        if isinstance(step, Rest):
            return self._rest(step)
        with self._lease():
            if self._document.read() == scale:
                self._take(scale, self._next(scale, self._seen(scale, asked=seen.ready)))
        return None

    def _follow(self, scale: Scale) -> None:
        """A deploy may have changed the document: what was measured of another release says nothing about this one."""
        if self._scale == scale:
            return
        if self._scale is None or _measured(self._scale) != _measured(scale):
            self._samples, self._coming, self._failures, self._paused_until = (), {}, 0, 0.0
        self._scale = scale
        policy = scale.policy
        self._say(
            f"{scale.release}: {policy.low}..{policy.high} replicas by {policy.metric}, {policy.per_replica:g} a replica, "
            f"down after {policy.down_after_s:g} s"
        )

    def _sample(self, scale: Scale) -> None:
        """A front that gave no reading gives no sample."""
        taken = self._around.readings.taken()
        if taken is not None:
            load = self._used_cpu(scale) if scale.policy.metric == "cpu" else load_of(scale.policy, taken)
            self._samples = remembered(self._samples, Sample(self._clock(), load), scale.policy)

    def _used_cpu(self, scale: Scale) -> float:
        servers = {server["name"] for server in self._traffic()["servers"]}
        serving = [found for found in self._hands.replicas(scale) if found.name.removeprefix(scale.prefix) in servers]
        return answered(self._cpu.percent(serving, scale.policy.cores))

    def _seen(self, scale: Scale, asked: frozenset[str] | None = None) -> Seen:
        """asked: which of the coming replicas were ready a moment ago; they are asked now where it is None."""
        said = self._around.front.read()
        if said["front"] is None or not said["running"]:
            raise Problem("the front does not run: nothing is changed")
        containers = self._hands.replicas(scale)
        here = {found.name.removeprefix(scale.prefix): found for found in containers}
        self._coming = {name: since for name, since in self._coming.items() if name in here}
        if asked is None:
            self._answers = self._hands.readiness(
                scale, {name: here[name] for name in self._coming if here[name].state in RUNNING}
            )
            asked = frozenset(name for name, answer in self._answers.items() if answer == "200")
        return Seen(
            servers=said["front"]["servers"],
            containers=containers,
            applied=said["applied"],
            ready=asked,
            old_workers=said["old_workers"],
            room=room_for(scale.memory, self._around.meminfo()),
            held=self._held(),
        )

    def _held(self) -> str:
        is_over = self._clock() >= self._paused_until
        return "" if is_over else f"no more are brought for a while: {self._failures} did not come"

    def _next(self, scale: Scale, seen: Seen) -> Step:
        return next_step(scale, seen, self._samples, self._coming, self._clock())

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
            self._around.front.set(self._traffic(), self._token)
        elif isinstance(step, Admit | TakeOut):
            servers = [dict(server) for server in step.servers]
            self._around.front.set({**self._traffic(), "servers": servers}, self._token)
        self._say(f"{WORDS[type(step)]}: {step.reason}")
        if isinstance(step, Admit):
            self._failures = 0
            self._coming = {name: since for name, since in self._coming.items() if name not in step.names}
        elif isinstance(step, Bring):
            self._bring(scale, step)
        elif isinstance(step, Clear):
            self._clear(scale, step)
        return None

    def _bring(self, scale: Scale, step: Bring) -> None:
        try:
            for server in self._hands.bring(scale, step):
                self._coming[server] = self._clock()
        except NotBrought:
            self._pause(1)
            raise

    def _clear(self, scale: Scale, step: Clear) -> None:
        if step.failed:
            self._pause(len(step.containers))
            for container in step.containers:
                said = self._answers.get(container.name.removeprefix(scale.prefix), "nothing")
                self._say(f"{container.name} was {container.state}, /readyz said {said}")
        for server in self._hands.clear(scale, step):
            self._coming.pop(server, None)

    def _goes_on(self) -> bool:
        """The lease is still this one's, and nobody asked for the end. Raises Refused."""
        self._records.renew(self._token)
        return not self._stop.is_set()

    def _pause(self, failed: int) -> None:
        self._failures += failed
        self._paused_until = self._clock() + min(FIRST_PAUSE_S * 2 ** min(self._failures - 1, 10), LONGEST_PAUSE_S)

    def _traffic(self) -> dict[str, Any]:
        front = self._around.front.read()["front"]
        if front is None:
            raise Problem("there is no front.json: nothing is changed")
        return dict(front)

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


def _measured(scale: Scale) -> tuple[str, str, float]:
    """What a sample is a sample of."""
    return scale.release, scale.policy.metric, scale.policy.target


def scale(folder: Path, socket: Path = SOCKET) -> int:
    """The program of the container; gives its exit code."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    around = Surroundings(Engine(socket), Front(folder, Records(folder)), FrontReadings(folder))
    return Autoscaler(folder, around, _line, stop).run()


def _line(text: str) -> None:
    sys.stdout.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {text}\n")
    sys.stdout.flush()
