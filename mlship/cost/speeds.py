"""A machine, or a container's share of one, as a queue sees it: how many requests at a time, each how fast."""

from __future__ import annotations

import math
from collections.abc import Mapping

from mlship.cost.book import Machine
from mlship.cost.workload import Unit

# Two threads of one core together do 1.25 of what one does alone: an assumption for what keeps a processor busy, as models do;
# published gains of hyper-threading lie between 1.0 and 1.4. A measured speed takes its place.
HYPER_THREAD = 0.625
ANY = "*"  # a measured speed of whatever is looked at


def unit_of(machine: Machine, measured: Mapping[str, float] | None = None) -> Unit:
    """A whole machine. measured: speed of one of its servers, by type of instance, family, accelerator or `*`; the first counts.

    With accelerators they are the servers: what runs on them does not run on its cores.
    """
    name, speed = _measured(machine, measured or {})
    if machine.accelerators:
        return Unit(machine.accelerators, speed or 1.0, machine.memory_gib, _of_accelerators(machine, name, speed))
    unit = unit_of_vcpus(machine.vcpus, machine.memory_gib, whole_cores=machine.has_whole_cores, what=machine.name)
    if speed is not None:
        told = f"{machine.name}: {machine.vcpus:g} vCPU, each of measured speed {speed:g} ({name})"
        return Unit(unit.servers, speed * machine.vcpus / unit.servers, machine.memory_gib, told + _credits(machine))
    return Unit(unit.servers, unit.speed, machine.memory_gib, unit.assumption + _credits(machine))


def unit_of_vcpus(vcpus: float, memory_gib: float | None, *, whole_cores: bool, what: str) -> Unit:
    """A share of a machine, such as a container of a managed service. what: its name, for people.

    A part of a vCPU beside whole ones slows all servers alike: the server starts a worker for it (a quota of 1.5 counts as 2).
    """
    servers = max(1, math.ceil(vcpus))
    speed = vcpus / servers * (1.0 if whole_cores else HYPER_THREAD)
    kind = "whole cores" if whole_cores else f"hyper-threads, each {HYPER_THREAD:g} of a core"
    return Unit(servers, speed, memory_gib, f"{what}: {vcpus:g} vCPU, {kind} (assumed)")


def _measured(machine: Machine, measured: Mapping[str, float]) -> tuple[str, float | None]:
    for name in (machine.name, machine.family, machine.accelerator, ANY):
        if name and name in measured:
            return name, measured[name]
    return "", None


def _of_accelerators(machine: Machine, name: str, speed: float | None) -> str:
    known = "as fast as where it was measured (assumed)" if speed is None else f"measured speed {speed:g} ({name})"
    return (
        f"{machine.name}: {machine.accelerators} x {machine.accelerator or 'accelerator'}, one request at a time each, {known}"
    )


def _credits(machine: Machine) -> str:
    return "; its processor credits never run out (assumed)" if machine.category == "burstable" else ""
