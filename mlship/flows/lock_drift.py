"""What has changed since mlship.lock was written, by name. Pure but for the files of requirements, which are read.

What a build is held to by --locked: requirements, Python, build.packages, the base, the server's packages, the models. Facts
of the machine that locked (the base layer's diff_id, the compressor) and the age of the lock are never drift.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from mlship.config.schema import Gpu
from mlship.errors import Exit, Finding, FindingsError
from mlship.flows.building.inputs import lock_inputs, lock_path, locked_models
from mlship.flows.gather import Gathered
from mlship.image.lock import Lock, LockedModel, LockFile
from mlship.image.lock_file import NAME, read_lock_file
from mlship.image.packages.asked import asked_changes, asked_lines
from mlship.image.packages.wheels import server_changes, server_keys

REMEDY = "mlship lock writes the lock anew; commit it"


def refuse_drift(platforms: Sequence[Gathered], *, retrained: bool = False) -> None:
    """Raises FindingsError with exit 5, each change by its name. retrained: the models may be others than the locked ones."""
    file = read_lock_file(lock_path(platforms[0]))
    found = [finding for gathered in platforms for finding in drift(gathered, file, retrained=retrained)]
    if found:
        title = f"{NAME} does not fit {platforms[0].environment.source} and mlship.yaml any more"
        raise FindingsError(title, _said_once(dict.fromkeys(found)), exit=Exit.BUILD_FAILED, code="lock-drift")


def source_of(gathered: Gathered) -> str:
    """Where the requirements are from, without a path of this machine."""
    file = gathered.environment.file
    return file.name if file else "the training environment"


def drift(gathered: Gathered, file: LockFile, *, retrained: bool = False) -> tuple[Finding, ...]:
    """One finding for each requirement, package and model; empty where the lock fits."""
    lock = next((lock for lock in file.locks if lock.platform == gathered.platform), None)
    models = () if retrained else tuple(model_changes(file.models, locked_models(gathered)))
    if lock is None:
        return (_finding(_not_locked(gathered, file)),)
    packages = tuple(map(_finding, _changes(gathered, lock)))
    return (*packages, *map(_model_finding, models))


def model_changes(before: tuple[LockedModel, ...] | None, after: Iterable[LockedModel]) -> Iterator[str]:
    """Nothing where no models were locked, as in a file of schema 1. Pure."""
    if before is None:
        return
    old, new = {model.name: model for model in before}, {model.name: model for model in after}
    for name in sorted({*old, *new}):
        was, now = old.get(name), new.get(name)
        if was is None:
            yield f"{name} is not locked"
        elif now is None:
            yield f"{name} is locked, and mlship.yaml does not have it any more"
        elif was.sha256 != now.sha256:
            yield f"{name} ({now.path}) is {now.sha256[:12]}, and {was.sha256[:12]} is locked"
        elif was.path != now.path:
            yield f"{name} is {now.path}, and {was.path} is locked"


def _not_locked(gathered: Gathered, file: LockFile) -> str:
    others = ", ".join(sorted(lock.platform for lock in file.locks))
    return f"{NAME} has nothing for {gathered.platform}, only for {others}" if others else f"there is no {NAME}"


def _changes(gathered: Gathered, lock: Lock) -> Iterator[str]:
    """Of schema 1 also locks without the server's packages fit: nothing says that these were others."""
    if lock.inputs != lock_inputs(gathered):
        yield from tuple(_input_changes(gathered, lock)) or (_unnamed(gathered, lock),)
    if lock.server:
        yield from server_changes(lock.server, lock.python, server_keys(gathered.project))


def _input_changes(gathered: Gathered, lock: Lock) -> Iterator[str]:
    build, asked, source = gathered.project.build, lock.asked, gathered.environment.source
    if lock.python != gathered.minor:
        yield f"Python {lock.python} is locked, and {gathered.minor} is wanted"
    if asked is None:
        return
    if lock.inputs == lock_inputs(_with_other_builds(gathered)):
        locked, said = ("builds for CPUs", "has") if gathered.project.resources.gpu else ("CUDA builds", "has no")
        yield f"{locked} are locked, and mlship.yaml {said} resources.gpu"
    if asked.base != build.base:
        yield f"build.base {asked.base} is locked, and mlship.yaml says {build.base}"
    for name in sorted({*build.packages} - {*asked.packages}):
        yield f"build.packages has {name}, which is not locked"
    for name in sorted({*asked.packages} - {*build.packages}):
        yield f"{name} is locked, and build.packages does not have it any more"
    yield from asked_changes(asked.requirements, asked_lines(gathered.requirements), source)


def _with_other_builds(gathered: Gathered) -> Gathered:
    """The same project with a GPU, or without one."""
    import msgspec

    resources = gathered.project.resources
    other = msgspec.structs.replace(resources, gpu=None if resources.gpu else Gpu(count=1))
    return replace(gathered, project=replace(gathered.project, resources=other))


def _unnamed(gathered: Gathered, lock: Lock) -> str:
    source = gathered.environment.source
    if lock.asked is None:
        return f"{source} or mlship.yaml changed (an earlier mlship wrote {NAME}, without what it was asked for)"
    if lock.asked.source != source_of(gathered):
        return f"{lock.asked.source} was locked, and {source} is used now"
    return f"{source} was edited, or a folder that it names; the packages that it asks for are the same"


def _finding(change: str) -> Finding:
    return Finding(change, NAME, REMEDY, code="lock-drift")


def _model_finding(change: str) -> Finding:
    trained = f"{REMEDY}; or add --retrained, where this pipeline has just trained it"
    return Finding(f"the model {change}", NAME, trained, code="model-drift")


def _said_once(findings: Iterable[Finding]) -> list[Finding]:
    """The same remedy only behind the last that has it."""
    told = list(findings)
    return [
        replace(one, fix="") if one.fix in (later.fix for later in told[place + 1 :]) else one for place, one in enumerate(told)
    ]
