"""Models that lie elsewhere, brought to this machine: what mlship.lock pins, or what their address means now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal

from mlship.config.addresses import is_address, may_move
from mlship.config.project import Project
from mlship.config.words import clipped
from mlship.errors import Finding, MlshipError
from mlship.flows.context import Context
from mlship.frameworks.base import Origin
from mlship.frameworks.digest import FileDigests
from mlship.image.lock import LockedModel
from mlship.image.lock_file import NAME, read_lock_file
from mlship.memo import Memo
from mlship.sources.base import Cut, Opening, Snapshot, Source, changed, unreachable
from mlship.sources.fetch import Fetch
from mlship.sources.store import ModelStore, fetched_digest
from mlship.sources.table import is_remote, open_source

# pinned: what mlship.lock says, with a note where the source has something else by now; locked: without asking; newest: whatever
# mlship.lock says.
NEWER = "newer-model"  # code of that note
Take = Literal["pinned", "locked", "newest"]


@dataclass(frozen=True)
class Fetched:
    """A model that lies here now. findings: notes."""

    origin: Origin
    findings: tuple[Finding, ...] = ()


def fetched_models(context: Context, project: Project, take: Take = "pinned") -> Mapping[str, Fetched]:
    """By name, those of the project that are no files of this machine. Raises MlshipError: exit 2, 5, 8 or 13."""
    remote = [(name, model.uri) for name, model in project.models if is_remote(model.uri, project.root)]
    if not remote:
        return {}
    pins = {} if take == "newest" else _pins(project)
    found = {}
    for name, uri in remote:
        prefix = f"models.{name}" if f"models.{name}" in project.positions else "model"
        opening = Opening(uri, project.root, context.environ, context.runner, project.at(f"{prefix}.uri"))
        # a pointer is a file of the project: it says itself what it pins
        pin = pins.get((name, uri)) if is_address(uri) else None
        found[name] = _pinned(context, opening, pin, take) if pin else fetched(context, opening)
    return found


def fetched(context: Context, opening: Opening) -> Fetched:
    """What the address means now."""
    source = open_source(opening)
    return _of_snapshot(context, opening, source, _snapshot(opening, source))


def origins_of(models: Mapping[str, Fetched]) -> dict[str, Origin]:
    return {name: model.origin for name, model in models.items()}


def _pins(project: Project) -> dict[tuple[str, str], LockedModel]:
    models = read_lock_file(project.root / NAME).models or ()
    return {(model.name, model.path): model for model in models if model.version}


def _pinned(context: Context, opening: Opening, pin: LockedModel, take: Take) -> Fetched:
    here = _here(context, pin.fetched, pin.version)
    if here is not None:
        notes = _moved_on(opening, pin) if take == "pinned" and may_move(opening.address) else ()
        return Fetched(here, notes)
    source = open_source(opening)
    snapshot = _snapshot(opening, source, pin.version)
    if snapshot.version != pin.version:
        raise _replaced(opening, f"{snapshot.version} is there now, and {pin.version} is locked")
    found = _of_snapshot(context, opening, source, snapshot)
    if found.origin.sha256 != pin.fetched:
        raise _replaced(opening, f"{pin.version} has other bytes than the locked ones")
    return found


def _snapshot(opening: Opening, source: Source, version: str = "") -> Snapshot:
    try:
        return source.snapshot(version)
    except Cut as cut:
        raise unreachable(f"{clipped(opening.address)} cannot be reached: {cut}", opening.where) from None


def _of_snapshot(context: Context, opening: Opening, source: Source, snapshot: Snapshot) -> Fetched:
    memo, facts = Memo(context.home.memo), asdict(snapshot)

    def known() -> Origin | None:
        sha256 = memo.recall("source", opening.address, facts)
        return _here(context, str(sha256), snapshot.version) if sha256 else None

    if (here := known()) is not None:
        return Fetched(here)
    fetch = Fetch(ModelStore(context.home), source, context.progress, clipped(opening.address), opening.where)
    with fetch.alone(snapshot):
        if (here := known()) is not None:  # another command has just fetched it
            return Fetched(here)
        sha256, path = fetch.model(snapshot)
        memo.keep("source", opening.address, facts, sha256)
    return Fetched(Origin(path, snapshot.version, sha256))


def _here(context: Context, sha256: str, version: str) -> Origin | None:
    """From the store; what was changed there since goes, and is fetched anew."""
    store = ModelStore(context.home)
    path = store.find(sha256)
    if path is None:
        return None
    digests = FileDigests(Memo(context.home.memo), str(path))
    found = fetched_digest(path, digests)
    digests.save()
    if found != sha256:
        store.remove(sha256)
        return None
    return Origin(path, version, sha256)


def _moved_on(opening: Opening, pin: LockedModel) -> tuple[Finding, ...]:
    """A source that does not answer is no reason to stop: what is locked is here."""
    brief = Opening(opening.address, opening.root, opening.environ, opening.runner, opening.where, is_brief=True)
    try:
        now = _snapshot(brief, open_source(brief))
    except MlshipError:
        return ()
    if now.version == pin.version:
        return ()
    what = f"{clipped(opening.address)} is {now.version} by now, and {NAME} pins {pin.version}"
    return (Finding(what, opening.where, "mlship build --retrained takes the newer one", "note", NEWER),)


def _replaced(opening: Opening, why: str) -> MlshipError:
    return changed(
        f"{clipped(opening.address)} is not what {NAME} pins: {why}",
        opening.where,
        "mlship build --retrained takes what is there now; commit the lock",
    )
