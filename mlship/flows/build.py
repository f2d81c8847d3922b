"""build: text -> Project -> ModelSpecs -> lock -> layers -> Image. Same inputs, same content id; an existing one is reused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from mlship.config.project import Project
from mlship.disk import locked_together
from mlship.errors import Finding
from mlship.flows.building.images import Build, build_images, workplace_of
from mlship.flows.building.report import explained, parts, report
from mlship.flows.building.results import Built
from mlship.flows.building.wishes import Wishes, compression_of, granted
from mlship.flows.context import Context, Where
from mlship.flows.fetching import NEWER
from mlship.flows.loading import project_of
from mlship.flows.told_python import remember_python, told_python
from mlship.image.lock_age import age_findings, today
from mlship.image.pushed import PushRecords
from mlship.image.record import BuildRecord
from mlship.oci.image import Image

if TYPE_CHECKING:
    from mlship.flows.push import Pushing


def build(context: Context, where: Where, wishes: Wishes) -> Built:
    """Raises MlshipError and FindingsError; exit 5 when the model does not load or answer in the image."""
    started = context.clock()
    project = project_of(context, where)
    wanted = granted(context, project, wishes)
    with locked_together(context.home.in_use):  # `mlship cache prune` waits for the end of this, and this for the prune's
        before = _images_before(context, project) if wishes.explain else {}
        done = build_images(context, project, wishes, wanted)
        remember_python(context, project, wishes.python)
        ages = age_findings((one.lock for one in done.every), today(context.clock(), context.environ))
        done = replace(done, findings=(*done.findings, *ages))
        told = _with_outputs(context, done, wishes, wanted, report(done))
        return replace(
            told,
            variants=PushRecords(context.home.images).of_content(done.image.content),
            parts=parts(context, done),
            explained=explained(context, done, before) if wishes.explain else (),
            seconds=context.clock() - started,
        )


def built_records(context: Context, project: Project, python: str = "") -> tuple[BuildRecord, ...]:
    """The records of the images of this project as it is now, one a platform; builds them when something changed."""
    return built_now(context, project, python)[0]


def built_now(context: Context, project: Project, python: str = "") -> tuple[tuple[BuildRecord, ...], tuple[Finding, ...]]:
    """As `built_records`, with what to know of models that were fetched: their source has others by now.

    python: where nothing is said, what the last build of this file was told.
    """
    with locked_together(context.home.in_use):
        done = build_images(context, project, Wishes(python=python or told_python(context, project)))
        if python:
            remember_python(context, project, python)
    return tuple(one.record for one in done.every), tuple(one for one in done.findings if one.code == NEWER)


def _with_outputs(context: Context, done: Build, wishes: Wishes, wanted: Pushing | None, told: Built) -> Built:
    if wishes.sbom is None and wanted is None and wishes.archive is None:
        return told
    # here and not above: it takes longer to import than a build takes that finds nothing to do
    from mlship.flows.building.outputs import archived, papers, pushed

    if wishes.sbom is not None:
        told = replace(told, papers=papers(context, done, wishes.sbom))
    if wanted is not None:
        told = replace(told, pushed=pushed(context, done, wanted, compression_of(done.project, wishes)))
    if wishes.archive is not None:
        told = replace(told, archive=archived(context, done, wishes.archive))
    return told


def _images_before(context: Context, project: Project) -> Mapping[str, Image]:
    # here and not above: few builds are explained
    from mlship.flows.explaining import images_before

    return images_before(workplace_of(context), project.name)
