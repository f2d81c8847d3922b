"""What an estimate is asked for: the command line's words over those of mlship.yaml, or instead of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeVar

from mlship.config.project import Project
from mlship.config.schema import Traffic as TrafficSaid
from mlship.config.words import clipped, nearest
from mlship.cost.candidate import PURCHASES, Purchase, PurchaseName
from mlship.cost.speeds import ANY
from mlship.cost.traffic import diurnal, flat, from_csv
from mlship.cost.workload import HOURS_PER_MONTH, ServiceTime, Traffic, Workload
from mlship.errors import MlshipError
from mlship.flows.costing.measured import Measured
from mlship.units import Cpu, Duration, Memory

Amount = TypeVar("Amount")

GIB = 2**30
LARGEST_TEXT = 4 * 2**20  # bytes of a table of hours or of prices: 8,760 lines have a few hundred thousand


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
    limit: int = 10
    overrides: Path | None = None
    max_monthly: str = ""
    strict: bool = False
    compare: bool = False


# -- the workload ---------------------------------------------------------------------------------------------------------


def workload_from(asked: Asked, project: Project | None, measured: Measured) -> Workload:
    """measured: what is known of the project's image. Raises MlshipError for words that mean nothing."""
    hours = _hours(asked)
    return Workload(
        traffic=_traffic(asked, project, hours),
        service_time=_service_time(asked, project) or measured.service_time,
        p99_s=_promise(asked, project),
        replicas=_replicas(asked, project),
        headroom=_share("--headroom", asked.headroom, below=0.95),
        down_after_s=_down_after(asked, project),
        concurrency=_concurrency(asked, project),
        memory_gib=_memory_wanted(asked, project) or measured.memory_gib,
        egress_gb=_amount("--egress-gb", asked.egress_gb),
        logs_gb=_amount("--logs-gb", asked.logs_gb),
        rps_per_replica=_rps_per_replica(asked, project),
        hours=hours,
    )


def _memory_wanted(asked: Asked, project: Project | None) -> float:
    """GiB that somebody says a replica needs; 0 where nobody does."""
    return memory_of(asked, project) / GIB if asked.memory or _says(project, "resources.memory") else 0.0


def _hours(asked: Asked) -> float:
    if asked.hours is None:
        return HOURS_PER_MONTH
    if not 0 < asked.hours <= 366 * 24:
        raise _refused("--hours", f"{asked.hours:g} is no month's hours", "write 730, or what is served of it")
    return asked.hours


def _traffic(asked: Asked, project: Project | None, hours: float) -> Traffic | None:
    """The command line's, else the file's; None where neither says any."""
    said = [name for name, value in (("--rps", asked.rps), ("--profile", asked.profile), ("--requests-month", asked.requests_month))
            if value is not None]  # fmt: skip
    if len(said) > 1:
        raise _refused(said[1], f"{' and '.join(said)} both say what comes", "keep one of them")
    if asked.requests_month is not None:
        count = _amount("--requests-month", asked.requests_month)
        return replace(flat(count / (hours * 3600), hours), source="--requests-month") if count else None
    if asked.profile is not None:
        return replace(_from_file(asked.profile, asked.profile.name, hours), source=asked.profile.name)
    if asked.rps is not None:
        with _said_at("--rps"):
            return _hill(asked.rps, asked.peak, asked.peak_hour, asked.weekend, hours, "--rps")
    if asked.peak is not None:
        raise _refused("--peak", "a peak alone does not say how much comes", "say --rps, the mean, too")
    return _traffic_said(project, hours)


def _hill(
    rps: float, peak: float | None, peak_hour: int | None, weekend: float | None, hours: float, source: str
) -> Traffic | None:
    if rps == 0:
        return None
    if peak is None and weekend is None:
        return replace(flat(rps, hours), source=source)
    at = 14 if peak_hour is None else peak_hour
    return replace(
        diurnal(rps, peak=peak, peak_hour=at, weekend=1.0 if weekend is None else weekend, hours=hours), source=source
    )


def _traffic_said(project: Project | None, hours: float) -> Traffic | None:
    said = project.cost.traffic if project else None
    if project is None or said is None:
        return None
    where = project.at("cost.traffic")
    profile = said if isinstance(said, str) else said.profile
    source = where.split(" ")[0]
    if profile:
        return replace(_from_file(project.root / profile, profile, hours), source=source)
    assert isinstance(said, TrafficSaid)
    with _said_at(where):
        return _hill(_mean(said, hours), said.peak, said.peak_hour, None if said.weekend == 1 else said.weekend, hours, source)


