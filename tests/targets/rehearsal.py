"""A service in memory with callers and a clock of its own: whole rollouts in milliseconds, and commands that are killed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from mlship.releases.history import History, Underway
from mlship.releases.release import Proof, Release, Served, ServedModel
from mlship.targets import fake
from mlship.targets.base import Deployment, Measures, Strategy
from mlship.targets.plan import plan
from mlship.targets.rollout import Facts, RolledOut, World, abort, promote, roll_out

FACTS = Facts(by="anna@test pid 1", git="3f2a91c")
BOUNDS = (0.01, 0.02, 0.05, 0.1, 1.0, float("inf"))
CANARY = Strategy("canary", steps=(0.05, 0.25, 1.0), bake_s=300.0, min_requests=200, gates=("p95_ms < 40", "error_rate < 0.5%"))


@dataclass
class Callers:
    """What callers do, and how each version answers: latency in seconds, and one error in so many requests (0: none)."""

    rps: float = 100.0
    latency_s: dict[int, float] = field(default_factory=dict)
    error_every: dict[int, int] = field(default_factory=dict)


class Killed(BaseException):
    """SIGKILL: nothing of the command runs any more, not even what gives the lease back."""


@dataclass
class Killer:
    """Kills the command at its n-th touch of the world, before or after it took effect. touched: how many there were."""

    at: int = -1
    after: bool = False
    touched: int = 0
    dead: bool = False

    def touch(self, act: Any) -> Any:
        if self.dead:
            raise Killed
        number, self.touched = self.touched, self.touched + 1
        if number == self.at and not self.after:
            self.dead = True
            raise Killed
        done = act()
        if number == self.at:
            self.dead = True
            raise Killed
        return done


class Mortal:
    """A target, or its records, in the hands of a command that can be killed."""

    TOUCHES = ("apply", "commit", "acquire", "release")

    def __init__(self, inner: Any, killer: Killer) -> None:
        self._inner, self._killer = inner, killer

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name == "records":
            return Mortal(found, self._killer)
        if name in self.TOUCHES:
            return lambda *given: self._killer.touch(lambda: found(*given))
        return found


@dataclass
class Rehearsal:
    """One service, its callers, its clock, and what the commands said."""

    strategy: Strategy = CANARY
    callers: Callers = field(default_factory=Callers)
    world: fake.World = field(default_factory=fake.World)
    now: float = 1_760_000_000.0
    said: list[str] = field(default_factory=list)

    def deploy(self, version: int, killer: Killer | None = None, **changes: Any) -> RolledOut:
        target = self.open(killer)
        observed = self.open().observe()
        decided = plan("deploy", self.deployment(version, observed.history, **changes), observed)
        return roll_out(target, decided, FACTS, self.clock)

    def roll_back(self, release: Release, reason: str = "") -> RolledOut:
        deployment = replace(self.deployment(1, None), release=release)
        decided = plan("rollback", deployment, self.open().observe())
        return roll_out(self.open(), decided, Facts("ben@test", reason=reason), self.clock)

    def promote(self, killer: Killer | None = None, *, full: bool = False) -> RolledOut:
        return promote(self.open(killer), Facts("ben@other"), self.clock, full=full)

    def abort(self, reason: str = "not wanted", killer: Killer | None = None) -> RolledOut:
        return abort(self.open(killer), Facts("ben@other"), self.clock, reason)

    def open(self, killer: Killer | None = None) -> Any:
        target = fake.FakeTarget("churn", "", self.world)
        return Mortal(target, killer) if killer else target

    def deployment(self, version: int, history: History | None, **changes: Any) -> Deployment:
        """Version n predicts label n in all ten rows but the first n, so that versions differ by a few rows."""
        served = Served(f"sha256:{version:064x}", (ServedModel("churn", f"{version:064x}"),))
        rows = [version if row < version else 0 for row in range(10)]
        proof = Proof(tuple([row] for row in range(10)), {"predictions": rows}, {"rtol": 1e-6, "atol": 1e-9})
        sequence = history.next_sequence if history else 1
        live = history.live_release if history else None
        release = Release(sequence, served, 0.0, proofs={"churn": proof})
        if live is not None and live.served.digest() == served.digest():
            release = live
        deployment = Deployment("churn", "", "fake", "memory", release, {}, {"labels": {}}, replicas=(2, 2))
        return replace(deployment, strategy=self.strategy, **changes)

    @property
    def clock(self) -> World:
        return World(lambda: self.now, self.sleep, self)

    def step(self, name: str, detail: str = "") -> None:
        self.said.append(f"{name}  {detail}")

    def amount(self, name: str, done: int, total: int | None = None, unit: str = "B") -> None:
        pass

    def sleep(self, seconds: float) -> None:
        """Time passes, and callers call."""
        self.now += seconds
        for release, share in (*self.service.shares.items(), *self.service.mirror.items()):
            self._call(release, self.callers.rps * share * seconds)

    def _call(self, release: str, requests: float) -> None:
        version = int(self.service.kept[release].served.content[-8:], 16) if release in self.service.kept else 0
        every = self.callers.error_every.get(version, 0)
        latency_s = self.callers.latency_s.get(version, 0.015)
        seen = self.world.measures.get(release, Measures())
        buckets = {bound: seen.buckets.get(bound, 0.0) + (requests if latency_s <= bound else 0.0) for bound in BOUNDS}
        errors = seen.errors + (requests / every if every else 0.0)
        self.world.measures[release] = Measures(
            seen.requests + requests, errors, buckets, seconds=seen.seconds + latency_s * requests
        )

    @property
    def service(self) -> fake.Service:
        return self.world.services[("churn", "")]

    @property
    def history(self) -> History:
        found = self.open().observe().history
        assert found is not None
        return found

    @property
    def underway(self) -> Underway:
        found = self.history.underway
        assert found is not None
        return found

    @property
    def entries(self) -> list[str]:
        return [entry.action for entry in self.history.entries]

    @property
    def weighed(self) -> list[float]:
        return [action.share for action in self.world.done if action.kind == "weigh"]

    @property
    def bakes(self) -> list[str]:
        return [line.removeprefix("bake  ") for line in self.said if line.startswith("bake")]

    def is_well(self) -> None:
        """What holds at every instant once something was deployed: every caller is answered by a copy that runs."""
        shares = self.service.shares
        assert abs(sum(shares.values()) - 1) < 1e-9, shares
        assert all(self.service.of(release) for release, share in shares.items() if share), shares

    def is_settled(self, release: str) -> None:
        """One release, committed, with all callers, and nothing of any other."""
        assert self.history.live == release
        assert self.history.underway is None
        assert {name: share for name, share in self.service.shares.items() if share} == {release: 1.0}
        assert not self.service.mirror
        assert [copy.release.id for copy in self.service.copies] == [release, release]
        assert self.service.lease is None or self.service.lease.expires < self.now, "or it was killed with it"
