"""model.reference as the model in the image sees it: its rows judged and answered as a caller's are, and both in histograms."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from mlship.server import manifest
from mlship.server.compiling.given_rows import given_rows
from mlship.server.core import ServedModel
from mlship.server.drift_index import MOST_FEATURES
from mlship.server.input.validate import Table
from mlship.server.inspection.report import attempt
from mlship.server.opened_model import OpenedModel
from mlship.server.problems import InputError, ModelFailed

ROWS_A_CALL = 500
FEWEST = 100  # rows: fewer say too little of where a tenth of them lies

Answered = tuple[Table, dict[str, list[Any]]]


def described_reference(request: dict[str, Any]) -> dict[str, Any]:
    """request: see mlship.server.inspect; `describe`: the rows, as compiling/given_rows.py takes them.

    Answers {"reference": of the manifest as a dict, null below FEWEST rows, "rows": answered, "refused"}.
    """
    document = manifest.from_json(request["manifest"].encode())
    root = Path(request["root"])
    answer: dict[str, Any] = attempt(lambda: _described(document.model(), root, root / document.code, request), "load")
    return answer


def _described(entry: manifest.Model, root: Path, code: Path, request: dict[str, Any]) -> dict[str, Any]:
    opened = OpenedModel(entry, root, code)
    found = opened.loaded.signature(tuple(request["sample"] or ()))
    served = opened.served(replace(entry, signature=found))
    rows = given_rows(request["describe"], served.entry.signature).rows
    answered = [
        one for start in range(0, len(rows), ROWS_A_CALL) for one in _answered(served, rows[start : start + ROWS_A_CALL])
    ]
    count = sum(table.count for table, _ in answered)
    reference = _reference(served.entry.signature, answered, count) if count >= FEWEST else None
    if reference is not None and not reference.features and reference.predictions is None:
        reference = None  # arrays, moments of time: nothing that can be counted
    return {"reference": asdict(reference) if reference else None, "rows": count, "refused": len(rows) - count}


def _answered(served: ServedModel, rows: Sequence[Any]) -> Iterator[Answered]:
    """In one call; where a row is refused, in halves until it stands alone: what the server refuses, nobody will measure there."""
    try:
        if not served.is_joined and len(rows) > 1:
            raise ModelFailed("each row alone")
        table = served.validator.exact_table(list(rows))
        yield table, served.run(served.prepared(table))
    except (InputError, ModelFailed):
        if len(rows) > 1:
            middle = len(rows) // 2
            yield from _answered(served, rows[:middle])
            yield from _answered(served, rows[middle:])


def _reference(signature: manifest.Signature, answered: Sequence[Answered], count: int) -> manifest.Reference:
    from mlship.server.monitoring.drift_bins import histogram_of, is_counted, scored

    features = {}
    for place, feature in enumerate(signature.inputs[:MOST_FEATURES]):
        if is_counted(feature):
            histogram = histogram_of([_plain(value) for table, _ in answered for value in table.columns[place]])
            if histogram is not None:
                features[feature.name] = histogram
    scores = [scored(answer) for _, answer in answered]
    every = None if None in scores else [value for values in scores for value in values or ()]
    return manifest.Reference(count, features, histogram_of(every) if every else None)


def _plain(value: Any) -> Any:
    """A cell as JSON has it; a hole may be NaN by now."""
    plain = value.item() if hasattr(value, "item") else value
    return None if plain != plain else plain
