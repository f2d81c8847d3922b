"""model.quantize: a neural ONNX graph in 8 bits, if what that costs on model.holdout is within its budget."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from mlship.config.schema import Model
from mlship.errors import Finding, MlshipError
from mlship.flows.context import Context
from mlship.flows.evidence import Evidence, drawn, rows_finding
from mlship.flows.gather import Gathered
from mlship.frameworks.base import ModelFile, ModelSpec
from mlship.frameworks.digest import FileDigests
from mlship.frameworks.engine_choice import HOLDOUT, INT8, Cost, EngineFacts
from mlship.frameworks.quantizing import FILE, Quantized, quantize_in_child, quantized_at
from mlship.image.packages.beside import Beside, Hands, packages_beside
from mlship.image.packages.environment import TrainingEnvironment
from mlship.image.server_sources import server_digest
from mlship.memo import Memo
from mlship.server.manifest import Tolerance
from mlship.units import size_text

LARGE = 2**30  # bytes of a graph: it lies in memory several times, and its 8 bits are one file of at most 2 GiB
WANTED = ("onnx>=1.17,<2",)  # tried: onnx 1.23.2 with onnxruntime 1.32.0
OF_TREES = ("xgboost", "lightgbm", "catboost")


def with_int8(
    context: Context, gathered: Gathered, spec: ModelSpec, model: Model, evidence: Evidence, memo: Memo, where: str
) -> tuple[ModelSpec, tuple[Finding, ...]]:
    """The model as the image will have it, or why it cannot be had so. where: the key model.quantize."""
    assert model.quantize is not None
    reason, fix = unfit(spec, gathered.environment)
    if reason:
        return spec, (Finding(f"{spec.name} cannot be quantized: {reason}", where, fix, code="no-int8"),)
    try:
        found = _found(context, gathered, spec, evidence, memo)
    except MlshipError as error:
        return spec, (rows_finding(error, evidence, where),)
    if found.reason:
        fix = "delete model.quantize: the graph is served as it is"
        return spec, (Finding(f"{spec.name} cannot be quantized: {found.reason}", where, fix, code="no-int8"),)
    cost = Cost(found.measure, found.before, found.after, found.rows, model.quantize.max_loss, found.sizes)
    if cost.loss > cost.allowed:
        return spec, (too_dear(spec.name, cost, where),)
    return _in_8_bits(context, spec, model, found, cost, memo), ()


def unfit(spec: ModelSpec, environment: TrainingEnvironment) -> tuple[str, str]:
    """Why it is not quantized, and what to do; nothing where nothing that the files tell speaks against it. Pure."""
    delete = "delete model.quantize"
    if spec.framework in OF_TREES:
        return "trees compare numbers with what they split at, and 8 bits would move the splits", delete
    if spec.framework != "onnx":
        return (
            f"8 bits are for neural networks in ONNX graphs, and it is of {spec.framework}",
            f"export it as ONNX, or {delete}",
        )
    if environment.trained_by is None:
        what = f"{environment.source} names packages, not an interpreter that could do it"
        return what, "name one with onnxruntime: --python PATH"
    if spec.size > LARGE:
        return f"it has {size_text(spec.size)}, and at most {size_text(LARGE)} are quantized", delete
    return "", ""


def too_dear(name: str, cost: Cost, where: str) -> Finding:
    """That int8 loses more than it may. Pure."""
    what = (
        f"int8 costs {name} too much: {cost.measure} {cost.before:.4f} becomes {cost.after:.4f} on {cost.rows} rows of holdout, "
        f"a loss of {cost.loss:.4f}, and {cost.allowed:g} is allowed"
    )
    fix = "name more training rows with model.reference, raise max_loss, or delete model.quantize"
    return Finding(what, where, fix, code="int8-loss")


def _found(context: Context, gathered: Gathered, spec: ModelSpec, evidence: Evidence, memo: Memo) -> Quantized:
    """Raises MlshipError."""
    beside = _beside(context, gathered, memo)
    subject, facts = f"{gathered.project.file} {spec.name}", [*_facts(gathered, spec, evidence), beside.pins if beside else ()]
    known = memo.recall("int8", subject, facts)
    if known is not None:
        found = _from_memo(known)
        if found.reason or quantized_at(_folder(context), found.sha256).is_file():
            return found
    context.progress.step("engine", f"{spec.name} is quantized and measured in {gathered.environment.source}")
    found = _asked(context, gathered, spec, evidence, beside)
    memo.keep("int8", subject, facts, asdict(found))
    return found


def _beside(context: Context, gathered: Gathered, memo: Memo) -> Beside | None:
    """onnx, which onnxruntime quantizes with and does not bring, where the environment lacks it. Raises MlshipError."""
    if "onnx" in gathered.environment.versions:
        return None
    hands = Hands(gathered.indexes, context.runner, context.home, context.progress, memo, gathered.project.root)
    try:
        return packages_beside(gathered.environment, WANTED, hands)
    except MlshipError as error:
        what = (
            f"quantizing needs the package onnx, which {gathered.environment.source} lacks, and it cannot be had: {error.what}"
        )
        raise MlshipError(what, fix="pip install onnx in the training environment", exit=error.exit, code="no-int8") from None


def _asked(context: Context, gathered: Gathered, spec: ModelSpec, evidence: Evidence, beside: Beside | None) -> Quantized:
    # here and not above: a build that has nothing to do needs none of it
    from mlship.flows.training import LOAD_TIMEOUT_S, staged
    from mlship.frameworks.child import child_python
    from mlship.image.manifest import model_entry

    python = gathered.environment.trained_by
    assert python is not None, "without an interpreter nothing is quantized"
    own = [drawn(file) for file in evidence.files]
    with staged(spec) as root:
        child = child_python(python, context.home, context.environ, (root / "code",))
        into = _folder(context)
        return quantize_in_child(
            context.runner,
            child,
            model_entry(spec),
            root,
            spec.sample,
            own,
            into,
            timeout_s=LOAD_TIMEOUT_S,
            beside=beside.folder if beside else None,
        )


def _facts(gathered: Gathered, spec: ModelSpec, evidence: Evidence) -> list[Any]:
    """All that the answer depends on; the budget is held against it afterwards."""
    return [
        server_digest(),
        spec.sha256,
        spec.hooks,
        spec.sample,
        [(file.name, file.sha256) for file in spec.code],
        gathered.environment.version,
        sorted(gathered.environment.versions.items()),
        evidence.facts,
    ]


def _from_memo(known: Mapping[str, Any]) -> Quantized:
    seconds = {rows: (pair[0], pair[1]) for rows, pair in known["seconds"].items()}
    return Quantized(**{**known, "sizes": tuple(known["sizes"]), "seconds": seconds})


def _in_8_bits(context: Context, spec: ModelSpec, model: Model, found: Quantized, cost: Cost, memo: Memo) -> ModelSpec:
    """Its answers are its own from here on. Where a rounding falls otherwise on another processor, a number moves by one step."""
    digests = FileDigests(memo, f"int8 {spec.name} {found.sha256}")
    path = quantized_at(_folder(context), found.sha256)
    known = digests.of(path)
    digests.save()
    # two digits: it goes into the manifest, and processors differ in the last ones
    wider = Tolerance(spec.tolerance.rtol, max(spec.tolerance.atol, float(f"{found.step:.2g}")))
    return replace(
        spec,
        files=(ModelFile(path, FILE, known.sha256, known.size, known.state),),
        tolerance=spec.tolerance if model.tolerance else wider,
        engine=EngineFacts(INT8, sha256=found.sha256, seconds=found.seconds, kinds={HOLDOUT: found.rows}, cost=cost),
        original=spec,
    )


def _folder(context: Context) -> Path:
    return context.home.cache / "compiled"
