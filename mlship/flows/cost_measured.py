"""How long one request takes, as bench or the build measured it for the project's newest image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlship.bench.records import Benches
from mlship.config.project import Project
from mlship.cost.workload import ServiceTime
from mlship.errors import MlshipError
from mlship.flows.context import Context

if TYPE_CHECKING:
    from mlship.image.record import BuildRecord


def measured_time(context: Context, project: Project | None) -> ServiceTime | None:
    """None where nothing was built or measured on this machine."""
    record = newest_record(context, project)
    if record is None:
        return None
    bench = Benches(context.home.images).of_content(record.content)
    if bench is not None:
        rows = f", {bench.rows} rows a request" if bench.rows > 1 else ""
        return ServiceTime(bench.mean_s, bench.service_time_sample, f"bench on {bench.machine.model}{rows}")
    return _of_build(record)


def newest_record(context: Context, project: Project | None) -> BuildRecord | None:
    """Of the image that was built last for this project; None where there is none."""
    if project is None or not context.home.images.is_dir():
        return None
    # here and not above: where nothing was built they are not needed
    from mlship.image.record import BuildRecords
    from mlship.oci.layout import Layout

    try:
        found = Layout(context.home.images).find(project.name)
    except MlshipError:
        return None
    return BuildRecords(context.home.images).of_content(found.content)


def _of_build(record: BuildRecord) -> ServiceTime | None:
    """The first model's time for one row: without the server around it, which takes fractions of a millisecond more."""
    seconds = record.models[0].row_s if record.models else 0.0
    return ServiceTime(seconds, source="build, the model alone") if seconds > 0 else None
