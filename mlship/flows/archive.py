"""build --archive: a build in one file, with all that a machine without a network needs to serve it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import mlship
from mlship.config.project import Project
from mlship.config.read import read_text
from mlship.disk import disk_errors
from mlship.flows.commit import git_commit
from mlship.flows.context import Context
from mlship.image.front import front_image
from mlship.image.lock import Lock
from mlship.image.papers.papers import documents, named_for
from mlship.image.papers.reading import read_facts, sums_of
from mlship.image.papers.stamp import stamp
from mlship.image.record import BuildRecord
from mlship.image.system.apt import machine_archive
from mlship.image.workplace import Workplace
from mlship.oci.archive import Contents, write_archive
from mlship.oci.image import Image
from mlship.oci.referrers import Document


@dataclass(frozen=True)
class Part:
    """One platform of a build."""

    image: Image
    record: BuildRecord
    lock: Lock


def write(context: Context, workplace: Workplace, project: Project, parts: Sequence[Part], path: Path) -> int:
    """Writes the file and gives its size in bytes. The front comes along whatever the target is: there is no second trip.

    Raises MlshipError: exit 13 when the front has to be made and its packages cannot be had, exit 5 when there is no room.
    """
    with disk_errors(workplace.home.root):
        fronts = tuple(_front(context, workplace, project, part.image.platform) for part in parts)
        papers = tuple(paper for part in parts for paper in _papers(context, workplace, part, len(parts) > 1))
    images = tuple(part.image for part in parts)
    contents = Contents(project.name, images, fronts, papers, _facts(context, project, parts))
    return write_archive(workplace.layout, contents, path, mlship.__version__, workplace.progress)


def _front(context: Context, workplace: Workplace, project: Project, platform: str) -> Image:
    return front_image(workplace, lambda: machine_archive(context.runner, project.build.mirror), platform)


def _papers(context: Context, workplace: Workplace, part: Part, are_several: bool) -> tuple[Document, ...]:
    context.progress.step("papers", "reading the image")
    facts = read_facts(workplace.layout, part.image, sums_of(part.lock))
    papers = documents(facts, stamp(mlship.__version__, context.environ))
    return named_for(papers, part.image.platform) if are_several else papers


def _facts(context: Context, project: Project, parts: Sequence[Part]) -> Mapping[str, Any]:
    """What the release needs besides its image. No times: the same build gives the same file."""
    return {
        "records": [asdict(replace(part.record, created=0.0, checks=())) for part in parts],
        "configuration": read_text(project.file),
        "git": git_commit(context, project.root),
    }
