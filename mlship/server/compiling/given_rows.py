"""Rows of the user's own files, for the proof of an engine: as the model takes them, with the label of each where there is one.

They come as records of the file (mlship/flows/evidence.py): {"kind", "name", "head", "parts": [[form, text], ...], "numbers", "label",
"target"}, of CSV and of tables with the header as `head`. label: the column with the truth, `` where nobody asks for it; target: what
that column is called wherever it stands. Columns that the model does not know are passed over: training data has more than
features.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlship.server import manifest
from mlship.server.input import csvtext
from mlship.server.input.extras import Extras
from mlship.server.pickle_scan import Refused
from mlship.server.problems import InputError

SHOWN = 8  # columns named in a message
ROWS = "rows-"  # with the file's kind behind it, the kind of a failure that the file is to blame for


class Unreadable(Refused):
    """The file is not what it should be; the message says how, for people."""

    def __init__(self, what: str, told: Mapping[str, Any]) -> None:
        super().__init__(what, "correct the file, or name another one", f"{ROWS}{told['kind']}")


@dataclass(frozen=True)
class Given:
    """rows: as lists in the signature's order, or as objects where it knows no features. labels: one a row, or none at all.

    numbers: of the rows in their file, counted from 0.
    """

    rows: list[Any]
    labels: list[Any]
    numbers: list[int]


def given_rows(told: Mapping[str, Any], signature: manifest.Signature) -> Given:
    """Raises Unreadable."""
    rows: list[Any] = []
    labels: list[Any] = []
    for form, text in told["parts"]:
        read = _of_csv if form == "csv" else _of_lines
        for row, label in read(told, text.encode(), signature):
            rows.append(row)
            labels += [label] if told["label"] else []
    if len(rows) != len(told["numbers"]):
        raise Unreadable(f"{told['name']} is cut into {len(told['numbers'])} rows and read as {len(rows)}", told)
    for number, label in zip(told["numbers"], labels, strict=False):
        if label is None or label == "":
            raise Unreadable(f"row {number} of {told['name']} has nothing in the column {told['label']}", told)
    return Given(rows, labels, list(told["numbers"]))


def _of_csv(told: Mapping[str, Any], body: bytes, signature: manifest.Signature) -> Iterator[tuple[Any, Any]]:
    titles = _titles(told["head"])
    wanted = signature.inputs
    renamed = _renamed(told, titles, signature)
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(renamed)
    try:
        rows = csvtext.rows(line.getvalue().encode() + body, signature, True, Extras(ignored=True))
    except InputError as error:
        raise Unreadable(f"{told['name']}: {error.message}", told) from None
    if not wanted:
        rows = [{name: value for name, value in row.items() if name != told["target"]} for row in rows]
    at = titles.index(told["label"]) if told["label"] else 0
    cells = csv.reader(io.StringIO(body.decode("utf-8-sig", "replace"), newline=""))
    labels = [line[at] if at < len(line) else None for line in cells if line]
    yield from zip(rows, labels, strict=False)


def _titles(head: str) -> list[str]:
    return [title.strip() for title in next(csv.reader(io.StringIO(head.removeprefix("\ufeff"))), [])]


def _renamed(told: Mapping[str, Any], titles: Sequence[str], signature: manifest.Signature) -> list[str]:
    """The header as the model calls its features: their own names, or, where it has none, their places. Raises Unreadable."""
    names = [feature.name for feature in signature.inputs]
    missing = [name for name in names if name not in titles]
    if not missing:
        return list(titles)
    others = [title for title in titles if title != told["target"]]
    if not signature.named and len(others) == len(names):
        places = iter(names)
        return [title if title == told["target"] else next(places) for title in titles]
    raise Unreadable(_lacking(told["name"], missing, others), told)


def _of_lines(told: Mapping[str, Any], body: bytes, signature: manifest.Signature) -> Iterator[tuple[Any, Any]]:
    names = [feature.name for feature in signature.inputs]
    for line in body.splitlines():
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise Unreadable(f"{told['name']} has a line that is not JSON: {error}", told) from None
        label = row.pop(told["target"], None) if isinstance(row, dict) else None
        yield _listed(told, row, names, signature.named), label


def _listed(told: Mapping[str, Any], row: Any, names: Sequence[str], is_named: bool) -> Any:
    if not names:
        return row
    if isinstance(row, dict):
        missing = [name for name in names if name not in row]
        if not missing:
            return [row[name] for name in names]
        if is_named or len(row) != len(names):
            raise Unreadable(_lacking(told["name"], missing, list(row)), told)
        return list(row.values())
    listed = row if isinstance(row, list) else [row]
    if len(listed) != len(names):
        raise Unreadable(f"a row of {told['name']} has {len(listed)} values, and the model takes {len(names)}", told)
    return listed


def _lacking(file: str, missing: Sequence[str], titles: Sequence[str]) -> str:
    some = ", ".join(missing[:SHOWN]) + (f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else "")
    there = ", ".join(titles[:SHOWN]) + (" ..." if len(titles) > SHOWN else "")
    return f"{file} lacks what the model takes: {some}; it has {there}"
