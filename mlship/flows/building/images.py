"""The images of a project as it is now, one a platform: found where they were made before, made where not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from threading import Event
from typing import TYPE_CHECKING

from mlship.config.project import Project
from mlship.errors import Finding, MlshipError
from mlship.flows.building.inputs import build_inputs, current_lock, keep_models
from mlship.flows.building.wishes import Wishes, compression_of
from mlship.flows.context import Context
from mlship.flows.engines import with_engines
from mlship.flows.gather import Gathered, for_platforms, gather, refuse_errors
from mlship.flows.size_gate import refuse_too_large
from mlship.image.lock import Lock
from mlship.image.record import BuildRecord, BuildRecords
from mlship.image.workplace import Workplace, clear_leftovers
from mlship.oci.image import Image
from mlship.oci.layer import Compression
from mlship.parallel import side_by_side

if TYPE_CHECKING:
    from mlship.flows.making import Made
    from mlship.flows.push import Pushing


@dataclass(frozen=True)
class Build:
    """A finished build, new or found again. before: blobs that the store had when it began.

    others: of the other platforms, their findings among those of the first.
    """

    project: Project
    record: BuildRecord
    image: Image
    findings: tuple[Finding, ...]
    before: frozenset[str]
    unchanged: bool
    lock: Lock
    others: tuple[Build, ...] = ()

    @property
    def every(self) -> tuple[Build, ...]:
        """One a platform."""
        return (self, *self.others)


def build_images(context: Context, project: Project, wishes: Wishes, wanted: Pushing | None = None) -> Build:
    """wanted: where they will be pushed, which is asked for an answer before anything is made."""
    platforms = for_platforms(refuse_errors(with_engines(context, gather(context, project, wishes.python, wishes.take))))
    workplace = replace(workplace_of(context, compression_of(project, wishes)), elsewhere=wishes.push)
    clear_leftovers(workplace)
    if wishes.locked:
        from mlship.flows.lock_drift import refuse_drift

        refuse_drift(platforms, retrained=wishes.retrained)
    else:
        keep_models(platforms[0])
    found = _all_existing(workplace, platforms, wishes.builder) if wishes.kept is None else None
    return found or _made(context, workplace, platforms, wishes, wanted)


def workplace_of(context: Context, compression: Compression = "gzip") -> Workplace:
    return Workplace(context.home, context.runner, context.progress, context.environ, compression)


def _made(
    context: Context, workplace: Workplace, platforms: Sequence[Gathered], wishes: Wishes, wanted: Pushing | None
) -> Build:
    # here and not above: what makes images takes longer to import than a build takes that finds nothing to do
    from mlship.flows.making import make

    reached = Event()

    def made_once_reached() -> Made:
        return make(
            context,
            workplace,
            tuple(platforms),
            builder=wishes.builder,
            frozen=wishes.locked,
            kept=wishes.kept,
            allowed=reached.wait,
        )

    # A registry that does not answer ends the build at once; one that does has cost it no time.
    made, _ = side_by_side(made_once_reached, lambda: _reach(context, wanted, reached))
    findings = (*_gathered_findings(platforms), *made.findings)
    project = platforms[0].project
    first, *others = (Build(project, one.record, one.image, findings, made.before, unchanged=False, lock=one.lock)
                      for one in (made, *made.others))  # fmt: skip
    return replace(first, others=tuple(others))


def _reach(context: Context, wanted: Pushing | None, reached: Event) -> None:
    if wanted is not None:
        from mlship.flows.push import reach

        reach(context, wanted)
    reached.set()


def _all_existing(workplace: Workplace, platforms: Sequence[Gathered], builder: str) -> Build | None:
    """The builds of all platforms, where they were made together: then one index names them. The first is tagged last."""
    found: list[Build] = []
    for gathered in platforms:
        one = _existing(workplace, gathered, builder)
        if one is None:
            return None
        found.append(one)
    contents = {one.record.platform: one.record.content for one in found}
    if len(found) > 1 and any(one.record.platforms != contents for one in found):
        return None
    for one in reversed(found):
        workplace.layout.tag(one.project.name, one.image)
    first, *others = found
    return replace(first, findings=_gathered_findings(platforms), others=tuple(others))


def _gathered_findings(platforms: Sequence[Gathered]) -> tuple[Finding, ...]:
    """Each once: platforms tell mostly the same."""
    return tuple(dict.fromkeys(finding for gathered in platforms for finding in gathered.findings))


def _existing(workplace: Workplace, gathered: Gathered, builder: str) -> Build | None:
    """The build that had the same inputs, if its image is still whole."""
    lock = current_lock(gathered)
    if lock is None:
        return None
    record = BuildRecords(workplace.home.images).of_inputs(build_inputs(gathered, lock, builder, workplace.compression))
    if record is None or record.project != gathered.project.name:
        return None
    try:
        own = workplace.layout.of_manifest(record.manifest) if record.manifest else None
        image = own or workplace.layout.find(record.content)
    except MlshipError:
        return None
    if not all(workplace.layout.has(layer.blob) for layer in image.layers):
        return None
    refuse_too_large(workplace, gathered.project, image.layers, lock)
    return Build(gathered.project, record, image, gathered.findings, frozenset(), unchanged=True, lock=lock)