def _mean(said: TrafficSaid, hours: float) -> float:
    """Requests a second. Raises MlshipError where none is said, or two."""
    if said.rps is not None and said.requests_month is not None:
        raise MlshipError("rps and requests_month both say what comes", fix="keep one of them", code="bad-traffic")
    if said.requests_month is not None:
        return _amount("", said.requests_month) / (hours * 3600)
    if said.rps is None:
        raise MlshipError("the mean is missing", fix="write rps: 20, and peak: 80 beside it", code="bad-traffic")
    return said.rps


@contextmanager
def _said_at(where: str) -> Iterator[None]:
    """Numbers that cannot be meant are told with the place that says them."""
    try:
        yield
    except MlshipError as error:
        raise MlshipError(error.what, where, error.fix, code=error.code) from None


def _from_file(path: Path, shown: str, hours: float) -> Traffic:
    return from_csv(text_of(path, shown, "a CSV file with 24, 168 or 8760 lines"), shown, hours)


def text_of(path: Path, shown: str, wanted: str) -> str:
    """A file's text. Raises MlshipError for what is no file, no text, or too much of it. wanted: what it should be, for people."""
    try:
        if path.exists() and not path.is_file():
            raise MlshipError(f"{shown} is no file", shown, f"name {wanted}", code="bad-file")
        with path.open("rb") as file:
            content = file.read(LARGEST_TEXT + 1)
        if len(content) > LARGEST_TEXT:
            raise MlshipError(f"{shown} has more than {LARGEST_TEXT >> 20} MiB", shown, f"name {wanted}", code="bad-file")
        return content.decode("utf-8")
    except OSError as error:
        raise MlshipError(f"{shown} cannot be read ({error.strerror})", shown, f"name {wanted}", code="bad-file") from None
    except UnicodeDecodeError:
        raise MlshipError(f"{shown} is no text", shown, "save it as UTF-8", code="bad-file") from None


def _service_time(asked: Asked, project: Project | None) -> ServiceTime | None:
    if asked.service_time:
        return ServiceTime(_seconds("--service-time", asked.service_time), source="--service-time", is_said=True)
    if project is not None and project.cost.service_time is not None:
        return ServiceTime(
            project.cost.service_time.seconds, source=project.at("cost.service_time").split(" ")[0], is_said=True
        )
    return None


def _promise(asked: Asked, project: Project | None) -> float | None:
    if asked.slo_p99:
        return _seconds("--slo", asked.slo_p99)
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
    least, most = _count("--replicas", low), _count("--replicas", high if dots else low)
    if most < least or most == 0:
        raise _refused("--replicas", f"{clipped(said)} is no range", "write 3, or 2..10")
    return least, most


def _range_said(project: Project | None) -> tuple[int, int | None]:
    if project is None or not _says(project, "scale.replicas"):
        return 1, None
    return project.scale.replicas.min, project.scale.replicas.max


def says_replicas(project: Project | None) -> bool:
    return _says(project, "scale.replicas")


def _down_after(asked: Asked, project: Project | None) -> float:
    """What a file's autoscaler waits before it stops a replica, where it says so; nothing where replicas are the command line's."""
    if project is None or asked.replicas or not _says(project, "scale.down_after"):
        return 0.0
    scale = project.scale
    return scale.down_after.seconds if scale.replicas.max > scale.replicas.min else 0.0


def _concurrency(asked: Asked, project: Project | None) -> float:
    if asked.concurrency is not None:
        if not 1 <= asked.concurrency <= 10_000:
            raise _refused("--concurrency", f"{asked.concurrency:g} is no number of requests at a time", "write 1 to 10000")
        return asked.concurrency
    scale = project.scale if project is not None else None
    return max(scale.per_replica or 1.0, 1.0) if scale is not None and scale.metric == "concurrency" else 1.0


def _rps_per_replica(asked: Asked, project: Project | None) -> float | None:
    """What the file's autoscaler starts replicas by, where that is a rate."""
    if project is None or asked.replicas or project.scale.metric != "rps":
        return None
    return project.scale.per_replica


# -- sizes and purchases --------------------------------------------------------------------------------------------------


def resources_from(asked: Asked, project: Project | None) -> Mapping[str, int]:
    """What a replica gets, as a release names it: millicores, bytes, GPUs."""
    cpu = _parsed("--cpu", asked.cpu, Cpu.parse).milli if asked.cpu else (project.resources.cpu.milli if project else 1000)
    gpu = _gpus(asked, project)
    return {"cpu": cpu, "memory": memory_of(asked, project), **({"gpu": gpu} if gpu else {})}


