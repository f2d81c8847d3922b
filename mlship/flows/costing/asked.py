"""What an estimate is asked for on the command line: workload, sizes and purchases take it over mlship.yaml, or instead of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Asked:
    """The options of the command line; None and `` were not said.

    replicas: `3` or `2..10`. service_time, slo_p99: `50ms`. cpu: `0.5`, memory: `2GiB`. gpu: `l4` or a number. profile, overrides:
    paths. speed: `0.7`, or `m7i=0.7,ecs=0.8`. cloud: of a Kubernetes node, or of the search. compare: the other services of the
    clouds beside the file's own.
    """

    target: str = ""
    service: str = ""
    region: str = ""
    instance: str = ""
    arch: str = ""
    cloud: str = ""
    replicas: str = ""
    rps: float | None = None
    peak: float | None = None
    peak_hour: int | None = None
    weekend: float | None = None
    profile: Path | None = None
    requests_month: float | None = None
    hours: float | None = None
    service_time: str = ""
    slo_p99: str = ""
    purchase: str = ""
    term: str = ""
    base: int | None = None
    on_demand_share: float | None = None
    cpu: str = ""
    memory: str = ""
    gpu: str = ""
    speed: str = ""
    headroom: float | None = None
    concurrency: float | None = None
    billing: str = ""
    egress_gb: float = 0.0
    logs_gb: float = 0.0
    free_tier: bool = False
    max_replicas: int | None = None
    optimise: bool = False
    burstable: bool = False
    deployable: bool = False
    max_spot_age: int | None = None
    limit: int = 10
    overrides: Path | None = None
    max_monthly: str = ""
    strict: bool = False
    compare: bool = False
