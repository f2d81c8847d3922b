"""Live rows and answers of one model in one worker: noted as they pass, counted at the next tick, when their answers are written.

The hot path pays for one call that appends to a list. Of a tick's rows at most ROWS_A_TICK are counted, so that the rest costs the
same however many requests there are; PSI is about shares, and 2,000 rows a second tell them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy

from mlship.server.input.validate import Table
from mlship.server.manifest import Model
from mlship.server.monitoring import log
from mlship.server.monitoring.drift_bins import bins_of, scored, strung
from mlship.server.monitoring.drift_window import Windows

ROWS_A_TICK = 500  # a tick is a quarter of a second (life/worker.py)

Seen = tuple[Sequence[Table], Mapping[str, Sequence[Any]]]


class Watch:
    """Of a model with a reference. Noting is safe in any thread; counting is the loop's. room: rows that this tick may still count."""

    def __init__(self, entry: Model, windows: Windows, model: int, worker: int) -> None:
        """model: its place in the manifest. worker: this one's."""
        assert entry.reference is not None, "only a model with a reference is watched"
        names = [feature.name for feature in entry.signature.inputs]
        self._places = [names.index(name) for name in entry.reference.features]
        self._bins = [bins_of(histogram) for histogram in entry.reference.features.values()]
        self._predictions = bins_of(entry.reference.predictions) if entry.reference.predictions else None
        self._name, self._windows, self._model, self._worker = entry.name, windows, model, worker
        self._seen: list[Seen] = []
        self.room = ROWS_A_TICK

    def note(self, tables: Sequence[Table], answer: Mapping[str, Sequence[Any]], count: int) -> None:
        """One call of the model. count: its rows."""
        if self.room > 0:
            self.room -= count
            self._seen.append((tables, answer))

    def count(self) -> None:
        """What was noted since the last time. Nothing that a model answers may end the loop's tick."""
        if not self._seen:
            return
        seen, self._seen, self.room = self._seen, [], ROWS_A_TICK
        try:
            self._count(seen)
        except Exception as error:
            log.failure("drift_not_counted", error, model=self._name)

    def _count(self, seen: Sequence[Seen]) -> None:
        steps = [-(-sum(table.count for table in tables) // ROWS_A_TICK) for tables, _ in seen]
        parts = [(table, step) for (tables, _), step in zip(seen, steps, strict=True) for table in tables]
        rows = sum(len(range(0, table.count, step)) for table, step in parts)
        counts = []
        matrices, columns = _gathered(parts, self._places)
        for place, pieces, bins in zip(self._places, columns, self._bins, strict=True):
            counts.append(bins.counts(strung([*(matrix[:, place] for matrix in matrices), *pieces])))
        if self._predictions is not None:
            answers = [(scored(answer) or ())[::step] for (_, answer), step in zip(seen, steps, strict=True)]
            counts.append(self._predictions.counts(strung(answers)))
        self._windows.add(self._model, self._worker, rows, counts)


def _gathered(parts: Sequence[tuple[Table, int]], places: Sequence[int]) -> tuple[list[Any], list[list[Any]]]:
    """Matrices of float64, (rows, features), as few as there may be, and beside them pieces of each wanted column."""
    packed: list[bytes] = []
    numbers: list[Sequence[float]] = []
    matrices: list[Any] = []
    columns: list[list[Any]] = [[] for _ in places]
    for table, step in parts:
        if table.packed is not None:
            packed += _rows_of(table.packed, table.count, step)
        elif table.array is not None:
            matrices.append(table.array[::step])
        elif table.numbers is not None:
            numbers += table.numbers[::step]
        elif table.columns:
            for at, place in enumerate(places):
                columns[at].append(table.columns[place][::step])
    width = len(packed[0]) // 8 if packed else 0
    if packed:
        matrices.append(numpy.frombuffer(b"".join(packed)).reshape(-1, width))
    if numbers:
        matrices.append(numpy.array(numbers, dtype="float64"))
    return matrices, [[strung(pieces)] if pieces else [] for pieces in columns]


def _rows_of(packed: bytes, count: int, step: int) -> Iterator[bytes]:
    """Every step-th row."""
    size = len(packed) // count
    return (packed[at * size : (at + 1) * size] for at in range(0, count, step))
