"""model.engine: every model with the engine that computes it in the image, compiled and proved where it was trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from mlship.config.schema import Model
from mlship.errors import Finding, MlshipError
from mlship.flows.context import Context
from mlship.flows.gather import Gathered, own_modules
from mlship.frameworks.base import ModelFile, ModelSpec
from mlship.frameworks.code import imported_modules
from mlship.frameworks.digest import FileDigests
from mlship.frameworks.engine_choice import ORIGINAL, EngineFacts, Tried, choice, refusal
from mlship.image.packages.requirements_files import requirements_of
from mlship.image.server_sources import server_digest
from mlship.memo import Memo

COMPILED = ("sklearn",)  # frameworks whose models may have a compiled form
LARGE = 2**30  # bytes of a model that is not tried: it would lie in memory several times


def with_engines(context: Context, gathered: Gathered) -> Gathered:
    """The models as the image will have them, and what these need. Where something is wrong already, all stays as it is.

    An engine that was asked for by name and cannot be had is a finding.
    """
    if any(finding.severity == "error" for finding in gathered.findings):
        return gathered
    wanted = dict(gathered.project.models)
    memo = Memo(context.home.memo)
    pairs = [_with_engine(context, gathered, spec, wanted[spec.name], memo) for spec in gathered.specs]
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
    )
    return replace(chosen, requirements=requirements)


def _with_engine(
    context: Context, gathered: Gathered, spec: ModelSpec, model: Model, memo: Memo
) -> tuple[ModelSpec, tuple[Finding, ...]]:
    if model.engine == ORIGINAL:
        return spec, ()
    tried = _untried(gathered, spec)
    if tried is None:
        tried = _tried(context, gathered, spec, memo)
    if model.engine == "auto":
        return _computed_by(context, spec, choice(tried), memo), ()
    reason = refusal(model.engine, tried)
    if not reason:
        return _computed_by(context, spec, choice(tried, measured=False), memo), ()
    where = gathered.project.at(_key(gathered, spec, "engine"))
    fix = "write engine: auto, or leave it out"
    return spec, (Finding(f"{spec.name} cannot be computed by {model.engine}: {reason}", where, fix, code="no-engine"),)


def _key(gathered: Gathered, spec: ModelSpec, key: str) -> str:
    prefix = f"models.{spec.name}" if f"models.{spec.name}" in gathered.project.positions else "model"
    return f"{prefix}.{key}"


def _untried(gathered: Gathered, spec: ModelSpec) -> Tried | None:
    """What is known without loading the model."""
    if spec.framework not in COMPILED:
        return Tried(reason=f"models of {spec.framework} have no compiled form")
    if gathered.environment.trained_by is None:
        return Tried(reason=f"{gathered.environment.source} names packages, not an interpreter that could compile")
    if spec.size > LARGE:
        return Tried(reason="its file is larger than 1 GiB")
    return None


def _tried(context: Context, gathered: Gathered, spec: ModelSpec, memo: Memo) -> Tried:
    subject, facts = f"{gathered.project.file} {spec.name}", _facts(gathered, spec)
    known = memo.recall("engine", subject, facts)
    if known is not None:
        tried = _from_memo(known)
        if tried.reason or _plan_of(context, tried.sha256).is_file():
            return tried
    context.progress.step("engine", f"{spec.name} is compiled and compared in {gathered.environment.source}")
    try:
        tried = _asked(context, gathered, spec)
    except MlshipError as error:
        # whether the model loads at all, and why not, is told where it has to
        return Tried(reason=error.what)
    memo.keep("engine", subject, facts, asdict(tried))
    return tried


def _asked(context: Context, gathered: Gathered, spec: ModelSpec) -> Tried:
    # here and not above: a build that has nothing to do needs none of it
    from mlship.flows.training import LOAD_TIMEOUT_S, staged
    from mlship.frameworks.child import child_python
    from mlship.frameworks.compiling import compile_in_child
    from mlship.image.manifest import model_entry

    python = gathered.environment.trained_by
    assert python is not None, "without an interpreter nothing is tried"
    with staged(spec) as root:
        child = child_python(python, context.home, context.environ, (root / "code",))
        return compile_in_child(
            context.runner, child, model_entry(spec), root, spec.sample, _plans(context), timeout_s=LOAD_TIMEOUT_S
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


def _computed_by(context: Context, spec: ModelSpec, engine: EngineFacts, memo: Memo) -> ModelSpec:
    """The model as the image has it: of a compiled one, another file, which needs numpy and what hooks import."""
    if engine.name == ORIGINAL:
        return replace(spec, engine=engine)
    digests = FileDigests(memo, f"compiled {spec.name} {engine.sha256}")
    path = _plan_of(context, engine.sha256)
    found = digests.of(path)
    digests.save()
    needed = imported_modules(file.path for file in spec.code) - set(own_modules((spec,))) - {"mlship"}
    return replace(
        spec,
        files=(ModelFile(path, "model.plan", found.sha256, found.size, found.state),),
        format="plan",
        names=(),
        versions={},
        modules=tuple(sorted(needed)),
        trust=(),
        engine=engine,
        original=spec,
    )


def _plans(context: Context) -> Path:
    return context.home.cache / "compiled"


def _plan_of(context: Context, sha256: str) -> Path:
    return _plans(context) / f"{sha256}.plan"
