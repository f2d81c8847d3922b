"""The families of /metrics that tell drift. Every label has the values of the manifest: no caller can make a new series."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mlship.server.board import Board
from mlship.server.drift_index import LEAST_ROWS, bin_names, psi
from mlship.server.manifest import Manifest, Reference
from mlship.server.monitoring.drift_window import Reading, histograms

BINS = "bins"  # /metrics?bins adds the counts themselves: `mlship drift` adds up the copies of a release with them


def families(manifest: Manifest, board: Board, with_bins: bool) -> Iterator[Any]:
    """None where no model has a reference."""
    from prometheus_client.core import GaugeMetricFamily

    windows = board.windows
    if windows is None:
        return
    rows = GaugeMetricFamily("mlship_drift_rows", "Rows in the window that drift is told of.", labels=("model",))
    indices = GaugeMetricFamily(
        "mlship_drift_psi",
        f"Population stability index of a feature, or of the predictions, against model.reference; absent below {LEAST_ROWS} rows.",
        labels=("model", "of", "feature"),
    )
    bins = GaugeMetricFamily("mlship_drift_bin", "Rows by bin.", labels=("model", "of", "feature", "side", "bin"))
    for place, model in enumerate(manifest.models):
        if model.reference is None:
            continue
        reading = windows.reading(place)
        rows.add_metric((model.name,), reading.rows)
        for of, name, index in _told(model.reference, reading) if reading.rows >= LEAST_ROWS else ():
            indices.add_metric((model.name, of, name), index)
        for of, name, side, bin_name, count in _counts(model.reference, reading) if with_bins else ():
            bins.add_metric((model.name, of, name, side, bin_name), count)
    yield rows
    yield indices
    if with_bins:
        yield bins


def _told(reference: Reference, reading: Reading) -> Iterator[tuple[str, str, float]]:
    names = _names(reference)
    for (of, name), histogram, counts in zip(names, histograms(reference), reading.counts, strict=True):
        yield of, name, psi(bin_names(histogram), histogram.counts, counts)


def _counts(reference: Reference, reading: Reading) -> Iterator[tuple[str, str, str, str, float]]:
    for (of, name), histogram, counts in zip(_names(reference), histograms(reference), reading.counts, strict=True):
        for bin_name, was, now in zip(bin_names(histogram), histogram.counts, counts, strict=True):
            yield of, name, "reference", bin_name, was
            yield of, name, "live", bin_name, now


def _names(reference: Reference) -> list[tuple[str, str]]:
    """As `histograms` has them: what each is of, and its name."""
    return [*(("feature", name) for name in reference.features), *([("prediction", "")] if reference.predictions else [])]
