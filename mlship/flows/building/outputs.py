"""What a finished build gives besides its images: papers, pushes, an archive. Few builds do: each imports what it needs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import mlship
from mlship.disk import disk_errors
from mlship.flows.building.images import Build, workplace_of
from mlship.flows.building.results import ArchiveReport, PushReport
from mlship.flows.context import Context
from mlship.oci.layer import Compression

if TYPE_CHECKING:
    from mlship.flows.push import Pushing


def papers(context: Context, done: Build, folder: Path) -> tuple[Path, ...]:
    # here and not above: what reads METADATA takes longer to import than a build takes that finds nothing to do
    from mlship.image.papers.papers import attach_papers, named_for, write_papers
    from mlship.image.papers.reading import sums_of
    from mlship.image.papers.stamp import stamp

    written_by = stamp(mlship.__version__, context.environ)
    context.progress.step("papers", "reading the image")
    written: tuple[Path, ...] = ()
    for one in done.every:
        with disk_errors(context.home.root):
            papers = attach_papers(workplace_of(context).layout, one.image, written_by, sums_of(one.lock))
        written += write_papers(named_for(papers, one.image.platform) if done.others else papers, folder)
    return written


def pushed(context: Context, done: Build, wanted: Pushing, compression: Compression) -> tuple[PushReport, ...]:
    from mlship.flows.push import push_images

    return push_images(context, workplace_of(context, compression), wanted, [one.image for one in done.every])


def archived(context: Context, done: Build, path: Path) -> ArchiveReport:
    # here and not above: it takes longer to import than a build takes that finds nothing to do
    from mlship.flows.archive import Part, write

    parts = [Part(one.image, one.record, one.lock) for one in done.every]
    return ArchiveReport(path, write(context, workplace_of(context), done.project, parts, path))
