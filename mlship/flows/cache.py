"""cache: what is kept for the next build, what of it may go, and how it comes to another machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mlship.disk import locked, locked_together
from mlship.flows.context import Context, Where
from mlship.flows.loading import project_of
from mlship.home import Home
from mlship.image.cache.export import Exported, Wanted, export
from mlship.image.cache.prune import Removal, Rules, removal, remove
from mlship.image.cache.sizes import KindSize, kind_sizes
from mlship.image.cache.take import Taken, take
from mlship.image.lock_file import NAME, read_lock_file
from mlship.image.packages.wheels import wheels_key
from mlship.targets.local.folder import ROOTFS
from mlship.targets.local.place import folders
from mlship.targets.local.records import LocalRecords

KEEP_LAST = 3
OLD_S = 30 * 86_400.0


@dataclass(frozen=True)
class CacheSizes:
    """cache info. free: bytes on that disk."""

    home: Path
    kinds: tuple[KindSize, ...]
    free: int

    @property
    def size(self) -> int:
        return sum(kind.size for kind in self.kinds)


def sizes(context: Context) -> CacheSizes:
    import shutil

    home = context.home
    place = next(folder for folder in (home.root, *home.root.parents) if folder.is_dir())
    return CacheSizes(home.root, kind_sizes(home) if home.root.is_dir() else (), shutil.disk_usage(place).free)


def rules(keep_last: int | None, older_than_s: float | None) -> Rules:
    """What was not said: three images of each project, thirty days; one that is said alone counts alone for images."""
    if keep_last is None and older_than_s is None:
        return Rules(KEEP_LAST, OLD_S, OLD_S)
    unused_s = OLD_S if older_than_s is None else older_than_s
    return Rules(1 if keep_last is None else keep_last, 0.0 if older_than_s is None else older_than_s, unused_s)


def to_remove(context: Context, by: Rules) -> Removal:
    """What prune would remove now. Changes nothing."""
    return (
        removal(context.home, by, needed_here(context.home), context.clock())
        if context.home.root.is_dir()
        else Removal((), (), 0)
    )


def prune(context: Context, by: Rules) -> Removal:
    """Waits for builds that are under way, and keeps new ones waiting meanwhile."""
    if not context.home.root.is_dir():
        return Removal((), (), 0)
    context.progress.step("prune", "waits for builds that are under way")
    with locked(context.home.in_use):
        going = to_remove(context, by)
        context.progress.step("prune", f"removing {len(going.paths)} files and folders")
        remove(context.home, going)
    return going


def needed_here(home: Home) -> frozenset[str]:
    """Content ids that a service of the target local has, or may go back to, or that are unpacked for one."""
    histories = (LocalRecords(folder).read() for folder in folders(home))
    recorded = {release.served.content for history in histories if history for release in history.releases}
    unpacked = home.local / ROOTFS
    return frozenset(recorded | {f"sha256:{path.name}" for path in (unpacked.iterdir() if unpacked.is_dir() else ())})


def export_cache(context: Context, where: Where, path: Path, *, everything: bool) -> Exported:
    """Of the project of the mlship.yaml here, what its build needs; or everything that is here."""
    wanted = Wanted() if everything else _wanted(context, where)
    with locked_together(context.home.in_use):
        return export(context.home, wanted, path, context.progress)


def import_cache(context: Context, path: Path) -> Taken:
    with locked_together(context.home.in_use):
        return take(context.home, path, context.progress)


def _wanted(context: Context, where: Where) -> Wanted:
    project = project_of(context, where)
    file = read_lock_file(project.root / NAME)
    locks, models = file.locks, frozenset(model.fetched for model in file.models or () if model.fetched)
    debs = frozenset(package.sha256 for lock in locks for package in lock.system)
    lists = [(wheels, lock) for lock in locks for wheels in (lock.wheels, lock.server)]
    packages = frozenset(wheels_key(wheels, lock.python, lock.platform) for wheels, lock in lists)
    return Wanted(project.name, debs, packages, models)