def memory_of(asked: Asked, project: Project | None) -> int:
    """Bytes of one replica."""
    if asked.memory:
        return _parsed("--memory", asked.memory, Memory.parse).bytes
    return project.resources.memory.bytes if project else 2 * GIB


def _gpus(asked: Asked, project: Project | None) -> int:
    if asked.gpu:
        return _count("--gpu", asked.gpu, "GPUs", "write 1, or a type such as l4") if asked.gpu.isdecimal() else 1
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
            raise _refused("--speed", f"{clipped(word)} is no speed", "write 0.7, or m7i=0.7")
        said[name.strip() if equals else ANY] = speed
    return said


def purchase_from(asked: Asked, project: Project | None, possible: tuple[PurchaseName, ...], service: str) -> Purchase:
    """possible: how the service can be bought. Raises MlshipError for another way."""
    name, where = _purchase_name(asked, project, possible)
    if name not in possible:
        known = f"{service} is bought {', '.join(possible)}"
        near = nearest(name, PURCHASES)
        what = (
            f"{clipped(name)} is not possible with {service}" if name in PURCHASES else f"there is no purchase {clipped(name)}"
        )
        fix = f"did you mean {near}?" if near and name not in PURCHASES else f"{known}; or another --service"
        if service == "gcp cloud-run" and name in ("on-demand", "fixed"):
            fix = "say --billing instance: its replicas are then bought by the hour"
        raise MlshipError(what, where, fix, code="bad-purchase")
    commitment = project.cost.commitment if project is not None else None
    base = asked.base
    if base is None and project is not None and name.startswith("on-demand+"):
        base = project.cost.on_demand_base
    if base is not None and not 0 <= base <= 100_000:
        raise _refused("--base", f"{base} is no number of replicas", "write 0 or more")
    return Purchase(
        possible[possible.index(name)] if name in possible else possible[0],
        base=base,
        on_demand_share=_share("--on-demand-share", asked.on_demand_share),
        term=_term(asked.term) or (commitment.term if commitment else "1y"),
        upfront=commitment.upfront if commitment else "none",
    )


_PROFILES: Mapping[str, PurchaseName] = {"spot": "on-demand+spot", "reserved": "reserved+on-demand"}


def _purchase_name(asked: Asked, project: Project | None, possible: tuple[PurchaseName, ...]) -> tuple[str, str]:
    """The way to buy, and who says so."""
    if asked.purchase:
        return asked.purchase, "--purchase"
    profile = project.cost.profile if project is not None else "on-demand"
    if project is not None and profile in _PROFILES:
        return _PROFILES[profile], project.at("cost.profile")
    return possible[0], ""


def _term(said: str) -> Literal["1y", "3y"] | None:
    if said not in ("", "1y", "3y"):
        raise _refused("--term", f"{clipped(said)} is no term", "write 1y or 3y")
    return "1y" if said == "1y" else "3y" if said == "3y" else None


# -- words ----------------------------------------------------------------------------------------------------------------


def _says(project: Project | None, key: str) -> bool:
    """Whether the file has the key, or something below it."""
    return project is not None and any(said == key or said.startswith(f"{key}.") for said in project.positions)


def _seconds(option: str, said: str) -> float:
    seconds = _parsed(option, said, Duration.parse).seconds
    if not 1e-6 <= seconds <= 3600:
        raise _refused(option, f"{said} is no time that a request takes", "write for example 50ms")
    return seconds


def _parsed(option: str, said: str, parse: Callable[[str], Amount]) -> Amount:
    try:
        return parse(said)
    except ValueError as error:
        what, _, fix = str(error).partition("; ")
        raise _refused(option, what, fix) from None


def _count(option: str, said: str, what: str = "replicas", fix: str = "write 3, or 2..10") -> int:
    digits = said.strip()
    if not digits.isdecimal() or len(digits) > 6 or int(digits) > 100_000:
        raise _refused(option, f"{clipped(said)} is no number of {what}", fix)
    return int(digits)


def _share(option: str, said: float | None, below: float = 1.0) -> float:
    if said is None:
        return 0.0
    if not 0 <= said <= below:
        raise _refused(option, f"{said:g} is no share", f"write a number from 0 to {below:g}, such as 0.2 or 20%")
    return said


def _amount(option: str, said: float) -> float:
    if not math.isfinite(said) or not 0 <= said <= 1e15:
        raise _refused(option, f"{said:g} is no amount", "write a number from 0 on")
    return said


def _refused(option: str, what: str, fix: str) -> MlshipError:
    return MlshipError(what, option, fix, code="usage")
