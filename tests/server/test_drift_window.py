"""What several workers count is what one process would have counted; and all of it reaches /metrics."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sklearn.datasets import load_breast_cancer

from mlship.server.board import READY, STARTED, STATE, Board
from mlship.server.core import ServedModel
from mlship.server.drift_index import HALF_LIFE, LEAST_ROWS, bin_names, psi
from mlship.server.input.validate import Table
from mlship.server.manifest import Feature, Manifest, Model, Output, Reference, Signature, from_json, to_json
from mlship.server.messages import Request, Response
from mlship.server.monitoring.drift_bins import bins_of, histogram_of
from mlship.server.monitoring.drift_watch import ROWS_A_TICK, Watch
from mlship.server.monitoring.drift_window import FIRST_BIN, Windows, histograms
from mlship.server.monitoring.metrics import routes
from mlship.server.service import Service
from mlship.server.settings import Settings
from mlship.targets.docker.measuring import together
from mlship.targets.scraped import counted

TUMOURS = load_breast_cancer().data[:, :2]
GUIDE = (Path(__file__).parents[2] / "docs/guide.md").read_text()


class Sum:
    """Answers with the sum of a row."""

    title = "Sum"

    def predict(self, rows: Any) -> dict[str, Any]:
        return {"predictions": np.asarray(rows, dtype="float64").sum(axis=1)}

    def signature(self, sample: tuple[Any, ...]) -> Signature:
        return SIGNATURE


SIGNATURE = Signature((Feature('mean "radius"'), Feature("texture", nullable=True)), (Output("predictions", "float64"),))
FEATURES = {
    feature.name: histogram for feature, column in zip(SIGNATURE.inputs, TUMOURS.T, strict=True)
    if (histogram := histogram_of(column.tolist()))
}  # fmt: skip
REFERENCE = Reference(len(TUMOURS), FEATURES, histogram_of(TUMOURS.sum(axis=1).tolist()))
ENTRY = Model("demo", "python", "none", "model", "ab", signature=SIGNATURE, reference=REFERENCE)
MANIFEST = Manifest("demo", (replace(ENTRY, name="bare", reference=None), ENTRY))


def watched(windows: Windows, worker: int) -> ServedModel:
    model = ServedModel(ENTRY, Sum(), 1)
    model.watch = Watch(ENTRY, windows, 1, worker)
    return model


def serve(model: ServedModel, rows: Any) -> None:
    model.run(model.prepare(rows))
    assert model.watch is not None
    model.watch.count()


def test_all_forms_of_rows_are_counted_alike() -> None:
    rows = TUMOURS[:300]
    texts = [
        [None if at == 1 and place % 9 == 0 else value for at, value in enumerate(row)]
        for place, row in enumerate(rows.tolist())
    ]
    forms = {
        "numbers": rows.tolist(),
        "packed": Table(300, packed=struct.pack("600d", *rows.ravel())),
        "array": Table(300, array=rows),
        "columns": Table(300, columns=list(map(list, zip(*rows.tolist(), strict=True)))),
    }
    readings = []
    for form in forms.values():
        windows = Windows(MANIFEST, 1)
        model = watched(windows, 0)
        batch = model.prepared(form) if isinstance(form, Table) else model.prepare(form)
        model.run(batch) if form is not forms["columns"] else model.run_joined([batch])
        assert model.watch is not None
        model.watch.count()
        readings.append(windows.reading(1))
    assert all(reading == readings[0] for reading in readings) and readings[0].rows == 300
    wanted = [bins_of(histogram).counts(column).tolist() for histogram, column in zip(FEATURES.values(), rows.T, strict=True)]
    assert [list(counts) for counts in readings[0].counts[:2]] == wanted
    windows = Windows(MANIFEST, 1)
    model = watched(windows, 0)
    model.watch.note([model.validator.exact_table(texts)], {"predictions": [1.0] * 300}, 300)  # type: ignore[union-attr]
    model.watch.count()  # type: ignore[union-attr]
    assert windows.reading(1).counts[1][-1] == 34, "nulls"


def test_rows_that_take_the_shortest_way_are_counted_too() -> None:
    windows = Windows(MANIFEST, 1)
    model = watched(windows, 0)
    for row in TUMOURS[:20]:
        model.run_packed(struct.pack("2d", *row), 1)
    assert model.watch is not None
    model.watch.count()
    reading = windows.reading(1)
    assert reading.rows == 20 and [sum(counts) for counts in reading.counts] == [20, 20, 20]


def test_workers_together_count_as_one_process() -> None:
    """Three workers, one of which is asked in the beginning alone, against one that has all rows."""
    many, one = Windows(MANIFEST, 3), Windows(MANIFEST, 1)
    workers, single = [watched(many, worker) for worker in range(3)], watched(one, 0)
    for turn in range(60):
        rows = (TUMOURS[:250] * (1 if turn < 20 else 1.5)).tolist()
        serve(workers[0 if turn < 20 else 1 + turn % 2], rows)
        serve(single, rows)
    together_, alone = many.reading(1), one.reading(1)
    assert together_.rows == pytest.approx(alone.rows) and alone.rows < 15_000
    for counts, others in zip(together_.counts, alone.counts, strict=True):
        assert counts == pytest.approx(others)
    faded = sum(250 * 0.5 ** (250 * back / HALF_LIFE) for back in range(60))
    assert alone.rows == pytest.approx(faded), "a row counts half after HALF_LIFE more"
    assert len(many.cells(0, 0)) == 0, "a model without a reference has no cells"
    assert len(many.cells(1, 0)) == FIRST_BIN + sum(len(bin_names(each)) for each in histograms(REFERENCE))


def test_of_a_tick_so_many_rows_are_counted_and_no_more() -> None:
    windows = Windows(MANIFEST, 1)
    model = watched(windows, 0)
    assert model.watch is not None
    for _ in range(40):
        model.run(model.prepare(TUMOURS[:100].tolist()))
    model.watch.count()
    assert windows.reading(1).rows == ROWS_A_TICK
    serve(model, np.repeat(TUMOURS, 9, axis=0).tolist())
    assert ROWS_A_TICK * 0.7 < windows.reading(1).rows - ROWS_A_TICK * 0.96 <= ROWS_A_TICK


def test_an_answer_that_cannot_be_counted_ends_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    windows = Windows(MANIFEST, 1)
    model = watched(windows, 0)
    assert model.watch is not None
    model.watch.note([Table(1, columns=[[1.0], [1.0]])], {"answers": [1.0]}, 1)
    model.watch.count()
    assert "drift_not_counted" in capsys.readouterr().err and windows.reading(1).rows == 0
    serve(model, TUMOURS[:3].tolist())
    assert windows.reading(1).rows == 3


def scraped(windows: Windows, query: str = "") -> str:
    board = Board(1, 1, 2)
    board.windows, board.cells[STARTED] = windows, 1.0
    board.slot(0).cells[STATE] = READY
    service = Service(MANIFEST, Settings(Path("/manifest.json")), {}, board, board.slot(0))
    [route] = routes(service, ("other",))
    answer = route.methods["GET"](Request("GET", f"/metrics{query}", {}, "1"))
    assert isinstance(answer, Response)
    return bytes(answer.body).decode()


def test_gauges_are_absent_below_the_least_rows_and_the_index_above() -> None:
    windows = Windows(MANIFEST, 1)
    model = watched(windows, 0)
    serve(model, TUMOURS[: LEAST_ROWS - 1].tolist())
    families = {family.name: family for family in text_string_to_metric_families(scraped(windows))}
    assert [sample.value for sample in families["mlship_drift_rows"].samples] == [LEAST_ROWS - 1]
    assert not families["mlship_drift_psi"].samples and "mlship_drift_bin" not in families
    serve(model, (TUMOURS[:400] * [2, 1]).tolist())
    families = {family.name: family for family in text_string_to_metric_families(scraped(windows))}
    told = {(one.labels["of"], one.labels["feature"]): one.value for one in families["mlship_drift_psi"].samples}
    assert set(told) == {("feature", 'mean "radius"'), ("feature", "texture"), ("prediction", "")}
    assert told["feature", 'mean "radius"'] > 0.25 > 0.1 > told["feature", "texture"]
    assert all(f"`{name}`" in GUIDE for name in families if "drift" in name)


def test_copies_are_added_up_by_their_bins() -> None:
    """Two replicas with half of the rows each say together what one says that had them all."""
    halves, whole = [Windows(MANIFEST, 1), Windows(MANIFEST, 1)], Windows(MANIFEST, 1)
    for windows, rows in zip((*halves, whole), (TUMOURS[:200], TUMOURS[200:400], TUMOURS[:400]), strict=True):
        serve(watched(windows, 0), rows.tolist())
    first, second, all_of_it = (counted(scraped(windows, "?bins")).spreads for windows in (*halves, whole))
    added = together(first, second)
    assert set(added) == {("demo", "feature", 'mean "radius"'), ("demo", "feature", "texture"), ("demo", "prediction", "")}
    for key, spread in added.items():
        assert spread.reference == all_of_it[key].reference
        assert tuple(spread.live) == bin_names(FEATURES.get(key[2]) or histograms(REFERENCE)[-1])
        assert psi(tuple(spread.live), tuple(spread.reference.values()), tuple(spread.live.values())) == pytest.approx(
            psi(tuple(spread.live), tuple(spread.reference.values()), tuple(all_of_it[key].live.values())), abs=1e-3
        )


def test_a_manifest_tells_its_reference_and_one_without_has_no_word_of_it() -> None:
    assert from_json(to_json(MANIFEST)) == MANIFEST
    assert b"reference" not in to_json(replace(MANIFEST, models=MANIFEST.models[:1]))
