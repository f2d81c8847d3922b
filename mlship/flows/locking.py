"""mlship.lock: used as it is while nothing that it depends on has changed, else resolved anew and written."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mlship.errors import Finding, FindingsError
from mlship.flows.base import base_of, resolved_base
from mlship.flows.building.inputs import lock_inputs, lock_path, locked_models
from mlship.flows.gather import Gathered
from mlship.flows.gpu_room import with_room
from mlship.flows.libraries import with_libraries
from mlship.flows.lock_drift import refuse_drift, source_of
from mlship.frameworks.kinds import KINDS
from mlship.image.builder import base_layer
from mlship.image.lock import Asked, Lock
from mlship.image.lock_age import today
from mlship.image.lock_file import NAME, locked_for, read_lock_file, with_lock, write_lock
from mlship.image.packages.asked import asked_lines
from mlship.image.packages.closure import version_findings
from mlship.image.packages.resolve import lock as resolve
from mlship.image.packages.resolve import lock_server
from mlship.image.packages.wheels import server_fits, server_keys
from mlship.image.plan import BasePlan, Wheel
from mlship.image.system.apt import Archive, LateArchive
from mlship.image.system.base import glibc
from mlship.image.workplace import Workplace
from mlship.oci.layer import compressor
from mlship.parallel import Ahead


@dataclass(frozen=True)
class Locked:
    """The lock to build from, and what resolving it told; findings are empty when the lock on disk was used.

    security: names of the system packages whose locked version is a security update; only known where they were resolved.
    """

    lock: Lock
    findings: tuple[Finding, ...] = ()
    security: tuple[str, ...] = ()


def locked(workplace: Workplace, gathered: Gathered, archive: LateArchive, *, frozen: bool, now: float) -> Locked:
    """frozen: raises MlshipError (exit 5) instead of resolving anew. now: seconds since the epoch, for a lock that is made."""
    path = lock_path(gathered)
    file = read_lock_file(path)
    known = locked_for(file.locks, gathered.platform, lock_inputs(gathered))
    if known is not None and server_fits(known.server, known.python, server_keys(gathered.project)):
        return Locked(known)
    if frozen:
        return _without_writing(workplace, gathered, known)
    new = locked_anew(workplace, gathered, archive(), now=now) if known is None else completed(workplace, gathered, known)
    write_lock(path, with_lock(file.locks, new.lock), file.models or locked_models(gathered))
    return new


def locked_anew(workplace: Workplace, gathered: Gathered, archive: Archive | None, *, now: float) -> Locked:
    """All of it, whatever was locked before; writes nothing. Raises as resolving does."""
    new = _resolved(workplace, gathered, archive)
    lock = replace(new.lock, made=today(now, workplace.environ))
    warnings = _version_warnings(gathered, lock)
    whole = completed(workplace, gathered, _with_facts(workplace, gathered, lock, archive)).lock
    return replace(new, lock=whole, findings=(*new.findings, *warnings))


def completed(workplace: Workplace, gathered: Gathered, lock: Lock) -> Locked:
    """The lock with the wheels of this mlship's server; all else as it was. Asks the indexes."""
    keys = server_keys(gathered.project)
    if server_fits(lock.server, lock.python, keys):
        return Locked(lock)
    wheels = _server(workplace, gathered, lock, base_of(lock, ()))
    return Locked(replace(lock, server=wheels, asked=lock.asked or asked_of(gathered)))


def asked_of(gathered: Gathered) -> Asked:
    """What a lock of this project is asked for."""
    build = gathered.project.build
    packages = tuple(sorted(set(build.packages)))
    return Asked(source_of(gathered), build.base, packages, asked_lines(gathered.requirements))


def _without_writing(workplace: Workplace, gathered: Gathered, known: Lock | None) -> Locked:
    """A lock of schema 1 lacks the server's wheels: their versions are mlship's own, so it is built from as ever."""
    refuse_drift([gathered], retrained=True)
    assert known is not None, "a lock without an entry for the platform is refused"
    missing = Finding(
        f"{NAME} has no hashes of the server's packages: an earlier mlship wrote it",
        str(lock_path(gathered)),
        "mlship lock adds them; commit the file",
        "warning",
        "incomplete-lock",
    )
    return replace(completed(workplace, gathered, known), findings=(missing,))


def _resolved(workplace: Workplace, gathered: Gathered, archive: Archive | None) -> Locked:
    base = resolved_base(workplace, gathered, archive)
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
        has_gpu=gathered.project.resources.gpu is not None,
    )
    workplace = with_room(workplace, resolution)
    suite = "" if base.image else base.suite
    lock = Lock(
        gathered.minor, gathered.platform, suite, base.packages, resolution.wheels, lock_inputs(gathered), base=base.image
    )
    # What the requirements say of themselves was told when they were gathered.
    news = (finding for finding in resolution.findings if finding not in gathered.findings)
    server = Ahead(lambda: _server(workplace, gathered, lock, base))  # an index answers while wheels and base are fetched
    whole, libraries = with_libraries(workplace, gathered, lock, base, archive)
    return Locked(replace(whole, server=server.result(), asked=asked_of(gathered)), (*news, *libraries), base.security)


def _server(workplace: Workplace, gathered: Gathered, lock: Lock, base: BasePlan) -> tuple[Wheel, ...]:
    return lock_server(
        python_minor=lock.python,
        platform=lock.platform,
        glibc=glibc(base),
        indexes=gathered.indexes,
        runner=workplace.runner,
        home=workplace.home,
        progress=workplace.progress,
        root=gathered.project.root,
        keys=server_keys(gathered.project),
    )


def _with_facts(workplace: Workplace, gathered: Gathered, lock: Lock, archive: Archive | None) -> Lock:
    """With what came of making the base layer here; the build that follows finds it made. A base image is locked by its layers."""
    if lock.base is not None:
        return lock
    layer = base_layer(workplace, base_of(lock, gathered.project.build.packages), lambda: archive)
    return replace(lock, diff_id=layer.diff_id, blob=layer.blob, compressor=compressor(workplace.compression))


def _version_warnings(gathered: Gathered, lock: Lock) -> tuple[Finding, ...]:
    """With a file of requirements the versions are only known now. Raises FindingsError when one does not fit."""
    if gathered.environment.file is None:
        return ()
    found = {wheel.name: wheel.version for wheel in lock.wheels}
    source = gathered.environment.source
    findings = tuple(
        finding
        for spec in gathered.specs
        for finding in version_findings(
            spec.versions, found, source, is_file=True, reads_older=KINDS[spec.framework].reads_older
        )
    )
    if any(finding.severity == "error" for finding in findings):
        raise FindingsError(f"{source} does not fit the model", findings)
    return findings
