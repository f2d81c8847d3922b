"""What the autoscaler does next, from what it sees. Pure, and made from scratch each round: killed at any instant, it goes on.

A replica that callers reach is in the front's document with a weight. Every other replica of the release that serves is either
coming (this process wants it) or too many; what a killed autoscaler began is therefore finished or cleared away by the next one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from mlship.keeper.engine_api import Container
from mlship.keeper.scale_document import Scale
from mlship.keeper.scaling import UP_SAMPLES, Sample, decide

RUNNING = ("running", "restarting", "paused")


@dataclass(frozen=True)
class Rest:
    """Nothing is to be done. kind: what the log says once while it lasts; empty when there is nothing to say."""

    reason: str = ""
    kind: Literal["", "idle", "rollout", "memory", "held", "drain"] = ""


@dataclass(frozen=True)
class Bring:
    """More replicas: `start` are there and stopped, `keep` run already, `numbers` are to be made."""

    reason: str
    keep: tuple[str, ...] = ()
    start: tuple[Container, ...] = ()
    numbers: tuple[int, ...] = ()


@dataclass(frozen=True)
class Admit:
    """These are ready: callers may reach them. servers: the front's servers from now on."""

    reason: str
    names: tuple[str, ...]
    servers: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class TakeOut:
    """Callers reach these no more; they are stopped in a later round. servers: the front's servers from now on."""

    reason: str
    names: tuple[str, ...]
    servers: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class Clear:
    """These are stopped and removed. failed: because they did not become ready."""

    reason: str
    containers: tuple[Container, ...]
    failed: bool = False


@dataclass(frozen=True)
class Settle:
    """The front does not run what its document says: a process was killed in between."""

    reason: str = "the front is brought to its document"


Step = Rest | Bring | Admit | TakeOut | Clear | Settle


@dataclass(frozen=True)
class Seen:
    """servers: of the front's document. containers: all of the release, stopped ones too.

    applied: whether the front runs its document. ready: names that answer /readyz. old_workers: of the front, that may still
    send requests to replicas that were taken out. room: for how many more replicas there is memory. held: why no more are
    brought now, empty when nothing stands against it.
    """

    servers: Sequence[Mapping[str, Any]]
    containers: Sequence[Container]
    applied: bool = True
    ready: frozenset[str] = frozenset()
    old_workers: int = 0
    room: int = 0
    held: str = ""


@dataclass(frozen=True)
class Fleet:
    """The replicas of one release, sorted out. serving: names with callers and a container; gone: without a container."""

    serving: tuple[str, ...]
    gone: tuple[str, ...]
    weightless: tuple[str, ...]
    foreign: tuple[str, ...]
    spare: Mapping[str, Container] = field(default_factory=dict)


def next_step(scale: Scale, seen: Seen, samples: Sequence[Sample], coming: Mapping[str, float], now: float) -> Step:
    """coming: name -> since when this process waits for it, in the clock of `now`."""
    fleet = sorted_out(scale, seen)
    if not fleet.serving and not fleet.gone:
        return Rest(f"no caller reaches {scale.release}: nothing is changed", "idle")
    if fleet.foreign:
        others = ", ".join(fleet.foreign)
        return Rest(f"callers reach {others} beside {scale.release}: nothing is changed during a rollout", "rollout")
    here = {name: container for name, container in fleet.spare.items() if name in coming}
    return (
        (None if seen.applied else Settle())
        or _dead_ends(seen, fleet)
        or _failed(scale, here, seen.ready, coming, now)
        or _ready(scale, seen, here)
        or _resized(scale, seen, fleet, samples, here)
    )


def sorted_out(scale: Scale, seen: Seen) -> Fleet:
    by_name = {container.name.removeprefix(scale.prefix): container for container in seen.containers}
    ours = [server for server in seen.servers if server["release"] == scale.release]
    live = [str(server["name"]) for server in ours if server["weight"] > 0]
    listed = {str(server["name"]) for server in ours}
    return Fleet(
        serving=tuple(name for name in live if name in by_name),
        gone=tuple(name for name in live if name not in by_name),
        weightless=tuple(str(server["name"]) for server in ours if server["weight"] == 0),
        foreign=tuple(sorted({str(server["release"]) for server in seen.servers if server["weight"] > 0} - {scale.release})),
        spare={name: found for name, found in by_name.items() if name not in listed and scale.number(name)},
    )


def _dead_ends(seen: Seen, fleet: Fleet) -> Step | None:
    """Servers that lead nowhere, unless nothing else would be left."""
    names = (*fleet.gone, *fleet.weightless)
    if not names or not fleet.serving:
        return None
    return TakeOut(f"{', '.join(names)}: no such container, or no callers", names, _without(seen.servers, names))


