"""deploy --archive: out of the file into this machine's store, and from there exactly the way of deploy. Asks no network."""

from __future__ import annotations

import shlex
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

import mlship
from mlship.config.load import load_project
from mlship.config.project import Project
from mlship.config.read import MAX_BYTES
from mlship.errors import MlshipError
from mlship.flows.context import Context, Where
from mlship.flows.fitting import platform_of
from mlship.flows.hosts import hosts_of, looked_at, places
from mlship.flows.opening import found_file, open_project, project_of
from mlship.flows.results import TakenIn
from mlship.image.front import front_key
from mlship.image.record import SCHEMA, BuildRecord, BuildRecords
from mlship.oci.archive_reading import ArchiveFile, Described, opened_archive
from mlship.oci.image import FRONT_LABEL
from mlship.oci.layout import Layout


@dataclass(frozen=True)
class Facts:
    """What flows/archive.py puts in beside the images. configuration: the text of mlship.yaml."""

    records: tuple[BuildRecord, ...]
    configuration: str
    git: str


def take(context: Context, where: Where, path: Path) -> tuple[Where, TakenIn]:
    """Takes in what the target's machines can run: image, front and record. Nothing else is changed, and nothing where this fails.

    Gives where its project is found from now on.

    The configuration is that of an mlship.yaml of the same project, here or above, or -f; where there is none, the archive's own.
    Raises MlshipError.
    """
    with opened_archive(path) as archive:
        facts = _facts(archive)
        there = _where(context, where, archive, facts)
        project = project_of(context, there)
        platforms = _platforms(context, project, there)
        images = [_fitting(archive, archive.account.images, platform) for platform in platforms]
        fronts = [fitting_front(context, archive, platform) for platform in platforms] if project.target == "docker" else []
        contents = {one.content for one in (*images, *fronts) if one is not None}
        archive.take(Layout(context.home.images), contents, context.progress)
    _record(context, facts, contents)
    return there, TakenIn(path, images[0].content, there.file if there.text is None else None)


def _facts(archive: ArchiveFile) -> Facts:
    import msgspec

    try:
        facts = msgspec.convert(dict(archive.account.facts), Facts)
    except msgspec.ValidationError:
        raise archive.refused("what it says of the build is damaged") from None
    if any(record.schema > SCHEMA for record in facts.records):
        raise archive.newer()
    if len(facts.configuration) > MAX_BYTES:
        raise archive.refused("its mlship.yaml is too large")
    described = {(image.content, image.platform) for image in archive.account.images}
    known = {(record.content, record.platform) for record in facts.records if record.project == archive.account.project}
    if not described or described != known:
        raise archive.refused("what it says of the build is not about its images")
    return facts


def _where(context: Context, where: Where, archive: ArchiveFile, facts: Facts) -> Where:
    """A file of the same project counts before the one in the archive: a site may have ports, replicas and secrets of its own."""
    name = archive.account.project
    if where.file is not None:
        return replace(where, name=name, git=facts.git)
    file = found_file(context.cwd)
    if file is not None and load_project(file).name == name:
        return replace(where, file=file, name=name, git=facts.git)
    return replace(where, file=archive.path.parent / "mlship.yaml", name=name, text=facts.configuration, git=facts.git)


def _platforms(context: Context, project: Project, where: Where) -> tuple[str, ...]:
    """Of every machine that the release goes to; empty for one that takes any."""
    found = places(context, where)
    hosts = hosts_of(found)
    return looked_at(hosts, lambda number: platform_of(open_project(context, project, found[number].host)))


def _fitting(archive: ArchiveFile, images: Collection[Described], platform: str) -> Described:
    fitting = [image for image in images if platform in ("", image.platform)]
    if not fitting:
        has = ", ".join(sorted(image.platform for image in images))
        raise MlshipError(
            f"{archive.path.name} is for {has}, and the target runs {platform}",
            where=str(archive.path),
            fix=f"write build: {{platforms: [{platform}]}} where it was made, and make it again: "
            f"mlship build --archive {shlex.quote(archive.path.name)}",
            code="wrong-platform",
        )
    return fitting[0]


def fitting_front(context: Context, archive: ArchiveFile, platform: str) -> Described | None:
    """The archive's, where it is one of this version of mlship; None where this machine has one.

    Raises MlshipError for another version's: making one takes a network.
    """
    wanted = front_key()
    ours = [front for front in archive.account.fronts if front.key == wanted and front.platform == platform]
    if ours:
        return ours[0]
    layout = Layout(context.home.images)
    if any(image.labels.get(FRONT_LABEL) == wanted and image.platform == platform for image in layout.images()):
        return None
    raise MlshipError(
        f"the front in {archive.path.name} is of mlship {archive.version[:40]}, and this is mlship {mlship.__version__}",
        where=str(archive.path),
        fix=f"install the same mlship on both machines, and make it again with that one: mlship build --archive "
        f"{shlex.quote(archive.path.name)}",
        code="other-front",
    )


def _record(context: Context, facts: Facts, contents: Collection[str]) -> None:
    """What this machine knows of an image that it built itself stays."""
    records = BuildRecords(context.home.images)
    for record in facts.records:
        if record.content in contents and records.of_content(record.content) is None:
            records.write(replace(record, created=context.clock()))
