"""model.engine: every model with the engine that computes it in the image, compiled and proved where it was trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from mlship.config.schema import Model
from mlship.errors import Finding, MlshipError
from mlship.flows.context import Context
from mlship.flows.evidence import ROWS, Evidence, drawn, evidence_of, rows_finding, unused
from mlship.flows.gather import Gathered, own_modules
from mlship.flows.gpu_use import ON_GPU
from mlship.frameworks.base import ModelFile, ModelSpec
from mlship.frameworks.code import imported_modules
from mlship.frameworks.digest import FileDigests
from mlship.frameworks.engine_choice import GRAPH, ORIGINAL, REFERENCE, EngineFacts, Tried, best, choice, refusal
from mlship.image.packages.beside import Beside, Hands, packages_beside
from mlship.image.packages.requirements_files import requirements_of
from mlship.image.server_sources import server_digest
from mlship.memo import Memo

COMPILED = ("sklearn",)  # frameworks whose models may have a form for numpy
GRAPHED = ("xgboost", "lightgbm")  # those whose models may have an ONNX graph, and nothing else
# What proves and serves graphs: 1.20 knows TreeEnsemble, 1.22 is the oldest that was tried with it.
RUNTIME = "onnxruntime"
WANTED = (f"{RUNTIME}>=1.22,<2",)
AGAIN_S = 3600  # after which an index that could not be reached is asked again
LARGE = 2**30  # bytes of a model that is not tried: it would lie in memory several times


def with_engines(context: Context, gathered: Gathered) -> Gathered:
    """The models as the image will have them, and what these need. Where something is wrong already, all stays as it is.

    An engine that was asked for by name and cannot be had is a finding.
    """
    if any(finding.severity == "error" for finding in gathered.findings):
        return gathered
    wanted = dict(gathered.project.models)
    memo = Memo(context.home.memo)
    pairs = []
    for spec in gathered.specs:
        evidence = evidence_of(gathered.project, _prefix(gathered, spec), wanted[spec.name], memo)
        reference = next((file.sha256 for file in evidence.files if file.kind == REFERENCE), "")
        pairs.append(_with_engine(context, gathered, replace(spec, reference=reference), wanted[spec.name], evidence, memo))
    specs, findings = tuple(spec for spec, _ in pairs), tuple(finding for _, found in pairs for finding in found)
    chosen = replace(gathered, specs=specs, findings=(*gathered.findings, *findings))
    if not any(spec.original for spec in specs):
        return chosen
    modules = tuple(sorted({module for spec in specs for module in spec.modules}))
    requirements = requirements_of(
        gathered.environment,
        modules,
        project_root=gathered.project.root,
        own=own_modules(specs),
        platform=gathered.platform,
        memo=memo,
        brought={pin for spec in specs for pin in spec.brought},
    )
    return replace(chosen, requirements=requirements)


def _with_engine(
    context: Context, gathered: Gathered, spec: ModelSpec, model: Model, evidence: Evidence, memo: Memo
) -> tuple[ModelSpec, tuple[Finding, ...]]:
    if evidence.findings:
        return spec, evidence.findings
    if model.quantize:
        from mlship.flows.quantizing import with_int8  # few models ask for it

        return with_int8(context, gathered, spec, model, evidence, memo, gathered.project.at(_key(gathered, spec, "quantize")))
    if model.engine == ORIGINAL:
        return spec, unused(evidence, spec.name, "model.engine is original")
    where = gathered.project.at(_key(gathered, spec, "engine"))
    try:
        plan, graph = _both(context, gathered, spec, model, evidence, memo)
    except MlshipError as error:
        return spec, (rows_finding(error, evidence, where),)
    idle = () if plan.rows or (graph and graph.rows) else unused(evidence, spec.name, (graph or plan).reason)
    if model.engine == "auto":
        return _computed_by(context, gathered, spec, best(plan, graph), memo), idle
    tried = graph or plan
    reason = refusal(model.engine, tried)
    if not reason:
        return _computed_by(context, gathered, spec, choice(tried, measured=False), memo), idle
    fix = "write engine: auto, or leave it out"
    return spec, (Finding(f"{spec.name} cannot be computed by {model.engine}: {reason}", where, fix, code="no-engine"),)


def _both(
    context: Context, gathered: Gathered, spec: ModelSpec, model: Model, evidence: Evidence, memo: Memo
) -> tuple[Tried, Tried | None]:
    """What numpy computes, and an ONNX graph where one is asked for or may be better. Raises MlshipError for wrong files of rows."""
    untried = _untried(gathered, spec)
    if untried:
        return untried, None
    if model.engine == GRAPH:
        return Tried(), _graph(context, gathered, spec, evidence, memo, patient=True)
    plan = _plan(context, gathered, spec, evidence, memo)
    looks = model.engine == "auto" and plan.gains
    return plan, _graph(context, gathered, spec, evidence, memo, patient=False) if looks else None


def _key(gathered: Gathered, spec: ModelSpec, key: str) -> str:
    return f"{_prefix(gathered, spec)}.{key}"


def _prefix(gathered: Gathered, spec: ModelSpec) -> str:
    return f"models.{spec.name}" if f"models.{spec.name}" in gathered.project.positions else "model"


def _untried(gathered: Gathered, spec: ModelSpec) -> Tried | None:
    """What is known without loading the model."""
    if gathered.project.resources.gpu is not None and spec.framework in ON_GPU:
        return Tried(reason="resources.gpu is set: the original computes on the GPU, and compiled forms on the CPU")
    if spec.framework not in (*COMPILED, *GRAPHED):
        return Tried(reason=f"models of {spec.framework} have no compiled form")
    if gathered.environment.trained_by is None:
        return Tried(reason=f"{gathered.environment.source} names packages, not an interpreter that could compile")
    if spec.size > LARGE:
        return Tried(reason="its file is larger than 1 GiB")
    return None


def _plan(context: Context, gathered: Gathered, spec: ModelSpec, evidence: Evidence, memo: Memo) -> Tried:
    """What numpy alone computes."""
    if spec.framework in GRAPHED:
        return Tried(reason=f"models of {spec.framework} have no form for numpy", gains=True)
    return _tried(context, gathered, spec, evidence, memo, None)


def _graph(context: Context, gathered: Gathered, spec: ModelSpec, evidence: Evidence, memo: Memo, *, patient: bool) -> Tried:
    """An ONNX graph. patient: an index that could not be reached just now is asked again."""
    try:
        beside = _runtime(context, gathered, memo, patient=patient)
    except MlshipError as error:
        return Tried(reason=f"{GRAPH} not tried: {error.what}")
    return _tried(context, gathered, spec, evidence, memo, beside)


def _runtime(context: Context, gathered: Gathered, memo: Memo, *, patient: bool) -> Beside:
    """onnxruntime for the environment. Raises MlshipError where it cannot be had."""
    subject, facts = gathered.environment.source, [sorted(gathered.environment.versions.items()), context.clock() // AGAIN_S]
    failed = None if patient else memo.recall("no-runtime", subject, facts)
    if failed is not None:
        raise MlshipError(str(failed))
    hands = Hands(gathered.indexes, context.runner, context.home, context.progress, memo, gathered.project.root)
    try:
        return packages_beside(gathered.environment, WANTED, hands)
    except MlshipError as error:
        memo.keep("no-runtime", subject, facts, error.what)
        raise


def _tried(
    context: Context, gathered: Gathered, spec: ModelSpec, evidence: Evidence, memo: Memo, beside: Beside | None
) -> Tried:
    """beside: what computes an ONNX graph, None for what numpy computes. Raises MlshipError for wrong files of rows."""
    kind, subject = "engine-graph" if beside else "engine", f"{gathered.project.file} {spec.name}"
    facts = [*_facts(gathered, spec), evidence.facts, *(beside.pins if beside else ())]
    known = memo.recall(kind, subject, facts)
    if known is not None:
        tried = _from_memo(known)
        digests = FileDigests(memo, f"compiled {spec.name} {tried.sha256}")
        if tried.reason or digests.is_still(_file_of(context, tried), tried.sha256):
            digests.save()
            return tried
    what = "an ONNX graph of it" if beside else "it"
    context.progress.step("engine", f"{spec.name}: {what} is compiled and compared in {gathered.environment.source}")
    try:
        tried = _asked(context, gathered, spec, evidence, beside)
    except MlshipError as error:
        if error.code.startswith(ROWS):
            raise
        # whether the model loads at all, and why not, is told where it has to
        return Tried(reason=error.what)
    memo.keep(kind, subject, facts, asdict(tried))
    return tried


def _asked(context: Context, gathered: Gathered, spec: ModelSpec, evidence: Evidence, beside: Beside | None) -> Tried:
    # here and not above: a build that has nothing to do needs none of it
    from mlship.flows.training import LOAD_TIMEOUT_S, staged
    from mlship.frameworks.child import child_python
    from mlship.frameworks.compiling import compile_in_child
    from mlship.image.manifest import model_entry

    python = gathered.environment.trained_by
    assert python is not None, "without an interpreter nothing is tried"
    own = [drawn(file) for file in evidence.files]
    with staged(spec) as root:
        child = child_python(python, context.home, context.environ, (root / "code",))
        return compile_in_child(
            context.runner,
            child,
            model_entry(spec),
            root,
            spec.sample,
            _compiled(context),
            timeout_s=LOAD_TIMEOUT_S,
            beside=beside.folder if beside else None,
            own=own,
        )


def _facts(gathered: Gathered, spec: ModelSpec) -> list[Any]:
    """All that the answer depends on."""
    return [
        server_digest(),
        spec.sha256,
        spec.format,
        spec.method,
        spec.hooks,
        spec.sample,
        spec.trust,
        asdict(spec.tolerance),
        [(file.name, file.sha256) for file in spec.code],
        gathered.environment.version,
        sorted(gathered.environment.versions.items()),
    ]


def _from_memo(known: Mapping[str, Any]) -> Tried:
    return Tried(**{**known, "seconds": {rows: (pair[0], pair[1]) for rows, pair in known["seconds"].items()}})


def _computed_by(context: Context, gathered: Gathered, spec: ModelSpec, engine: EngineFacts, memo: Memo) -> ModelSpec:
    """The model as the image has it: of a compiled one, another file, which needs numpy, what runs graphs, and what hooks import."""
    if engine.name == ORIGINAL:
        return replace(spec, engine=engine)
    digests = FileDigests(memo, f"compiled {spec.name} {engine.sha256}")
    path = _file_of(context, engine)
    found = digests.of(path)
    digests.save()
    needed = imported_modules(file.path for file in spec.code) - set(own_modules((spec,))) - {"mlship"}
    is_graph = engine.name == GRAPH
    version = _runtime(context, gathered, memo, patient=True).version_of(RUNTIME) if is_graph else ""
    return replace(
        spec,
        files=(ModelFile(path, f"model{path.suffix}", found.sha256, found.size, found.state),),
        format=path.suffix[1:],
        names=(),
        versions={},
        modules=tuple(sorted({*needed, RUNTIME} if is_graph else needed)),
        brought=(f"{RUNTIME}=={version}",) if version else (),
        trust=(),
        engine=engine,
        original=spec,
    )


def _compiled(context: Context) -> Path:
    return context.home.cache / "compiled"


def _file_of(context: Context, found: Tried | EngineFacts) -> Path:
    from mlship.frameworks.compiling import kept_at

    name = found.engine if isinstance(found, Tried) else found.name
    return kept_at(_compiled(context), name, found.sha256)
