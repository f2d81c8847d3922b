"""model.golden: rows with answers that people wrote down, not a build."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlship.config.words import clipped
from mlship.errors import MlshipError

FORM = '{"instances": [...], "predictions": [...]}'
LARGEST = 32_000_000  # bytes: written by hand


@dataclass(frozen=True)
class Truth:
    """where: `golden.jsonl:3`, for people. answers: output name -> one entry a row."""

    where: str
    instances: tuple[Any, ...]
    answers: Mapping[str, Any]


def truths(root: Path, said: str, at: str) -> tuple[Truth, ...]:
    """JSON with one such object or a list of them, or JSON Lines. said: the key's value. at: where it stands. Raises MlshipError."""
    path = root / said
    try:
        if path.is_file() and path.stat().st_size > LARGEST:
            raise MlshipError(
                f"{clipped(said)} is larger than {LARGEST // 10**6} MB", at, "write only rows that tell something"
            )
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        reason = error.strerror or str(error)
        raise MlshipError(f"{clipped(said)} cannot be read ({reason})", at, "name a JSON or JSON Lines file") from None
    except UnicodeDecodeError:
        raise MlshipError(f"{clipped(said)} is not UTF-8", at, "write it again as UTF-8") from None
    found = tuple(_truth(value, where) for where, value in _values(text, path.name))
    if not found:
        raise MlshipError(f"{clipped(said)} has no rows", at, f"write {FORM}")
    return found


def like(got: Any, wanted: Any) -> Any:
    """The truth with whole numbers as fractions where the server has fractions: people write 1 for 1.0."""
    if isinstance(wanted, list) and isinstance(got, list) and len(got) == len(wanted):
        return [like(one, other) for one, other in zip(got, wanted, strict=True)]
    if isinstance(wanted, dict) and isinstance(got, dict):
        return {key: like(got.get(key), value) for key, value in wanted.items()}
    is_whole = isinstance(wanted, int) and not isinstance(wanted, bool)
    return float(wanted) if is_whole and isinstance(got, float) else wanted


def _values(text: str, name: str) -> Iterator[tuple[str, Any]]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip():
                yield f"{name}:{number}", _read(line, f"{name}:{number}")
        return
    listed = document if isinstance(document, list) else [document]
    for number, value in enumerate(listed):
        yield (f"{name}[{number}]" if len(listed) > 1 else name), value


def _read(line: str, where: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise MlshipError(f"this is not JSON: {error}", where, f"write {FORM}") from None


def _truth(value: Any, where: str) -> Truth:
    rows = value.get("instances") if isinstance(value, dict) else None
    if not isinstance(value, dict) or not isinstance(rows, list) or not rows or len(value) < 2:
        raise MlshipError("this is no truth: it needs rows, and what is right for them", where, f"write {FORM}")
    answers = {name: entries for name, entries in value.items() if name != "instances"}
    for name, entries in answers.items():
        if not isinstance(entries, list) or len(entries) != len(rows):
            count = len(entries) if isinstance(entries, list) else "no"
            raise MlshipError(f"{clipped(name)} has {count} entries for {len(rows)} rows", where, "write one for each row")
    return Truth(where, tuple(rows), answers)
