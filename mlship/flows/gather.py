"""Everything that a build starts from, read once: models, own code, training environment, requirements. Changes nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from mlship.config.project import Project
from mlship.errors import Finding, FindingsError
from mlship.flows.context import Context
from mlship.flows.fetching import Take, fetched_models, origins_of
from mlship.flows.gpu_use import gpu_findings
from mlship.flows.model_memory import size_findings
from mlship.flows.secret_files import secret_findings
from mlship.frameworks.base import ModelSpec, Origin, Pinned
from mlship.frameworks.code import clashes
from mlship.frameworks.digest import FileDigests
from mlship.frameworks.kinds import KINDS
from mlship.frameworks.specs import model_spec
from mlship.image.packages.closure import version_findings
from mlship.image.packages.environment import TrainingEnvironment
from mlship.image.packages.find_environment import find_environment
from mlship.image.packages.indexes import Indexes, find_indexes
from mlship.image.packages.python_version import OLDEST_SERVED
from mlship.image.packages.requirements_files import Requirements, requirements_of
from mlship.memo import FORGETFUL, Memo

_MACHINES = {"x86_64": "linux/amd64", "amd64": "linux/amd64", "aarch64": "linux/arm64", "arm64": "linux/arm64"}


@dataclass(frozen=True)
class Gathered:
    """minor: of the image's Python, `3.11`. findings: warnings and notes only, once `refuse_errors` let it pass."""

    project: Project
    specs: tuple[ModelSpec, ...]
    environment: TrainingEnvironment
    requirements: Requirements
    indexes: Indexes
    platform: str
    minor: str
    findings: tuple[Finding, ...]


def gather(context: Context, project: Project, python: str = "", take: Take = "pinned") -> Gathered:
    """python: what `--python` says. take: which of the models that have to be fetched.

    Raises MlshipError where there is nothing to start from; mistakes stand in findings.
    """
    memo = Memo(context.home.memo)
    fetched = fetched_models(context, project, take)
    specs, findings = specs_of(project, memo, (context.home.root.resolve(),), origins_of(fetched))
    modules = tuple(sorted({module for spec in specs for module in spec.modules}))
    environment = find_environment(
        project.root,
        python=python,
        requirements=project.build.requirements,
        environ=context.environ,
        runner=context.runner,
        modules=modules,
        python_version=project.build.python or "",
        memo=memo,
        pinned=pinned_of(specs),
    )
    platform = wanted_platforms(project)[0]
    requirements = requirements_of(
        environment, modules, project_root=project.root, own=own_modules(specs), platform=platform, memo=memo
    )
    return Gathered(
        project=project,
        specs=specs,
        environment=environment,
        requirements=requirements,
        indexes=find_indexes(context.environ, project.root, prefix=environment.prefix, file=environment.file),
        platform=platform,
        minor=project.build.python or environment.minor,
        findings=(
            *findings,
            *(finding for one in fetched.values() for finding in one.findings),
            *secret_findings(project, specs, memo),
            *gpu_findings(project, specs),
            *size_findings(project, ((spec.name, spec.framework, spec.size) for spec in specs)),
            *recorded_findings(specs, environment),
            *passed_over_findings(environment),
            *minor_findings(project, environment),
            *old_python_findings(project, environment),
            *requirements.findings,
        ),
    )


def refuse_errors(gathered: Gathered) -> Gathered:
    """Raises FindingsError with every finding when one of them is an error."""
    errors = [finding for finding in gathered.findings if finding.severity == "error"]
    if errors:
        count = "a problem" if len(errors) == 1 else f"{len(errors)} problems"
        raise FindingsError(f"{gathered.project.name} has {count}", gathered.findings)
    return gathered


def for_platforms(gathered: Gathered) -> tuple[Gathered, ...]:
    """The same for every platform that is wanted, in the order of `wanted_platforms`. Raises as `refuse_errors`."""
    others = (_for_platform(gathered, platform) for platform in wanted_platforms(gathered.project)[1:])
    return (gathered, *map(refuse_errors, others))


