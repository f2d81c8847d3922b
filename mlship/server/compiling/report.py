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
from mlship.server.compiling.forms import form_of, gains_from_graph
from mlship.server.compiling.parity import Parity, compared
from mlship.server.compiling.proof_rows import GENERATED, SAMPLE, cut, own_rows
from mlship.server.compiling.timing import SIZES, call_seconds
from mlship.server.core import ServedModel
from mlship.server.hooks import hooks_from
from mlship.server.inspection.report import attempt
from mlship.server.problems import InputError, ModelFailed
from mlship.server.runtimes import runtime_for

FILE = "model.compiled"
ASKING_S = 30.0  # of the original, for one row after the other
FEWEST = 40  # rows
SLOW_S = {"1": 60e-6, "64": 600e-6}  # of one call of the tree loop: a graph of the same trees takes some 25 us for one row

# what reading an attribute raises that another version has not, or has in another form
_OTHER_VERSIONS = (AttributeError, TypeError, ValueError, LookupError)


def compile_model(request: dict[str, Any]) -> dict[str, Any]:
    """request: see mlship.server.inspect; `graph`: whether the form asked for is an ONNX graph. Writes FILE into the folder `writable`.

    Answers {"engine", "sha256", "rows", "refused", "difference", "seconds": {rows: [original, compiled]}, "reason", "gains"}: an empty
    engine where the model has no compiled form, a reason where it has none or where its answers are not the original's; gains:
    whether a graph of it may be quicker than what there is.
    """
    document = manifest.from_json(request["manifest"].encode())
    entry, root = document.model(), Path(request["root"])
    answer: dict[str, Any] = attempt(lambda: _compiled(entry, root, root / document.code, request), "load")
    return answer


def _compiled(entry: manifest.Model, root: Path, code: Path, request: dict[str, Any]) -> dict[str, Any]:
    loaded: Any = runtime_for(entry.framework).load(entry, root)
    sample = list(request["sample"] or ())
    hooks = hooks_from(entry, code) if entry.hooks else None
    if hooks:
        sample = hooks.before(sample)
    found = loaded.signature(tuple(sample))
    is_graph = bool(request.get("graph"))
    try:
        form = form_of(loaded, entry.method, found, is_graph=is_graph)
    except Unfit as unfit:
        return _none(str(unfit), gains=not is_graph and gains_from_graph(loaded))
    except _OTHER_VERSIONS as error:
        return _none(f"this version of {entry.framework} keeps its models otherwise ({type(error).__name__}: {error})")
    file = Path(request["writable"]) / FILE
    file.write_bytes(form.content)
    bare = replace(entry, outputs={}, passthrough=(), hooks="", signature=found)
    original = ServedModel(bare, loaded)
    again = replace(bare, path=FILE, engine=manifest.Engine(form.engine), signature=form.signature)
    other = ServedModel(again, runtime_for(form.engine).load(again, file.parent))
    own = own_rows(request.get("own", ()), found, hooks)
    generated = edge_rows(found, sample, form.header, form.arrays)
    proof = _proof(original, other, {SAMPLE: listed_rows(found, sample), **own, GENERATED: generated}, entry)
    return {
        "engine": form.engine,
        "sha256": hashlib.sha256(form.content).hexdigest(),
        **proof,
        "gains": form.engine == "trees" and any(pair[1] > SLOW_S[size] for size, pair in proof["seconds"].items()),
    }


def _proof(original: ServedModel, other: ServedModel, kinds: dict[str, list[Any]], entry: manifest.Model) -> dict[str, Any]:
    signature = original.entry.signature
    labels = frozenset(output.name for output in signature.outputs if output.classes and not output.shape)
    kinds = cut(kinds, _affordable(original, kinds[SAMPLE] or kinds[GENERATED]))
    rows = [row for each in kinds.values() for row in each]
    parity = compared(original, other, rows, entry.tolerance, labels)
    said = {"rows": parity.rows, "refused": parity.refused, "difference": parity.difference, "reason": parity.wrong,
            "kinds": {kind: len(each) for kind, each in kinds.items() if each}}  # fmt: skip
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


def _none(reason: str, gains: bool = False) -> dict[str, Any]:
    nothing = {"engine": "", "sha256": "", "rows": 0, "refused": 0, "difference": 0.0, "seconds": {}, "kinds": {}}
    return {**nothing, "reason": reason, "gains": gains}
