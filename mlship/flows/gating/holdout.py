"""The holdout gate: labelled rows through the server, in parts, and what the answers are worth."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlship.config.quality import Limit
from mlship.errors import MlshipError
from mlship.flows.evidence import RowsFile
from mlship.flows.gating.metrics import Tally, Unmeasurable
from mlship.flows.gating.qualities import Quality
from mlship.flows.gating.results import Result
from mlship.flows.gating.sides import Side, refusal

PART_ROWS = 200  # in one request: a part is to be answered within serve.request_timeout
LEAST_ROWS = 30  # fewer say too little of a share or a mean


TOO_MUCH = (0, 413, 429, 503, 504)  # what a server says to more than it can do, or nothing


class Unanswered(ValueError):
    """The server could not answer so many rows in its time; that says nothing of the model's quality."""


@dataclass(frozen=True)
class Part:
    """Rows without their labels, as they are sent. first: number of the first one in the file, from 0."""

    first: int
    labels: tuple[Any, ...]
    body: bytes
    content_type: str


@dataclass(frozen=True)
class Columns:
    """What of a row the model is asked with. names: its features, empty where any row is taken. passed: go to the answer."""

    names: tuple[str, ...] = ()
    are_known: bool = True
    passed: tuple[str, ...] = ()

    def places(self, titles: Sequence[str]) -> tuple[list[int], list[str]]:
        """Which of the columns go, and under which names: their own; in their order where the model knows only places."""
        if self.names and set(self.names) <= set(titles):
            kept = [place for place, title in enumerate(titles) if title in self.names or title in self.passed]
            return kept, [titles[place] for place in kept]
        every = list(range(len(titles)))
        is_by_place = not self.are_known and len(self.names) == len(titles)
        return every, list(self.names) if is_by_place else list(titles)


def columns_of(schema: Mapping[str, Any], has_hooks: bool) -> Columns:
    """schema: as /schema tells it. has_hooks: rows are the hook's own."""
    if has_hooks:
        return Columns()
    names = tuple(feature["name"] for feature in schema.get("inputs", ()))
    return Columns(names, bool(schema.get("named", True)), tuple(schema.get("passthrough", ())))


def measure(side: Side, model: str, file: RowsFile, columns: Columns, classes: Sequence[Any]) -> Quality:
    """Every row of the file. Raises Unmeasurable where the server refuses one, or labels and answers do not go together; Unanswered."""
    tally = Tally(classes)
    for part in parts(file, columns):
        answer = side.post(side.path(model), part.body, part.content_type)
        last = part.first + len(part.labels) - 1
        if refused := refusal(answer):
            kind = Unanswered if answer.status in TOO_MUCH else Unmeasurable
            raise kind(f"rows {part.first} to {last} of {file.path.name}: {refused}")
        said = json.loads(answer.body)
        if "predictions" not in said:
            raise Unmeasurable(f"the answers have no predictions, but {', '.join(said)}")
        tally.add(part.labels, said["predictions"], said.get("probabilities"))
    return Quality(tally.rows, file.sha256, tally.metrics())


def parts(file: RowsFile, columns: Columns) -> Iterator[Part]:
    """Raises MlshipError for a row that cannot be read, or has no label."""
    from mlship.flows.batching.input import open_rows
    from mlship.server.batch_records import cut

    with open_rows(file.path, file.form) as rows:
        for chunk in rows.parts(PART_ROWS, rows.behind_header() if file.form == "csv" else 0, 0, None):
            if chunk.too_long is not None:
                raise MlshipError(f"row {chunk.first} of {file.path.name} has {chunk.too_long.size} bytes", file.where)
            text = [record.decode("utf-8", "replace") for record in cut(chunk.body, chunk.form)]
            yield (_of_csv if chunk.form == "csv" else _of_json)(file, columns, chunk.first, text)


def results(found: Quality, limits: Sequence[Limit], baseline: Quality | None, no_baseline: str, of: str) -> Iterator[Result]:
    """One for each metric of holdout.min. no_baseline: why there is none. Pure."""
    for limit in limits:
        name = f"{of} {limit.metric}".strip()
        value = found.metrics.get(limit.metric)
        wanted = limit.value(baseline.metrics.get(limit.metric) if baseline else None)
        if value is None:
            known = ", ".join(sorted(found.metrics))
            why = f"{limit.metric} cannot be told of these answers and labels; what can: {known}"
            yield Result("holdout", "fail", name, f"{found.rows} rows", limit.text, why, f"name one of {known}")
            continue
        measured = f"{value:.4g} on {found.rows} rows"
        if wanted is None:
            yield Result("holdout", "inconclusive", name, measured, limit.text, *_unknown_baseline(no_baseline))
            continue
        told = f"{limit.sign} {wanted:.4g}" + (f" ({limit.text.partition(' ')[2]})" if limit.is_relative else "")
        if found.rows < LEAST_ROWS:
            why = f"{found.rows} rows say too little; it takes {LEAST_ROWS}"
            yield Result("holdout", "inconclusive", name, measured, told, why, "put more rows into model.holdout.data")
        elif limit.holds(value, wanted):
            yield Result("holdout", "pass", name, measured, told)
        else:
            why = f"{limit.metric} is {value:.4g}, wanted {told}"
            fix = "train again, on the right columns and rows; or change model.holdout.min if that is good enough"
            yield Result("holdout", "fail", name, measured, told, why, fix)


def _unknown_baseline(reason: str) -> tuple[str, str]:
    return reason, "mlship test --live measures the live release on these rows; or write a number"


def _of_csv(file: RowsFile, columns: Columns, first: int, records: list[str]) -> Part:
    titles = [title.strip() for title in next(csv.reader(io.StringIO(file.head.removeprefix("\ufeff"), newline="")))]
    at = titles.index(file.label)
    kept, names = columns.places([*titles[:at], *titles[at + 1 :]])
    rows = list(csv.reader(io.StringIO("".join(records), newline="")))
    labels = tuple(_label(file, first + place, row[at] if at < len(row) else "") for place, row in enumerate(rows))
    written = io.StringIO(newline="")
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([[*row[:at], *row[at + 1 :]][place] for place in kept] for row in rows)
    return Part(first, labels, written.getvalue().encode(), "text/csv")


def _of_json(file: RowsFile, columns: Columns, first: int, records: list[str]) -> Part:
    rows: list[dict[str, Any]] = []
    for place, record in enumerate(records):
        try:
            row = json.loads(record)
        except (ValueError, RecursionError) as error:
            raise MlshipError(f"row {first + place} of {file.path.name} is not JSON: {error}", file.where) from None
        if not isinstance(row, dict):
            raise MlshipError(f"row {first + place} of {file.path.name} is no object", file.where)
        rows.append(row)
    labels = tuple(_label(file, first + place, row.get(file.label)) for place, row in enumerate(rows))
    bare = [_bare(row, file.label, columns) for row in rows]
    return Part(first, labels, json.dumps({"instances": bare}, ensure_ascii=False).encode(), "application/json")


def _bare(row: Mapping[str, Any], label: str, columns: Columns) -> dict[str, Any]:
    titles = [name for name in row if name != label]
    kept, names = columns.places(titles)
    return {name: row[titles[place]] for place, name in zip(kept, names, strict=True)}


def _label(file: RowsFile, number: int, value: Any) -> Any:
    if value is None or (isinstance(value, str) and not value.strip()):
        what = f"row {number} of {file.path.name} has no label"
        raise MlshipError(what, file.where, f"leave the row out, or write its {file.label}")
    return value