def specs_of(
    project: Project, memo: Memo = FORGETFUL, own: tuple[Path, ...] = (), origins: Mapping[str, Origin] | None = None
) -> tuple[tuple[ModelSpec, ...], tuple[Finding, ...]]:
    """Reads every model's files, those that have changed since the memo; loads none. own: mlship's folders. origins: by name,
    of models that were fetched."""
    digests = FileDigests(memo, str(project.file))
    pairs = [model_spec(project, name, model, digests, memo, own, (origins or {}).get(name)) for name, model in project.models]
    digests.save()
    specs = tuple(spec for spec, _ in pairs)
    twice = clashes((file for spec in specs for file in spec.code), project.root, project.at("models"))
    return specs, (*(finding for _, found in pairs for finding in found), *twice)


def wanted_platforms(project: Project) -> tuple[str, ...]:
    """What the file says, else this machine's. The one of this machine comes first: what is wrong with a model is seen there."""
    here = own_platform()
    return tuple(sorted(project.build.platforms or (here,), key=lambda platform: (platform != here, platform)))


def own_platform() -> str:
    """What images for this machine's processor are for."""
    return _MACHINES.get(os.uname().machine.lower(), "linux/amd64")


def own_modules(specs: tuple[ModelSpec, ...]) -> tuple[str, ...]:
    """Import names of the user's own code: the first part of each file's path, without `.py`."""
    return tuple(sorted({file.name.partition("/")[0].removesuffix(".py") for spec in specs for file in spec.code}))


def recorded_findings(specs: tuple[ModelSpec, ...], environment: TrainingEnvironment) -> tuple[Finding, ...]:
    """What the models recorded of their packages against the environment; a file of requirements is judged after locking."""
    if environment.file is not None:
        return ()
    found = {name: distribution.version for name, distribution in environment.distributions.items()}
    return tuple(
        finding
        for spec in specs
        for finding in version_findings(spec.versions, found, environment.source, reads_older=KINDS[spec.framework].reads_older)
    )


def pinned_of(specs: tuple[ModelSpec, ...]) -> Pinned | None:
    """The packages that came with the models, where these agree."""
    found = {spec.pinned.lines: spec.pinned for spec in specs if spec.pinned is not None}
    return next(iter(found.values())) if len(found) == 1 and all(spec.pinned for spec in specs) else None


def passed_over_findings(environment: TrainingEnvironment) -> tuple[Finding, ...]:
    """That the packages which came with the model are taken, and not the environment that is active."""
    if not environment.passed_over:
        return ()
    what = f"{environment.passed_over} has not the versions that trained the model; those of {environment.source} are taken"
    fix = f"--python {environment.passed_over} takes the environment all the same"
    return (Finding(what, environment.source, fix, "note", "passed-over"),)


def minor_findings(project: Project, environment: TrainingEnvironment) -> tuple[Finding, ...]:
    """`build.python` against the interpreter that trained the model."""
    wanted = project.build.python
    if wanted is None or environment.python is None or wanted == environment.minor:
        return ()
    return (
        Finding(
            f"build.python is {wanted}, but {environment.source} is Python {environment.version}",
            project.at("build.python"),
            f'leave it out, or write python: "{environment.minor}"',
            "warning",
            "other-python",
        ),
    )


def old_python_findings(project: Project, environment: TrainingEnvironment) -> tuple[Finding, ...]:
    """Whether the server starts with the image's Python."""
    minor = project.build.python or environment.minor
    where = project.at("build.python") if project.build.python else environment.source
    if not minor or int(minor.partition(".")[2]) >= OLDEST_SERVED:
        return ()
    what = f"Python {minor} is not yet served: the server needs 3.{OLDEST_SERVED} or newer"
    return (Finding(what, where, f"train with Python 3.{OLDEST_SERVED} or newer, or name its environment with --python",
                    code="not-yet"),)  # fmt: skip


def _for_platform(gathered: Gathered, platform: str) -> Gathered:
    """Of all that was gathered, requirements alone differ: their markers are of a platform."""
    modules = tuple(sorted({module for spec in gathered.specs for module in spec.modules}))
    own = own_modules(gathered.specs)
    root = gathered.project.root
    brought = tuple(sorted({pin for spec in gathered.specs for pin in spec.brought}))
    requirements = requirements_of(
        gathered.environment, modules, project_root=root, own=own, platform=platform, brought=brought
    )
    told = tuple(dict.fromkeys((*gathered.findings, *requirements.findings)))
    return replace(gathered, platform=platform, requirements=requirements, findings=told)
