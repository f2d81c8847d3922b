"""drift --data --html: rows of a file beside model.reference, column by column, as a page that Evidently draws.

The index is Evidently's own there, over bins of its own: near the server's, never the same digits.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlship.config.project import Project
from mlship.config.words import clipped
from mlship.disk import scratch_folder, write_atomic
from mlship.errors import Exit, FindingsError, MlshipError, need
from mlship.flows.building.histograms import MOST_ROWS
from mlship.flows.context import Context, Where
from mlship.flows.evidence import RowsFile, drawn, evidence_of, rows_file
from mlship.flows.opening import project_of
from mlship.frameworks.engine_choice import REFERENCE
from mlship.memo import Memo
from mlship.server.drift_index import MOST_FEATURES, word
from mlship.targets.gates import Verdict

EXTRA = "drift"
FEWEST = 100  # rows of either side
MOST_VALUES = 50  # of a column of texts, to be a category


@dataclass(frozen=True)
class Column:
    name: str
    psi: float
    word: str


@dataclass(frozen=True)
class Page:
    """rows: of the file, and of model.reference, as many as were compared. columns: the largest index first. left_out: name -> why."""

    project: str
    data: str
    reference: str
    html: str
    rows: tuple[int, int]
    threshold: float
    columns: tuple[Column, ...]
    left_out: Mapping[str, str]

    @property
    def verdict(self) -> Verdict:
        return "fail" if any(column.word == "drifted" for column in self.columns) else "pass"

    @property
    def exit(self) -> Exit:
        return Exit.DRIFTED if self.verdict == "fail" else Exit.OK


def write_page(context: Context, where: Where, data: str, html: str, threshold: float | None) -> Page:
    """Writes the page. Raises MlshipError."""
    project = project_of(context, where)
    reference = _reference(context, project)
    given = rows_file(context.cwd / data)
    limit = project.monitoring.alerts.drift if threshold is None else threshold
    pandas = need("pandas", extra=EXTRA)
    context.progress.step("drift", "Evidently is loaded")
    need("evidently", extra=EXTRA)
    frames = _frame(pandas, given), _frame(pandas, reference)
    kinds, left_out = _columns(pandas, *frames)
    if not kinds:
        raise MlshipError(
            f"{given.path.name} and {reference.path.name} have no column in common", fix="name a file with --data"
        )
    context.progress.step("drift", f"{len(kinds)} columns of {given.path.name} beside {reference.path.name}")
    found = _drawn_page(*frames, kinds, limit, context.cwd / html)
    return Page(
        project=project.name,
        data=data,
        reference=reference.path.name,
        html=html,
        rows=(len(frames[0]), len(frames[1])),
        threshold=limit,
        columns=tuple(
            sorted((Column(name, round(psi, 4), word(psi, limit)) for name, psi in found.items()), key=lambda one: -one.psi)
        ),
        left_out=left_out,
    )


def _reference(context: Context, project: Project) -> RowsFile:
    """Of the first model that has one."""
    for name, model in project.models:
        prefix = f"models.{name}" if f"models.{name}" in project.positions else "model"
        evidence = evidence_of(project, prefix, model, Memo(context.home.memo))
        if evidence.findings:
            raise FindingsError("model.reference cannot be read", evidence.findings, exit=Exit.USAGE, code="rows-reference")
        found = next((file for file in evidence.files if file.kind == REFERENCE), None)
        if found is not None:
            return found
    raise MlshipError(
        "there is no model.reference to compare with",
        project.at("model"),
        "write model: {reference: train.csv}",
        code="no-reference",
    )


def _frame(pandas: Any, file: RowsFile) -> Any:
    """At most MOST_ROWS rows, evenly spaced. Raises MlshipError."""
    told = drawn(file, MOST_ROWS)
    try:
        parts = [
            pandas.read_csv(io.StringIO(told["head"] + text))
            if form == "csv"
            else pandas.read_json(io.StringIO(text), lines=True, convert_dates=False)
            for form, text in told["parts"]
        ]
    except ValueError as error:
        raise MlshipError(f"{file.path.name} cannot be read: {clipped(str(error))}", file.where, "write it again") from None
    frame = pandas.concat(parts, ignore_index=True)
    frame.columns = [str(name).strip() for name in frame.columns]
    if len(frame) < FEWEST:
        raise MlshipError(
            f"{file.path.name} has {len(frame)} rows, and fewer than {FEWEST} say nothing of drift",
            file.where,
            "give it more rows",
        )
    return frame


def _columns(pandas: Any, given: Any, reference: Any) -> tuple[dict[str, str], dict[str, str]]:
    """What is compared: name -> `number` or `category`; and what is not: name -> why."""
    kinds: dict[str, str] = {}
    left_out = {name: "only in the reference" for name in reference.columns if name not in given.columns}
    left_out |= {name: "not in the reference" for name in given.columns if name not in reference.columns}
    for name in (name for name in reference.columns if name in given.columns):
        columns = reference[name], given[name]
        if all(column.isna().all() for column in columns) or any(column.isna().all() for column in columns):
            left_out[name] = "without one value"
        elif all(pandas.api.types.is_numeric_dtype(column) and column.dtype != bool for column in columns):
            kinds[name] = "number"
        elif columns[0].astype(str).nunique() <= MOST_VALUES:
            kinds[name] = "category"
        else:
            left_out[name] = "free text"
    for name in list(kinds)[MOST_FEATURES:]:
        left_out[name] = f"beyond the first {MOST_FEATURES}"
        del kinds[name]
    return kinds, left_out


def _drawn_page(given: Any, reference: Any, kinds: Mapping[str, str], limit: float, html: Path) -> dict[str, float]:
    """Writes the page; returns Evidently's index of each column. Raises MlshipError."""
    evidently, presets = need("evidently", extra=EXTRA), need("evidently.presets", extra=EXTRA)
    numbers, categories = ([name for name, kind in kinds.items() if kind == wanted] for wanted in ("number", "category"))
    definition = evidently.DataDefinition(numerical_columns=numbers, categorical_columns=categories)
    preset = presets.DataDriftPreset(method="psi", threshold=limit)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of numpy and scipy, about their own
        sides = [evidently.Dataset.from_pandas(_typed(frame, kinds), definition) for frame in (given, reference)]
        report = evidently.Report([preset]).run(*sides)
        with scratch_folder() as folder:
            report.save_html(str(folder / "page.html"))
            html.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(html, (folder / "page.html").read_bytes())
    return _indices(report.dict()["metrics"])


def _typed(frame: Any, kinds: Mapping[str, str]) -> Any:
    chosen = frame[list(kinds)].copy()
    for name, kind in kinds.items():
        if kind == "category":
            chosen[name] = chosen[name].astype(str)
    return chosen


def _indices(metrics: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    return {
        str(metric["config"]["column"]): float(metric["value"])
        for metric in metrics
        if str(metric["config"]["type"]).endswith(":ValueDrift")
    }
