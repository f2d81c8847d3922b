"""What is to be served, as the command line says it, else mlship.yaml, else as it was measured."""

from __future__ import annotations

from mlship.config.project import Project
from mlship.config.words import clipped
from mlship.cost.workload import ServiceTime, Workload
from mlship.flows.costing.amounts import amount_said, count_said, refused, says, seconds_said, share_said
from mlship.flows.costing.asked import Asked
from mlship.flows.costing.measured import Measured
from mlship.flows.costing.sizes import GIB, memory_of
from mlship.flows.costing.traffic import hours_of, traffic_of


def workload_from(asked: Asked, project: Project | None, measured: Measured) -> Workload:
    """measured: what is known of the project's image. Raises MlshipError for words that mean nothing."""
    hours = hours_of(asked)
    return Workload(
        traffic=traffic_of(asked, project, hours),
        service_time=_service_time(asked, project) or measured.service_time,
        p99_s=_promise(asked, project),
        replicas=_replicas(asked, project),
        headroom=share_said("--headroom", asked.headroom, below=0.95),
        down_after_s=_down_after(asked, project),
        concurrency=_concurrency(asked, project),
        memory_gib=_memory_wanted(asked, project) or measured.memory_gib,
        egress_gb=amount_said("--egress-gb", asked.egress_gb),
        logs_gb=amount_said("--logs-gb", asked.logs_gb),
        rps_per_replica=_rps_per_replica(asked, project),
        hours=hours,
    )


def _memory_wanted(asked: Asked, project: Project | None) -> float:
    """GiB that somebody says a replica needs; 0 where nobody does."""
    return memory_of(asked, project) / GIB if asked.memory or says(project, "resources.memory") else 0.0


def _service_time(asked: Asked, project: Project | None) -> ServiceTime | None:
    if asked.service_time:
        return ServiceTime(seconds_said("--service-time", asked.service_time), source="--service-time", is_said=True)
    if project is not None and project.cost.service_time is not None:
        return ServiceTime(
            project.cost.service_time.seconds, source=project.at("cost.service_time").split(" ")[0], is_said=True
        )
    return None


def _promise(asked: Asked, project: Project | None) -> float | None:
    if asked.slo_p99:
        return seconds_said("--slo", asked.slo_p99)
    return project.slo.p99.seconds if project is not None and project.slo.p99 is not None else None


def _replicas(asked: Asked, project: Project | None) -> tuple[int, int | None]:
    """As many as it takes, where nobody says how many."""
    if asked.replicas:
        return _range(asked.replicas)
    least, most = _range_said(project)
    if asked.max_replicas is not None and (most is None or not asked.optimise):
        most = max(asked.max_replicas, 1)
    return (least if most is None else min(least, most)), most


def _range(said: str) -> tuple[int, int]:
    low, dots, high = said.partition("..")
    least, most = count_said("--replicas", low), count_said("--replicas", high if dots else low)
    if most < least or most == 0:
        raise refused("--replicas", f"{clipped(said)} is no range", "write 3, or 2..10")
    return least, most


def _range_said(project: Project | None) -> tuple[int, int | None]:
    if project is None or not says(project, "scale.replicas"):
        return 1, None
    return project.scale.replicas.min, project.scale.replicas.max


def says_replicas(project: Project | None) -> bool:
    return says(project, "scale.replicas")


def _down_after(asked: Asked, project: Project | None) -> float:
    """What a file's autoscaler waits before it stops a replica, where it says so; nothing where replicas are the command line's."""
    if project is None or asked.replicas or not says(project, "scale.down_after"):
        return 0.0
    scale = project.scale
    return scale.down_after.seconds if scale.replicas.max > scale.replicas.min else 0.0


def _concurrency(asked: Asked, project: Project | None) -> float:
    if asked.concurrency is not None:
        if not 1 <= asked.concurrency <= 10_000:
            raise refused("--concurrency", f"{asked.concurrency:g} is no number of requests at a time", "write 1 to 10000")
        return asked.concurrency
    scale = project.scale if project is not None else None
    return max(scale.per_replica or 1.0, 1.0) if scale is not None and scale.metric == "concurrency" else 1.0


def _rps_per_replica(asked: Asked, project: Project | None) -> float | None:
    """What the file's autoscaler starts replicas by, where that is a rate."""
    if project is None or asked.replicas or project.scale.metric != "rps":
        return None
    return project.scale.per_replica
