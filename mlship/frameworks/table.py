"""Rows of a user's data file as JSON values, in the types that the model's features have."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Any

from mlship.errors import Exit, MlshipError
from mlship.frameworks.child import ChildPython, ask
from mlship.runner import Runner
from mlship.server.manifest import Feature

MAX_READ = 5000  # rows that are looked at
MAX_VALUES = 50  # different values of a column that count as categories
MAX_CELL = 10_000_000

# what pandas.read_csv takes for a missing value by default (its na_values, pandas 3)
MISSING = frozenset(
    ["", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA", "NULL", "NaN",
     "None", "n/a", "nan", "null"]
)  # fmt: skip


@dataclass(frozen=True)
class Table:
    """columns: their names in the file's order. rows: one value for each column; text is not converted yet."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    is_text: bool


def sample_from_data(
    file: Path,
    features: Sequence[Feature] = (),
    *,
    limit: int = 20,
    runner: Runner | None = None,
    python: ChildPython | None = None,
) -> tuple[Any, ...]:
    """Up to `limit` rows of the file as objects by feature name: holes and every category among them where there are such.

    file: .csv, .tsv, .json, .jsonl, or .parquet (which the environment's Python reads: runner and python are needed for it).
    features: of the model's signature; empty takes every column. A feature whose dtype is `any` takes the column's own type.
    One text feature named `text` gives bare strings. Raises MlshipError when the file cannot be read or lacks a feature.
    """
    table = read_table(file, features, runner, python)
    if len(features) == 1 and features[0].name == "text" and "text" not in table.columns:
        return _texts(table, limit)
    named = features or tuple(Feature(name, "any", nullable=True) for name in table.columns)
    chosen = _columns(file, table, named)
    objects = [dict(zip(chosen, row, strict=True)) for row in zip(*chosen.values(), strict=True)]
    whole = [row for row in objects if not any(row[feature.name] is None and _refuses_null(feature) for feature in named)]
    if not whole:
        raise MlshipError(
            f"no row of {file.name} has a value in every feature that needs one", fix="name another file with --data"
        )
    return tuple(spread(whole, limit))


def read_table(file: Path, features: Sequence[Feature], runner: Runner | None, python: ChildPython | None) -> Table:
    """The first rows of the file. Raises MlshipError."""
    readers = {
        ".csv": _read_csv,
        ".tsv": _read_csv,
        ".txt": _read_csv,
        ".json": _read_json,
        ".jsonl": _read_lines,
        ".ndjson": _read_lines,
    }
    suffix = file.suffix.lower()
    if not file.is_file():
        raise MlshipError(f"there is no file {file}", fix="name your data with --data FILE")
    if suffix == ".parquet":
        return _read_parquet(file, features, runner, python)
    if suffix not in readers:
        raise MlshipError(
            f"{file.name} is of no kind that can be read", fix="name a .csv, .tsv, .json, .jsonl or .parquet file"
        )
    try:
        table = readers[suffix](file)
    except UnicodeDecodeError as error:
        raise MlshipError(
            f"{file.name} is not UTF-8 text ({error.reason} at byte {error.start})", fix="save it as UTF-8"
        ) from None
    except (ValueError, RecursionError, csv.Error) as error:
        raise MlshipError(f"{file.name} cannot be read: {error}", fix="write it as CSV with a header line") from None
    if not table.rows:
        raise MlshipError(f"{file.name} holds no rows", fix="name another file with --data")
    return table


