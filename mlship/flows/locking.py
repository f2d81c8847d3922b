"""mlship.lock: used as it is while nothing that it depends on has changed, else resolved anew and written."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mlship.errors import Exit, Finding, FindingsError, MlshipError
from mlship.flows.build_inputs import current_lock, lock_inputs, lock_path, locked_models
from mlship.flows.gather import Gathered
from mlship.flows.libraries import with_libraries
from mlship.image.lock import Lock
from mlship.image.lock_file import NAME, read_lock, with_lock, write_lock
from mlship.image.packages.closure import version_findings
from mlship.image.packages.resolve import lock as resolve
from mlship.image.plan import BasePlan
from mlship.image.system.apt import Archive
from mlship.image.system.base import base_plan, glibc
from mlship.image.workplace import Workplace


@dataclass(frozen=True)
class Locked:
    """The lock to build from, and what resolving it told; findings are empty when the lock on disk was used."""

    lock: Lock
    findings: tuple[Finding, ...] = ()


def locked(workplace: Workplace, gathered: Gathered, archive: Archive | None, *, frozen: bool) -> Locked:
    """frozen: raises MlshipError (exit 5) instead of resolving anew."""
    lock = current_lock(gathered)
    if lock is not None:
        return Locked(lock)
    if frozen:
        raise MlshipError(
            f"{NAME} does not fit {gathered.environment.source} and mlship.yaml any more",
            str(lock_path(gathered)),
            "mlship build without --locked resolves anew; commit the changed lock",
            exit=Exit.BUILD_FAILED,
            code="lock-drift",
        )
    new = _resolved(workplace, gathered, archive)
    warnings = _version_warnings(gathered, new.lock)
    write_lock(lock_path(gathered), with_lock(read_lock(lock_path(gathered)), new.lock), locked_models(gathered))
    return replace(new, findings=(*new.findings, *warnings))


def base_of(lock: Lock, requested: tuple[str, ...]) -> BasePlan:
    """The base as it is locked. requested: build.packages."""
    return BasePlan(lock.suite, lock.platform, f"/usr/bin/python{lock.python}", lock.system, tuple(sorted(set(requested))))


def _resolved(workplace: Workplace, gathered: Gathered, archive: Archive | None) -> Locked:
    if archive is None:
        raise MlshipError(
            "there is no package archive to take the base from",
            fix="set build.mirror in mlship.yaml; mlship doctor says more",
            code="no-archive",
        )
    base = base_plan(workplace, archive, gathered.minor, platform=gathered.platform, packages=gathered.project.build.packages)
    resolution = resolve(
        gathered.requirements,
        python_minor=gathered.minor,
        platform=gathered.platform,
        glibc=glibc(base),
        indexes=gathered.indexes,
        runner=workplace.runner,
        home=workplace.home,
        progress=workplace.progress,
        python=gathered.environment.python,
    )
    lock = Lock(gathered.minor, gathered.platform, base.suite, base.packages, resolution.wheels, lock_inputs(gathered))
    # What the requirements say of themselves was told when they were gathered.
    news = (finding for finding in resolution.findings if finding not in gathered.findings)
    whole, libraries = with_libraries(workplace, gathered, lock, base, archive)
    return Locked(whole, (*news, *libraries))


def _version_warnings(gathered: Gathered, lock: Lock) -> tuple[Finding, ...]:
    """With a file of requirements the versions are only known now. Raises FindingsError when one does not fit."""
    if gathered.environment.file is None:
        return ()
    found = {wheel.name: wheel.version for wheel in lock.wheels}
    source = gathered.environment.source
    findings = tuple(
        finding for spec in gathered.specs for finding in version_findings(spec.versions, found, source, is_file=True)
    )
    if any(finding.severity == "error" for finding in findings):
        raise FindingsError(f"{source} does not fit the model", findings)
    return findings
