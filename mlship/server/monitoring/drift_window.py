"""Rows of late, by bin, in memory that all processes share: a window that decays with the rows of all workers together.

Each worker writes its own cells, without locks. A worker's counts halve with every HALF_LIFE rows that the workers have counted
together: what one worker saw fades while another has the callers, and the sum is what a single process would have counted.
"""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mlship.server.drift_index import HALF_LIFE, bin_names
from mlship.server.manifest import Histogram, Manifest, Reference

# cells of a model: rows that this worker has counted, rows of all workers at its last count, rows in the window; then the bins
SEEN, AT, ROWS = range(3)
FIRST_BIN = 3


@dataclass(frozen=True)
class Reading:
    """rows: in the window, not whole ones. counts: of each histogram, in the order of `histograms`."""

    rows: float
    counts: tuple[tuple[float, ...], ...]


def histograms(reference: Reference) -> tuple[Histogram, ...]:
    """Of the features, then of the predictions where there is one."""
    return (*reference.features.values(), *((reference.predictions,) if reference.predictions else ()))


class Windows:
    """Of the models that have a reference: made by the supervisor before it forks."""

    def __init__(self, manifest: Manifest, workers: int) -> None:
        self._workers = workers
        self._sizes = [_sizes(model.reference) for model in manifest.models]
        widths = [FIRST_BIN + sum(sizes) if sizes else 0 for sizes in self._sizes]
        self._starts = [workers * sum(widths[:place]) for place in range(len(widths))]
        self._widths = widths
        self._cells = memoryview(mmap.mmap(-1, 8 * max(1, workers * sum(widths)))).cast("d")

    def cells(self, model: int, worker: int) -> memoryview[float]:
        """One worker's, for one model."""
        width = self._widths[model]
        start = self._starts[model] + worker * width
        return self._cells[start : start + width]

    def seen(self, model: int) -> float:
        """Rows that all workers have counted."""
        return sum(self.cells(model, worker)[SEEN] for worker in range(self._workers))

    def reading(self, model: int) -> Reading:
        """The sum over the workers, each faded by what the others have counted since."""
        seen = self.seen(model)
        every = [list(self.cells(model, worker)) for worker in range(self._workers)]
        shares = [left(seen - cells[AT]) for cells in every]
        added = [sum(share * cell for share, cell in zip(shares, column, strict=True)) for column in zip(*every, strict=True)]
        return Reading(added[ROWS], tuple(_parted(added[FIRST_BIN:], self._sizes[model])))

    def add(self, model: int, worker: int, rows: int, counts: Sequence[Any]) -> None:
        """Counts of one worker. counts: as in Reading, numpy arrays."""
        import numpy

        cells = numpy.frombuffer(self.cells(model, worker))
        seen = self.seen(model) + rows
        faded = left(seen - cells[AT])
        cells[ROWS] = cells[ROWS] * faded + rows
        cells[FIRST_BIN:] = cells[FIRST_BIN:] * faded + numpy.concatenate(counts)
        cells[SEEN] += rows
        cells[AT] = seen


def left(rows: float) -> float:
    """The share of a count that is left so many rows later; another worker may be a count ahead, which is no row before."""
    return float(0.5 ** (max(0.0, rows) / HALF_LIFE))


def _sizes(reference: Reference | None) -> list[int]:
    return [len(bin_names(histogram)) for histogram in histograms(reference)] if reference else []


def _parted(cells: Sequence[float], sizes: Sequence[int]) -> list[tuple[float, ...]]:
    ends = [sum(sizes[: place + 1]) for place in range(len(sizes))]
    return [tuple(cells[end - size : end]) for end, size in zip(ends, sizes, strict=True)]