def _failed(
    scale: Scale, here: Mapping[str, Container], ready: frozenset[str], coming: Mapping[str, float], now: float
) -> Step | None:
    late = [name for name in here if name not in ready and now - coming[name] > scale.startup_timeout_s]
    if not late:
        return None
    reason = f"{', '.join(late)} not ready in {scale.startup_timeout_s:g} s"
    return Clear(reason, tuple(here[name] for name in late), failed=True)


def _ready(scale: Scale, seen: Seen, here: Mapping[str, Container]) -> Step | None:
    names = tuple(sorted((name for name in here if name in seen.ready), key=scale.number))
    if not names:
        return None
    weight = max(server["weight"] for server in seen.servers if server["release"] == scale.release)
    added = tuple(
        {
            "name": name,
            "release": scale.release,
            "address": here[name].addresses[scale.network],
            "port": scale.port,
            "weight": weight,
        }
        for name in names
    )
    return Admit(f"{', '.join(names)} ready", names, (*seen.servers, *added))


def _resized(scale: Scale, seen: Seen, fleet: Fleet, samples: Sequence[Sample], here: Mapping[str, Container]) -> Step:
    current = len(fleet.serving) + len(here)
    decision = decide(samples, current, scale.policy, max(seen.room - len(here), 0))
    if decision.count > current and seen.held:
        return Rest(f"{decision.reason}; {seen.held}", "held")
    if decision.count > current:
        return _more(scale, fleet, here, decision.count, decision.reason)
    surplus = [name for name in fleet.spare if name not in here]
    if decision.count < current:
        return _fewer(scale, seen, fleet, here, current - decision.count, decision.reason)
    if surplus and len(samples) >= UP_SAMPLES:
        return _cleared(fleet, seen, surplus)
    return Rest(decision.reason, "memory") if decision.short else Rest()


def _more(scale: Scale, fleet: Fleet, here: Mapping[str, Container], count: int, reason: str) -> Step:
    """What runs already first, then what is stopped, then new ones under the lowest free numbers."""
    missing = count - len(fleet.serving) - len(here)
    spare = [name for name in sorted(fleet.spare, key=scale.number) if name not in here]
    keep = [name for name in spare if fleet.spare[name].state in RUNNING][:missing]
    start = [name for name in spare if name not in keep and _may_start(scale, fleet.spare[name])][: missing - len(keep)]
    taken = {scale.number(name) for name in (*fleet.serving, *fleet.gone, *fleet.weightless, *fleet.spare)}
    numbers = _free(taken, missing - len(keep) - len(start))
    before = len(fleet.serving) + len(here)
    return Bring(f"{before} -> {count}: {reason}", tuple(keep), tuple(fleet.spare[name] for name in start), tuple(numbers))


def _may_start(scale: Scale, container: Container) -> bool:
    """A stopped one of the same specification that has its address."""
    same = container.labels.get("mlship.spec") == scale.body["Labels"].get("mlship.spec")
    return same and container.state in ("created", "exited") and scale.network in container.addresses


def _free(taken: set[int], count: int) -> list[int]:
    numbers: list[int] = []
    number = 1
    while len(numbers) < count:
        if number not in taken:
            numbers.append(number)
        number += 1
    return numbers


def _fewer(scale: Scale, seen: Seen, fleet: Fleet, here: Mapping[str, Container], count: int, reason: str) -> Step:
    """Those that are still coming first; of those that serve the highest numbers."""
    before = len(fleet.serving) + len(here)
    said = f"{before} -> {before - count}: {reason}"
    unwanted = sorted(here, key=scale.number)[-count:]
    if unwanted:
        return Clear(said, tuple(here[name] for name in unwanted))
    names = tuple(sorted(fleet.serving, key=scale.number)[-count:])
    return TakeOut(said, names, _without(seen.servers, names))


def _cleared(fleet: Fleet, seen: Seen, surplus: Sequence[str]) -> Step:
    running = [name for name in surplus if fleet.spare[name].state in RUNNING]
    if running and seen.old_workers:
        return Rest(f"{', '.join(running)}: stopped when the front's old worker is gone", "drain")
    return Clear(f"{', '.join(surplus)}: no caller reaches them", tuple(fleet.spare[name] for name in surplus))


def _without(servers: Sequence[Mapping[str, Any]], names: Sequence[str]) -> tuple[Mapping[str, Any], ...]:
    return tuple(server for server in servers if server["name"] not in names)