def spread(rows: Sequence[dict[str, Any]], limit: int) -> list[dict[str, Any]]:
    """At most `limit` rows in the file's order: first those that show a hole or a category not seen yet, then evenly spaced."""
    marks = [_marks(row) for row in rows]
    common = _too_many(marks)
    seen: set[tuple[str, Any]] = set()
    chosen: set[int] = set()
    for index, found in enumerate(marks):
        fresh = {mark for mark in found if mark[0] not in common or mark[1] is None} - seen
        if fresh and len(chosen) < limit:
            chosen.add(index)
            seen |= fresh
    step = max(1, len(rows) // limit)
    for index in (*range(0, len(rows), step), *range(len(rows))):
        if len(chosen) >= limit:
            break
        chosen.add(index)
    return [rows[index] for index in sorted(chosen)]


def _marks(row: Mapping[str, Any]) -> set[tuple[str, Any]]:
    """What is worth showing of a row: its holes and its words."""
    return {(name, value) for name, value in row.items() if value is None or isinstance(value, str | bool)}


def _too_many(marks: Sequence[set[tuple[str, Any]]]) -> set[str]:
    """Columns of free text or identifiers."""
    values: dict[str, set[Any]] = {}
    for found in marks:
        for name, value in found:
            values.setdefault(name, set()).add(value)
    return {name for name, several in values.items() if len(several) > MAX_VALUES}


def _refuses_null(feature: Feature) -> bool:
    return not feature.nullable and feature.dtype != "any"


def _columns(file: Path, table: Table, features: Sequence[Feature]) -> dict[str, list[Any]]:
    """Feature name -> its column, converted. Features without names are taken by position."""
    places = _places(file, table, features)
    return {
        feature.name: _converted(file, feature, [row[place] for row in table.rows], table.is_text)
        for feature, place in zip(features, places, strict=True)
    }


def _places(file: Path, table: Table, features: Sequence[Feature]) -> list[int]:
    names = [feature.name for feature in features]
    for columns in (table.columns, _as_lightgbm_writes(table.columns)):
        if set(names) <= set(columns):
            return [columns.index(name) for name in names]
    missing = [name for name in names if name not in table.columns]
    if names == [f"x{index}" for index in range(len(names))]:
        return _by_position(file, table, len(names))
    close = get_close_matches(missing[0], table.columns, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    shown = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
    raise MlshipError(
        f"{file.name} lacks {shown}, which the model was trained with{hint}",
        fix=f"name a file with these columns; it has {', '.join(table.columns[:10])}",
    )


def _as_lightgbm_writes(columns: tuple[str, ...]) -> tuple[str, ...]:
    """Its files separate names by blanks, so it writes a blank in a name as `_` (Dataset::set_feature_names of LightGBM 4)."""
    return tuple(column.replace(" ", "_") for column in columns)


def _by_position(file: Path, table: Table, count: int) -> list[int]:
    if len(table.columns) == count:
        return list(range(count))
    shown = ", ".join(table.columns[:10]) + (", ..." if len(table.columns) > 10 else "")
    raise MlshipError(
        f"{file.name} has {len(table.columns)} columns ({shown}); the model was trained on {count}, without their names",
        fix="write a file with these columns alone, in the order of training: without the target, without an index",
    )


def _converted(file: Path, feature: Feature, values: list[Any], is_text: bool) -> list[Any]:
    if not is_text:
        return values
    cells = [None if value is None or value.strip() in MISSING else value for value in values]
    dtype = observed_dtype(cells) if feature.dtype == "any" else feature.dtype
    try:
        return [None if cell is None else _value(cell, dtype) for cell in cells]
    except ValueError as error:
        raise MlshipError(
            f"{file.name}: the column {feature.name} should be {dtype}: {error}", fix="correct the data"
        ) from None


def observed_dtype(cells: Sequence[str | None]) -> str:
    """As pandas would read the column: `bool`, `int64`, `float64`, else `string`; whole numbers with holes are floats."""
    present = [cell for cell in cells if cell is not None]
    if present and all(cell in ("True", "False", "true", "false", "TRUE", "FALSE") for cell in present):
        return "bool"
    for dtype in ("int64", "float64"):
        try:
            for cell in present:
                _value(cell, dtype)
        except ValueError:
            continue
        return dtype if present and not (dtype == "int64" and None in cells) else "float64"
    return "string"


def _value(cell: str, dtype: str) -> Any:
    if dtype == "bool":
        if cell.lower() not in ("true", "false", "1", "0"):
            raise ValueError(f"{cell!r} is neither true nor false")
        return cell.lower() in ("true", "1")
    if dtype.startswith(("int", "uint")):
        number = float(cell)
        if not number.is_integer():
            raise ValueError(f"{cell!r} is no whole number")
        return int(cell) if cell.strip().lstrip("+-").isdigit() else int(number)
    if dtype.startswith("float"):
        number = float(cell)
        if number in (float("inf"), float("-inf")):
            raise ValueError(f"{cell!r} is not finite")
        return number
    return cell


def _texts(table: Table, limit: int) -> tuple[str, ...]:
    """The column with the longest text."""
    columns = list(zip(*table.rows, strict=True))
    lengths = [sum(len(value) for value in column if isinstance(value, str)) for column in columns]
    texts = [value for value in columns[lengths.index(max(lengths))] if isinstance(value, str) and value]
    step = max(1, len(texts) // limit)
    return tuple(texts[::step][:limit])


def _read_csv(file: Path) -> Table:
    usual = csv.field_size_limit(MAX_CELL)  # of the whole process: others have limits of their own
    try:
        columns, rows = _cells(file)
    finally:
        csv.field_size_limit(usual)
    _check_header(columns)
    for number, row in enumerate(rows, start=2):
        if len(row) != len(columns):
            raise ValueError(f"row {number} has {len(row)} values under {len(columns)} columns")
    return Table(columns, tuple(rows), is_text=True)


def _cells(file: Path) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The header and the first rows."""
    with file.open(encoding="utf-8-sig", newline="") as stream:
        head = stream.read(1 << 16)
        stream.seek(0)
        lines = csv.reader(stream, delimiter=_delimiter(file, head))
        columns = tuple(next(lines, ()))
        return columns, [tuple(row) for row in islice((row for row in lines if row), MAX_READ)]


def _check_header(columns: tuple[str, ...]) -> None:
    if not columns or len(set(columns)) < len(columns):
        raise ValueError("the header line is missing, or names a column twice")


def _delimiter(file: Path, head: str) -> str:
    """The one that cuts the header into most pieces."""
    if file.suffix.lower() == ".tsv":
        return "\t"
    header = next(csv.reader(io.StringIO(head)), [""])
    line = ",".join(header) if len(header) > 1 else head.partition("\n")[0]
    return max(",;\t|", key=lambda mark: (line.count(mark), mark == ","))


def _read_json(file: Path) -> Table:
    document = json.loads(file.read_text(encoding="utf-8-sig"))
    if isinstance(document, dict):
        document = document.get("instances", document.get("data"))
    if not isinstance(document, list):
        raise ValueError("it is no list of rows")
    return _of_objects(document[:MAX_READ])


def _read_lines(file: Path) -> Table:
    with file.open(encoding="utf-8-sig") as stream:
        return _of_objects([json.loads(line) for line in islice((line for line in stream if line.strip()), MAX_READ)])


def _of_objects(rows: list[Any]) -> Table:
    if rows and all(isinstance(row, list) and len(row) == len(rows[0]) for row in rows):
        return Table(tuple(f"x{index}" for index in range(len(rows[0]))), tuple(tuple(row) for row in rows), is_text=False)
    if rows and all(isinstance(row, str) for row in rows):
        return Table(("value",), tuple((row,) for row in rows), is_text=False)
    if not all(isinstance(row, dict) for row in rows):
        raise ValueError("its rows are not all objects")
    columns = tuple(dict.fromkeys(name for row in rows for name in row))
    return Table(columns, tuple(tuple(row.get(name) for name in columns) for row in rows), is_text=False)


def _read_parquet(file: Path, features: Sequence[Feature], runner: Runner | None, python: ChildPython | None) -> Table:
    if runner is None or python is None:
        raise MlshipError(
            f"{file.name} needs the training environment to be read", fix="write the table as CSV", exit=Exit.USAGE
        )
    asked = {"rows": {"path": str(file.absolute()), "columns": [], "limit": MAX_READ}}
    answer = ask(runner, python, asked, where=file.name, timeout_s=120)
    return Table(tuple(answer["columns"]), tuple(tuple(row) for row in answer["rows"]), is_text=False)
