"""A machine, or a container's share of one, as a queue sees it: how many requests at a time, each how fast."""

from __future__ import annotations

import math
from collections.abc import Mapping

from mlship.cost.book import Machine
from mlship.cost.workload import Unit

# Two threads of one core together do 1.25 of what one does alone: an assumption for what keeps a processor busy, as models do;
# published gains of hyper-threading lie between 1.0 and 1.4. A measured speed takes its place.
HYPER_THREAD = 0.625


def unit_of(machine: Machine, measured: Mapping[str, float] | None = None) -> Unit:
    """A whole machine. measured: speed of one of its servers, by type of instance, family or accelerator; the type comes first."""
    name, speed = _measured(machine, measured or {})
    if machine.accelerators:
        return Unit(machine.accelerators, speed or 1.0, machine.memory_gib, _of_accelerators(machine, name, speed))
    servers = max(1, math.ceil(machine.vcpus))
    share = machine.vcpus / servers
    if speed is not None:
        told = f"{machine.name}: {_servers(machine.vcpus)} of measured speed {speed:g} ({name})"
        return Unit(servers, speed * share, machine.memory_gib, told)
    unit = unit_of_vcpus(machine.vcpus, machine.memory_gib or 0, whole_cores=machine.has_whole_cores, what=machine.name)
    burst = "; its processor credits never run out" if machine.category == "burstable" else ""
    return Unit(unit.servers, unit.speed, machine.memory_gib, unit.assumption + burst)


def unit_of_vcpus(vcpus: float, memory_gib: float, *, whole_cores: bool, what: str) -> Unit:
    """A share of a machine, such as a container of a managed service. what: its name, for people.

    A part of a vCPU beside whole ones slows all servers alike: the server starts a worker for it (a quota of 1.5 counts as 2).
    """
    servers = max(1, math.ceil(vcpus))
    speed = vcpus / servers * (1.0 if whole_cores else HYPER_THREAD)
    kind = "whole cores" if whole_cores else f"hyper-threads, each {HYPER_THREAD:g} of a core"
    return Unit(servers, speed, memory_gib, f"{what}: {_servers(vcpus)}, {kind} (assumed)")


def _measured(machine: Machine, measured: Mapping[str, float]) -> tuple[str, float | None]:
    for name in (machine.name, machine.family, machine.accelerator):
        if name in measured:
            return name, measured[name]
    return "", None


def _of_accelerators(machine: Machine, name: str, speed: float | None) -> str:
    one = f"{machine.name}: {machine.accelerators} x {machine.accelerator or 'accelerator'}, one request at a time each"
    return (
        f"{one}, measured speed {speed:g} ({name})"
        if speed is not None
        else f"{one}, as fast as where it was measured (assumed)"
    )


def _servers(vcpus: float) -> str:
    return f"{vcpus:g} vCPU"
