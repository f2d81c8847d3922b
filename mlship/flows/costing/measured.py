"""What is known of the project's newest image: how long one request takes, what its models need, what it weighs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlship.bench.records import Benches
from mlship.config.project import Project
from mlship.cost.workload import ServiceTime
from mlship.errors import MlshipError
from mlship.flows.context import Context

if TYPE_CHECKING:
    from mlship.image.record import BuildRecord

GIB = 2**30


@dataclass(frozen=True)
class Measured:
    """service_time: of bench, else of the build; None where nobody measured it. memory_gib: that loading the largest model took,
    0 unknown. image_gb: compressed, as a registry keeps it, 0 where nothing was built here.
    """

    service_time: ServiceTime | None = None
    memory_gib: float = 0.0
    image_gb: float = 0.0


def measured_image(context: Context, project: Project | None) -> Measured:
    if project is None or not context.home.images.is_dir():
        return Measured()
    # here and not above: where nothing was built they are not needed
    from mlship.image.record import BuildRecords
    from mlship.oci.layout import Layout

    try:
        image = Layout(context.home.images).find(project.name)
    except MlshipError:
        return Measured()
    record = BuildRecords(context.home.images).of_content(image.content)
    if record is None:
        return Measured()
    memory = max((model.peak_memory for model in record.models), default=0)
    return Measured(_service_time(context, record), memory / GIB, sum(layer.blob.size for layer in image.layers) / 1e9)


def _service_time(context: Context, record: BuildRecord) -> ServiceTime | None:
    bench = Benches(context.home.images).of_content(record.content)
    if bench is not None:
        rows = f", {bench.rows} rows a request" if bench.rows > 1 else ""
        return ServiceTime(
            bench.mean_s,
            bench.service_time_sample,
            f"bench on {bench.machine.model}{rows}",
            rested=bench.rested_sample,
            rested_mean_s=bench.rested_mean_s,
        )
    # without the server around it, which takes fractions of a millisecond more
    seconds = record.models[0].row_s if record.models else 0.0
    return ServiceTime(seconds, source="build, the model alone") if seconds > 0 else None
