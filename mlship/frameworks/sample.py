"""The example inputs of `model.sample`: read, checked for shape, nothing else known of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mlship.errors import Finding
from mlship.units import size_text

MAX_BYTES = 4_000_000
MAX_ROWS = 1000
_FIX = 'write {"instances": [row, row, ...]} with rows as objects by feature name, as lists or as bare values'


def read_sample(path: Path, where: str) -> tuple[tuple[Any, ...], tuple[Finding, ...]]:
    """The rows, and what is wrong with the file; no rows then."""
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            return (), (
                _finding(
                    f"{path.name} has {size_text(size)}; a sample has at most {size_text(MAX_BYTES)}", where, "keep 20 rows"
                ),
            )
        if not path.is_file():
            return (), (_finding(f"{path.name} is not a regular file", where, "name a JSON file"),)
        document = json.loads(path.read_bytes())
    except FileNotFoundError:
        return (), (_finding(f"there is no file {path.name}", where, "mlship init --data FILE writes one from your data"),)
    except OSError as error:
        return (), (_finding(f"{path.name} cannot be read ({error.strerror})", where, "name a JSON file"),)
    except (ValueError, RecursionError) as error:
        return (), (_finding(f"{path.name} is not JSON ({error})", where, _FIX),)
    rows = document.get("instances") if isinstance(document, dict) else document
    problem = _problem(path.name, rows)
    return ((), (_finding(problem, where, _FIX),)) if problem else (tuple(rows or ()), ())


def _problem(name: str, rows: Any) -> str:
    if not isinstance(rows, list) or not rows:
        return f"{name} holds no rows"
    if len(rows) > MAX_ROWS:
        return f"{name} holds {len(rows)} rows; a sample has at most {MAX_ROWS}"
    if len({type(row) in (list, dict) and type(row) for row in rows}) > 1:
        return f"{name} mixes rows of different forms"
    for number, row in enumerate(rows):
        try:
            json.dumps(row, allow_nan=False)
        except ValueError:
            return f"{name} holds NaN or an infinite number in row {number}, which JSON has not; write null for a missing value"
    return ""


def _finding(what: str, where: str, fix: str) -> Finding:
    return Finding(what, where, fix, code="sample")
