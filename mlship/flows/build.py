"""build: text -> Project -> ModelSpecs -> lock -> layers -> Image. Same inputs, same content id; an existing one is reused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import mlship
from mlship.config.project import Project
from mlship.disk import disk_errors, locked_together
from mlship.errors import Finding, MlshipError
from mlship.flows.build_inputs import build_inputs, current_lock, keep_models
from mlship.flows.build_results import ArchiveReport, Built, Explanation, ImageReport, LayerReport, PushReport
from mlship.flows.context import Context, Where
from mlship.flows.gather import Gathered, for_platforms, gather, refuse_errors
from mlship.flows.loading import project_of
from mlship.flows.reports import model_report
from mlship.flows.size_gate import refuse_too_large
from mlship.image.lock import Lock
from mlship.image.lock_age import age_findings, today
from mlship.image.pushed import PushRecords
from mlship.image.record import BuildRecord, BuildRecords
from mlship.image.workplace import Workplace, clear_leftovers
from mlship.oci.image import Image
from mlship.oci.layer import Compression

if TYPE_CHECKING:
    from mlship.flows.push import Pushing
    from mlship.image.sizes import Part


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


def build(
    context: Context,
    where: Where,
    *,
    python: str = "",
    builder: str = "mlship",
    locked: bool = False,
    retrained: bool = False,
    kept: Path | None = None,
    sbom: Path | None = None,
    push: Sequence[str] = (),
    push_as: str = "",
    reproducible: bool = False,
    archive: Path | None = None,
    explain: bool = False,
) -> Built:
    """builder: `mlship` needs no daemon; `docker` renders a Dockerfile and builds it with BuildKit. locked: fail on drift;
    retrained: but not where only the models are others.

    kept: where the Dockerfile and its files stay; then they are made anew even where nothing changed. sbom: a folder for the
    image's papers, which are then attached to it in the store as well. reproducible: the same bytes of layers and manifest on
    every machine, not only the same content. push: references to push to. push_as: in which form.
    archive: a file for all that a machine without a network needs. explain: why each layer was made again, against the build
    before.

    Raises MlshipError and FindingsError; exit 5 when the model does not load or answer in the image.
    """
    started = context.clock()
    project = project_of(context, where)
    if kept is not None and builder != "docker":
        raise MlshipError("--context keeps what a Dockerfile is built from", fix="add --builder docker", code="usage")
    if sbom is not None and sbom.exists() and not sbom.is_dir():
        raise MlshipError(f"{sbom} is not a folder", fix="name a folder, new or old, with --sbom", code="usage")
    wanted = _pushing(context, project, push, push_as)
    if archive is not None:
        from mlship.oci.archive import check_place

        check_place(archive)
    with locked_together(context.home.in_use):  # `mlship cache prune` waits for the end of this, and this for the prune's
        before = _images_before(context, project) if explain else {}
        done = _build(
            context,
            project,
            python,
            builder=builder,
            frozen=locked,
            retrained=retrained,
            kept=kept,
            reproducible=reproducible,
            pushed_to=tuple(push),
            wanted=wanted,
        )
        ages = age_findings((one.lock for one in (done, *done.others)), today(context.clock(), context.environ))
        done = replace(done, findings=(*done.findings, *ages))
        papers = _papers(context, done, sbom) if sbom is not None else ()
        compression = _compression(project, reproducible=reproducible)
        pushed = _pushed(context, done, wanted, compression) if wanted else ()
        written = _archived(context, done, archive) if archive is not None else None
        variants = PushRecords(context.home.images).of_content(done.image.content)
        return replace(
            _report(done, context.clock() - started, papers),
            pushed=pushed,
            variants=variants,
            archive=written,
            parts=_parts(context, done),
            explained=_explained(context, done, before) if explain else (),
        )


def _parts(context: Context, done: Build) -> tuple[Part, ...]:
    """What is in the image of the first platform; of layers that are known, without reading them."""
    from mlship.flows.size_gate import wheel_versions
    from mlship.image.sizes import layer_parts

    workplace = workplace_of(context)
    return layer_parts(workplace.layout, done.image.layers, workplace.home.cache / "layers", wheel_versions(done.lock))


def _images_before(context: Context, project: Project) -> Mapping[str, Image]:
    # here and not above: few builds are explained
    from mlship.flows.explaining import images_before

    return images_before(workplace_of(context), project.name)


def _explained(context: Context, done: Build, before: Mapping[str, Image]) -> tuple[Explanation, ...]:
    from mlship.flows.explaining import explanation

    workplace = workplace_of(context)
    return tuple(
        explanation(workplace, one.image, before.get(one.image.platform), done.before or _blobs_of(one.image))
        for one in (done, *done.others)
    )


def _blobs_of(image: Image) -> frozenset[str]:
    return frozenset(layer.blob.digest.removeprefix("sha256:") for layer in image.layers)


def _archived(context: Context, done: Build, path: Path) -> ArchiveReport:
    # here and not above: it takes longer to import than a build takes that finds nothing to do
    from mlship.flows.archive import Part, write

    parts = [Part(one.image, one.record, one.lock) for one in (done, *done.others)]
    return ArchiveReport(path, write(context, workplace_of(context), done.project, parts, path))


def built_records(context: Context, project: Project, python: str = "") -> tuple[BuildRecord, ...]:
    """The records of the images of this project as it is now, one a platform; builds them when something changed."""
    with locked_together(context.home.in_use):
        done = _build(context, project, python, builder="mlship", frozen=False)
    return tuple(one.record for one in (done, *done.others))


def workplace_of(context: Context, compression: Compression = "gzip") -> Workplace:
    return Workplace(context.home, context.runner, context.progress, context.environ, compression)


def _compression(project: Project, *, reproducible: bool) -> Compression:
    if not reproducible:
        return project.build.compression
    if project.build.compression != "gzip":
        raise MlshipError(
            f"--reproducible packs layers with gzip, and build.compression is {project.build.compression}",
            project.at("build.compression"),
            "leave one of them out",
            code="usage",
        )
    return "zlib"


def _build(
    context: Context,
    project: Project,
    python: str,
    *,
    builder: str,
    frozen: bool,
    retrained: bool = False,
    kept: Path | None = None,
    reproducible: bool = False,
    pushed_to: tuple[str, ...] = (),
    wanted: Pushing | None = None,
) -> Build:
    compression = _compression(project, reproducible=reproducible)
    platforms = for_platforms(refuse_errors(gather(context, project, python)))
    workplace = replace(workplace_of(context, compression), elsewhere=pushed_to)
    clear_leftovers(workplace)
    if frozen:
        from mlship.flows.lock_drift import refuse_drift

        refuse_drift(platforms, retrained=retrained)
    else:
        keep_models(platforms[0])
    found = _all_existing(workplace, platforms, builder) if kept is None else None
    if found is not None:
        return found
    if wanted is not None:
        from mlship.flows.push import reach

        reach(context, wanted)
    # here and not above: what makes images takes longer to import than a build takes that finds nothing to do
    from mlship.flows.making import make

    made = make(context, workplace, platforms, builder=builder, frozen=frozen, kept=kept)
    findings = (*_gathered_findings(platforms), *made.findings)
    first, *others = (Build(project, one.record, one.image, findings, made.before, unchanged=False, lock=one.lock)
                      for one in (made, *made.others))  # fmt: skip
    return replace(first, others=tuple(others))


def _all_existing(workplace: Workplace, platforms: tuple[Gathered, ...], builder: str) -> Build | None:
    """The builds of all platforms, where they were made together: then one index names them. The first is tagged last."""
    found: list[Build] = []
    for gathered in reversed(platforms):
        one = _existing(workplace, gathered, builder)
        if one is None:
            return None
        found.insert(0, one)
    contents = {one.record.platform: one.record.content for one in found}
    if len(found) > 1 and any(one.record.platforms != contents for one in found):
        return None
    first, *others = found
    return replace(first, findings=_gathered_findings(platforms), others=tuple(others))


def _gathered_findings(platforms: tuple[Gathered, ...]) -> tuple[Finding, ...]:
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
    workplace.layout.tag(gathered.project.name, image)
    return Build(gathered.project, record, image, gathered.findings, frozenset(), unchanged=True, lock=lock)


def _papers(context: Context, done: Build, folder: Path) -> tuple[Path, ...]:
    # here and not above: what reads METADATA takes longer to import than a build takes that finds nothing to do
    from mlship.image.papers.papers import attach_papers, named_for, write_papers
    from mlship.image.papers.reading import sums_of
    from mlship.image.papers.stamp import stamp

    written_by = stamp(mlship.__version__, context.environ)
    context.progress.step("papers", "reading the image")
    written: tuple[Path, ...] = ()
    for one in (done, *done.others):
        with disk_errors(context.home.root):
            papers = attach_papers(workplace_of(context).layout, one.image, written_by, sums_of(one.lock))
        written += write_papers(named_for(papers, one.image.platform) if done.others else papers, folder)
    return written


def _pushing(context: Context, project: Project, push: Sequence[str], push_as: str) -> Pushing | None:
    """What cannot be pushed is refused before anything is built."""
    if push_as and not push:
        raise MlshipError(
            "--push-as says in which form to push, and there is nowhere to", fix="add --push REFERENCE", code="usage"
        )
    if not push:
        return None
    # here and not above: few builds push, and what pushes takes long to import
    from mlship.flows.push import pushing

    return pushing(context, project, push, push_as)


def _pushed(context: Context, done: Build, wanted: Pushing, compression: Compression) -> tuple[PushReport, ...]:
    from mlship.flows.push import push_images

    return push_images(context, workplace_of(context, compression), wanted, [one.image for one in (done, *done.others)])


def _report(done: Build, seconds: float, papers: tuple[Path, ...] = ()) -> Built:
    image, record = done.image, done.record
    images = tuple(_image_report(done, one) for one in (done, *done.others))
    return Built(
        project=record.project,
        models=tuple(model_report(model) for model in record.models),
        environment=record.environment,
        base=record.base,
        packages=record.packages,
        reference=images[0].reference,
        content=image.content,
        digest=image.manifest.digest,
        platform=image.platform,
        size=image.size,
        compressed=image.compressed_size,
        layers=images[0].layers,
        checks=record.checks,
        findings=done.findings,
        engine="original",
        unchanged=done.unchanged,
        seconds=seconds,
        papers=papers,
        images=images,
    )


def _image_report(done: Build, one: Build) -> ImageReport:
    image, record = one.image, one.record
    layers = tuple(
        LayerReport(layer.role, layer.name, layer.size, layer.blob.size, _is_new(done, layer.blob.digest), layer.blob.digest)
        for layer in image.layers
    )
    return ImageReport(
        reference=image.content.removeprefix("sha256:")[:12],
        content=image.content,
        digest=image.manifest.digest,
        platform=image.platform,
        size=image.size,
        compressed=image.compressed_size,
        layers=layers,
        base=record.base,
        packages=record.packages,
        checks=record.checks,
        to_run_at_deploy=record.to_run_at_deploy,
    )


def _is_new(done: Build, digest: str) -> bool:
    return not done.unchanged and digest.removeprefix("sha256:") not in done.before
