"""What the locked-down process says of a model's compiled form: the file, the proof, the times; or why there is none."""

from __future__ import annotations

import hashlib
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlship.server import manifest
from mlship.server.compiling.columns import Unfit
from mlship.server.compiling.edge_rows import edge_rows, listed_rows
from mlship.server.compiling.parity import Parity, compared
from mlship.server.compiling.plans import Compiled, compiled
from mlship.server.compiling.timing import SIZES, call_seconds
from mlship.server.core import ServedModel
from mlship.server.hooks import hooks_from
from mlship.server.inspection.report import attempt
from mlship.server.problems import InputError, ModelFailed
from mlship.server.runtimes import runtime_for
from mlship.server.runtimes.plan_file import plan_bytes

FILE = "model.plan"
ASKING_S = 30.0  # of the original, for one row after the other
FEWEST = 40  # rows

# what reading an attribute raises that another version has not, or has in another form
_OTHER_VERSIONS = (AttributeError, TypeError, ValueError, LookupError)


def compile_model(request: dict[str, Any]) -> dict[str, Any]:
    """request: see mlship.server.inspect. Writes FILE into the folder `writable`.

    Answers {"engine", "sha256", "rows", "refused", "difference", "seconds": {rows: [original, compiled]}, "reason"}: an empty
    engine where the model has no compiled form, a reason where it has none or where its answers are not the original's.
    """
    document = manifest.from_json(request["manifest"].encode())
    entry, root = document.model(), Path(request["root"])
    if entry.framework != "sklearn":
        return _none(f"models of framework {entry.framework} have no compiled form")
    answer: dict[str, Any] = attempt(lambda: _compiled(entry, root, root / document.code, request), "load")
    return answer


def _compiled(entry: manifest.Model, root: Path, code: Path, request: dict[str, Any]) -> dict[str, Any]:
    loaded: Any = runtime_for(entry.framework).load(entry, root)
    sample = list(request["sample"] or ())
    if entry.hooks:
        sample = hooks_from(entry, code).before(sample)
    found = loaded.signature(tuple(sample))
    try:
        plan = compiled(loaded.estimator, entry.method, found)
    except Unfit as unfit:
        return _none(str(unfit))
    except _OTHER_VERSIONS as error:
        return _none(f"this version of scikit-learn keeps its models otherwise ({type(error).__name__}: {error})")
    content = plan_bytes(plan.header, plan.arrays)
    file = Path(request["writable"]) / FILE
    file.write_bytes(content)
    bare = replace(entry, outputs={}, passthrough=(), hooks="", signature=found)
    original = ServedModel(bare, loaded)
    again = replace(bare, path=FILE, engine=manifest.Engine(plan.engine), signature=plan.signature)
    other = ServedModel(again, runtime_for(plan.engine).load(again, file.parent))
    return {
        "engine": plan.engine,
        "sha256": hashlib.sha256(content).hexdigest(),
        **_proof(original, other, plan, sample, entry),
    }


def _proof(
    original: ServedModel, other: ServedModel, plan: Compiled, sample: list[Any], entry: manifest.Model
) -> dict[str, Any]:
    signature = original.entry.signature
    labels = frozenset(output.name for output in signature.outputs if output.classes and not output.shape)
    rows = [*listed_rows(signature, sample), *edge_rows(signature, sample, plan.header, plan.arrays)]
    rows = rows[: _affordable(original, rows)]
    parity = compared(original, other, rows, entry.tolerance, labels)
    said = {"rows": parity.rows, "refused": parity.refused, "difference": parity.difference, "reason": parity.wrong}
    return {**said, "seconds": {} if parity.wrong else _seconds(original, other, rows, parity)}


def _affordable(original: ServedModel, rows: list[Any]) -> int:
    """How many rows are asked: nobody waits for minutes, and a slow model has few rows that no other one is like."""
    began = time.perf_counter()
    for row in rows[:3]:
        _answers(original, row)
    each_s = (time.perf_counter() - began) / min(len(rows), 3)
    return max(FEWEST, int(ASKING_S / each_s))


def _seconds(original: ServedModel, other: ServedModel, rows: list[Any], parity: Parity) -> dict[str, list[float]]:
    if parity.refused == parity.rows:
        return {}
    answered = [row for row in rows[:64] if _answers(original, row)]
    return {str(size): call_seconds((original, other), answered, size) for size in SIZES} if answered else {}


def _answers(model: ServedModel, row: Any) -> bool:
    try:
        model.answer([row])
    except (InputError, ModelFailed):
        return False
    return True


def _none(reason: str) -> dict[str, Any]:
    return {"engine": "", "sha256": "", "rows": 0, "refused": 0, "difference": 0.0, "seconds": {}, "reason": reason}
