"""What comes when, as the command line says it, else mlship.yaml."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from mlship.config.project import Project
from mlship.config.schema import Traffic as TrafficSaid
from mlship.cost.traffic import diurnal, flat, from_csv
from mlship.cost.workload import HOURS_PER_MONTH, Traffic
from mlship.errors import MlshipError
from mlship.flows.costing.amounts import amount_said, refused
from mlship.flows.costing.asked import Asked
from mlship.flows.costing.files import text_of


def hours_of(asked: Asked) -> float:
    if asked.hours is None:
        return HOURS_PER_MONTH
    if not 0 < asked.hours <= 366 * 24:
        raise refused("--hours", f"{asked.hours:g} is no month's hours", "write 730, or what is served of it")
    return asked.hours


def traffic_of(asked: Asked, project: Project | None, hours: float) -> Traffic | None:
    """The command line's, else the file's; None where neither says any."""
    said = [name for name, value in (("--rps", asked.rps), ("--profile", asked.profile), ("--requests-month", asked.requests_month))
            if value is not None]  # fmt: skip
    if len(said) > 1:
        raise refused(said[1], f"{' and '.join(said)} both say what comes", "keep one of them")
    if asked.requests_month is not None:
        count = amount_said("--requests-month", asked.requests_month)
        return replace(flat(count / (hours * 3600), hours), source="--requests-month") if count else None
    if asked.profile is not None:
        return replace(_from_file(asked.profile, asked.profile.name, hours), source=asked.profile.name)
    if asked.rps is not None:
        with _said_at("--rps"):
            return _hill(asked.rps, asked.peak, asked.peak_hour, asked.weekend, hours, "--rps")
    if asked.peak is not None:
        raise refused("--peak", "a peak alone does not say how much comes", "say --rps, the mean, too")
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
        return amount_said("", said.requests_month) / (hours * 3600)
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
