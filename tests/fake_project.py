"""A project on the target in memory, and images without layers with the records that builds would have left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlship.flows.context import Context
from mlship.home import Home
from mlship.image.record import BuildRecord, BuildRecords, RecordedModel
from mlship.oci.layout import Layout
from mlship.progress import Silent
from mlship.runner import LocalRunner
from mlship.targets import fake

YAML = """name: churn
model: model.joblib
target: fake
env: {LOG_LEVEL: info}
labels: {team: growth}
"""


@contextmanager
def empty_world() -> Iterator[None]:
    """Where nothing is deployed and nothing fails; empty again afterwards."""
    _clear()
    try:
        yield
    finally:
        _clear()


def _clear() -> None:
    fake.WORLD.services.clear()
    fake.WORLD.faults.clear()
    fake.WORLD.done.clear()


def made_context(folder: Path, text: str = YAML) -> Context:
    """In a folder with this mlship.yaml."""
    (folder / "mlship.yaml").write_text(text)
    (folder / "model.joblib").write_bytes(b"not read here")
    clock = 1_760_000_000.0
    return Context(Home(folder / "home"), LocalRunner(), Silent(), {}, folder, lambda: clock, "anna@test pid 1")


def built(context: Context, version: int) -> str:
    """The content id of an image of churn."""
    labels = {"mlship.project": "churn", "version": str(version)}
    image = Layout(context.home.images).write_image([], {"Labels": labels}, "linux/amd64")
    model = RecordedModel(
        *("churn", "sklearn", "Pipeline", "model.joblib", 13, f"{version:064x}"),
        sample=({"age": 0}, {"age": 1}),
        answers={"predictions": [version] * 2},
        tolerance={"rtol": 1e-6, "atol": 1e-9},
    )
    record = BuildRecord(f"inputs-{version}", image.content, "churn", "linux/amd64", 0.0, "0.1.0", (model,))
    BuildRecords(context.home.images).write(record)
    return image.content
