"""The input example of an MLflow model folder as rows of a sample (mlflow 3.17, mlflow/models/utils.py, class _Example)."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlship.errors import Finding
from mlship.frameworks.entering import leads_out
from mlship.frameworks.sample import MAX_BYTES, MAX_ROWS

Found = tuple[tuple[Any, ...], tuple[Finding, ...]]
_FIX = "write model.sample with rows of your own"


def example_rows(folder: Path, info: Mapping[str, Any], where: str) -> Found:
    """Rows as objects by column name, lists or bare values; none, and a note, where the example is of another form.

    info: `saved_input_example_info` of MLmodel.
    """
    name = info.get("artifact_path")
    if not isinstance(name, str) or not name:
        return (), ()
    path = folder / name
    try:
        if leads_out(path, folder) or path.stat().st_size > MAX_BYTES:
            return _unused(name, "it is too large, or leads out of the folder", where)
        document = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        return _unused(name, f"it cannot be read ({error})", where)
    if info.get("params") and isinstance(document, dict):  # of the call, beside the rows
        document = document.get("inputs")
    rows = _rows(document)
    if not rows:
        return _unused(name, "it is no table and no list of rows", where)
    return tuple(_plain(row) for row in rows[:MAX_ROWS]), ()


def _unused(name: str, why: str, where: str) -> Found:
    return (), (Finding(f"the input example {name} is no sample: {why}", where, _FIX, "note", "no-example"),)


def _rows(document: Any) -> list[Any]:
    if isinstance(document, list):
        return list(document)
    if not isinstance(document, dict) or not isinstance(document.get("data"), list):
        return []
    columns, data = document.get("columns"), document["data"]
    if not isinstance(columns, list):
        return list(data)
    if not all(isinstance(row, list) and len(row) == len(columns) for row in data):
        return []
    # columns of a DataFrame without names of its own are numbered
    if columns == list(range(len(columns))):
        return list(data)
    return [dict(zip(map(str, columns), row, strict=True)) for row in data]


def _plain(value: Any) -> Any:
    """mlflow writes a hole as NaN, which no request can hold."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
