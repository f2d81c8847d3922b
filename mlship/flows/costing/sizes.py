"""What a replica gets, and how fast its cores are: the command line's, else those of mlship.yaml."""

from __future__ import annotations

import math
from collections.abc import Mapping

from mlship.config.project import Project
from mlship.config.words import clipped
from mlship.cost.speeds import ANY
from mlship.flows.costing.amounts import count_said, parsed, refused
from mlship.flows.costing.asked import Asked
from mlship.units import Cpu, Memory

GIB = 2**30


def resources_from(asked: Asked, project: Project | None) -> Mapping[str, int]:
    """What a replica gets, as a release names it: millicores, bytes, GPUs."""
    cpu = parsed("--cpu", asked.cpu, Cpu.parse).milli if asked.cpu else (project.resources.cpu.milli if project else 1000)
    gpu = _gpus(asked, project)
    return {"cpu": cpu, "memory": memory_of(asked, project), **({"gpu": gpu} if gpu else {})}


def memory_of(asked: Asked, project: Project | None) -> int:
    """Bytes of one replica."""
    if asked.memory:
        return parsed("--memory", asked.memory, Memory.parse).bytes
    return project.resources.memory.bytes if project else 2 * GIB


def _gpus(asked: Asked, project: Project | None) -> int:
    if asked.gpu:
        return count_said("--gpu", asked.gpu, "GPUs", "write 1, or a type such as l4") if asked.gpu.isdecimal() else 1
    return project.resources.gpu.count if project is not None and project.resources.gpu is not None else 0


def gpu_type(asked: Asked, project: Project | None) -> str:
    """`l4`; `` where any would do."""
    if asked.gpu:
        return "" if asked.gpu.isdecimal() else asked.gpu.lower()
    gpu = project.resources.gpu if project is not None else None
    return (gpu.type or "").lower() if gpu is not None else ""


def speeds_from(asked: Asked, project: Project | None) -> Mapping[str, float]:
    """Measured speeds, by type of machine, family or service; the command line's go before the file's."""
    said = dict(project.cost.speeds) if project is not None else {}
    for word in filter(None, asked.speed.split(",")):
        name, equals, number = word.rpartition("=")
        try:
            speed = float(number)
        except ValueError:
            speed = math.nan
        if not 0 < speed <= 1000:
            raise refused("--speed", f"{clipped(word)} is no speed", "write 0.7, or m7i=0.7")
        said[name.strip() if equals else ANY] = speed
    return said
