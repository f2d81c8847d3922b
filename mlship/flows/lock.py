"""lock: writes mlship.lock without making an image, or tells what a new one would have otherwise."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from mlship.disk import write_atomic
from mlship.flows.building.images import workplace_of
from mlship.flows.building.inputs import current_lock, lock_path, locked_models
from mlship.flows.context import Context, Where
from mlship.flows.engines import with_engines
from mlship.flows.gather import Gathered, for_platforms, gather, refuse_errors
from mlship.flows.lock_drift import drift, model_changes
from mlship.flows.locking import Locked, completed, locked_anew
from mlship.flows.making import archive_of
from mlship.flows.opening import project_of
from mlship.flows.platforms import beside_native
from mlship.flows.results import Relocked
from mlship.image.lock import LockFile
from mlship.image.lock_age import age_findings, today
from mlship.image.lock_changes import LockChange, lock_changes, together
from mlship.image.lock_file import lock_bytes, read_lock_file, with_lock
from mlship.image.workplace import Workplace, clear_leftovers


def lock(context: Context, where: Where, *, python: str = "", refresh: bool = False, write: bool = True) -> Relocked:
    """refresh: resolve anew what fits as well. write: False tells only. Raises what resolving raises; exit 5, 8 or 13."""
    project = project_of(context, where)
    gathered = gather(context, project, python, "newest" if refresh else "pinned")
    platforms = for_platforms(refuse_errors(with_engines(context, gathered)))
    workplace = workplace_of(context, project.build.compression)
    clear_leftovers(workplace)
    path = lock_path(platforms[0])
    before = read_lock_file(path)
    because = () if refresh else _because(platforms, before)
    found: list[Locked] = []
    for gathered in platforms:
        found.append(_locked(context, workplace, gathered, refresh=refresh))
        if gathered is not platforms[-1]:
            workplace = beside_native(workplace, gathered, found[-1].lock, partial(archive_of, context, project))
    after = LockFile(before.locks, locked_models(platforms[0]))
    for one in found:
        after = replace(after, locks=with_lock(after.locks, one.lock))
    changes = together(change for one in found for change in _changes(before, one))
    models = tuple(model_changes(before.models or (), after.models or ()))
    raw = lock_bytes(after)
    differs = not path.exists() or path.read_bytes() != raw
    if write and differs:
        write_atomic(path, raw)
    findings = (finding for gathered in platforms for finding in gathered.findings)
    told = (finding for one in found for finding in one.findings)
    ages = age_findings((one.lock for one in found), today(context.clock(), workplace.environ))
    return Relocked(
        project=project.name,
        file=path,
        platforms=tuple(gathered.platform for gathered in platforms),
        made=min(one.lock.made for one in found),
        changes=changes,
        models=models,
        because=because,
        findings=tuple(dict.fromkeys((*findings, *told, *ages))),
        packages=max(len(one.lock.wheels) for one in found),
        system=max(len(one.lock.system) for one in found),
        is_written=write and differs,
        is_changed=bool(changes or models or because or (differs and not refresh)),
    )


def _because(platforms: tuple[Gathered, ...], file: LockFile) -> tuple[str, ...]:
    """Why the lock that is there does not do; models are told by themselves."""
    found = (finding for gathered in platforms for finding in drift(gathered, file, retrained=True))
    return tuple(dict.fromkeys(finding.what for finding in found))


def _locked(context: Context, workplace: Workplace, gathered: Gathered, *, refresh: bool) -> Locked:
    known = None if refresh else current_lock(gathered)
    if known is not None:
        return completed(workplace, gathered, known)
    return locked_anew(workplace, gathered, archive_of(context, gathered.project), now=context.clock())


def _changes(before: LockFile, found: Locked) -> tuple[LockChange, ...]:
    old = next((lock for lock in before.locks if lock.platform == found.lock.platform), None)
    return lock_changes(old, found.lock, found.security)
