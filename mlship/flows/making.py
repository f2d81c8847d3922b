"""Making images that are not there yet: lock, layers, checks, image, record; one for each platform."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from pathlib import Path

import mlship
from mlship.config.project import Project
from mlship.errors import Exit, Finding, FindingsError, MlshipError
from mlship.flows.base import base_annotations, base_risks, base_title, refuse_docker_builder
from mlship.flows.building.docker import image_by_engine
from mlship.flows.building.histograms import reference_checks
from mlship.flows.building.inputs import build_inputs
from mlship.flows.context import Context
from mlship.flows.explaining import image_facts
from mlship.flows.gather import Gathered
from mlship.flows.layers import Layers, image_config, make_layers
from mlship.flows.locking import Locked, locked
from mlship.flows.model_memory import enough, peak_findings
from mlship.flows.platforms import (
    Proved,
    beside_native,
    left_for_deploy,
    proved_elsewhere,
    refuse_builder,
    version_differences,
    with_native_layers,
)
from mlship.flows.reports import inputs_line, source_version
from mlship.flows.room import refuse_full_disk
from mlship.flows.size_gate import refuse_too_large
from mlship.flows.training import compared_with_training, trained
from mlship.frameworks.base import Loaded, ModelSpec
from mlship.frameworks.declared import declared_findings
from mlship.image.builder import write
from mlship.image.explain import KnownFacts
from mlship.image.lock import Lock
from mlship.image.manifest import serving_as_data
from mlship.image.plan import DEBIAN
from mlship.image.record import BuildRecord, BuildRecords, RecordedModel
from mlship.image.system.apt import Archive, machine_archive
from mlship.image.workplace import Workplace
from mlship.oci.image import Image
from mlship.oci.index import write_index
from mlship.units import size_text


@dataclass(frozen=True)
class Made:
    """A new image with its record. findings: what resolving the lock told. before: blobs that the store had.

    others: the same build for the other platforms.
    """

    record: BuildRecord
    image: Image
    lock: Lock
    findings: tuple[Finding, ...]
    before: frozenset[str]
    others: tuple[Made, ...] = ()


def make(
    context: Context,
    workplace: Workplace,
    platforms: tuple[Gathered, ...],
    *,
    builder: str,
    frozen: bool,
    kept: Path | None = None,
    allowed: Callable[[], object] = tuple,
) -> Made:
    """As flows.build.build, for a project of which no image is there. platforms: the one that runs here, if any, first.

    All are locked before one is made; what runs here is checked before anything else is made. allowed: waited for before an image
    is written; layers and checks do not wait.
    """
    refuse_builder(builder, platforms)
    refuse_full_disk(workplace, platforms)
    before = _blobs(workplace)
    refuse_docker_builder(builder, platforms[0])
    archive = cache(partial(archive_of, context, platforms[0].project))
    known: list[Locked] = []
    place = workplace
    for gathered in platforms:
        known.append(locked(place, gathered, archive, frozen=frozen, now=context.clock()))
        place = beside_native(place, gathered, known[-1].lock, archive) if gathered is not platforms[-1] else place
    passed: list[_Passed] = []
    native: Layers | None = None
    for gathered, lock in zip(platforms, known, strict=True):
        proved = proved_elsewhere(context, gathered, native)
        answered = trained(context, gathered) if proved is None else dict
        if proved is None:
            native = layers = make_layers(workplace, gathered, lock.lock, archive, primed=context.primed)
        else:
            layers = make_layers(with_native_layers(place, native), gathered, lock.lock, archive, proved.loaded)
        refuse_too_large(workplace, gathered.project, layers.layers, lock.lock)
        checks = (*_loading_checks(gathered, layers), *_signature_checks(gathered, layers), *reference_checks(layers.loaded))
        if proved is None:
            checks = (*checks, *compared_with_training(context, gathered, layers.loaded, answered))
        passed.append(_Passed(gathered, lock, layers, proved, checks))
    allowed()
    # only now: an image that is written is its project's newest
    made = [_image(context, workplace, one, builder, kept, before) for one in passed]
    records = BuildRecords(workplace.home.images)
    together = _together(workplace, [(one.record, one.image) for one in made])
    for record in together:
        records.write(record)
    first, *others = (replace(one, record=record) for one, record in zip(made, together, strict=True))
    return replace(first, findings=_findings(made), others=tuple(others))


@dataclass(frozen=True)
class _Passed:
    """What one platform's image is made of, once nothing speaks against it any more. proved: on another platform, if so."""

    gathered: Gathered
    known: Locked
    layers: Layers
    proved: Proved | None
    checks: tuple[str, ...]


def _image(
    context: Context, workplace: Workplace, passed: _Passed, builder: str, kept: Path | None, before: frozenset[str]
) -> Made:
    """The image of one platform, from its layers."""
    gathered, known, layers, proved = passed.gathered, passed.known, passed.layers, passed.proved
    notes = base_annotations(known.lock.base)
    if builder == "docker":
        image = image_by_engine(context, workplace, gathered, known.lock, layers, kept)
    else:
        image = write(workplace, layers.layers, image_config(gathered, layers.start), known.lock.platform, notes)
    inputs = build_inputs(gathered, known.lock, builder, workplace.compression)
    told = () if proved else passed.checks  # of a model that was loaded elsewhere, they are not about this image
    record = build_record(gathered, known.lock, image, layers.loaded, told, inputs, context.clock())
    KnownFacts(workplace.home.images).write(image.content, image_facts(gathered, known.lock, image, builder))
    if proved is not None:
        record = replace(record, to_run_at_deploy=left_for_deploy(gathered.specs, proved.place))
    findings = (*known.findings, *base_risks(workplace, gathered, known.lock))
    return Made(record, image, known.lock, findings, before)


def _together(workplace: Workplace, made: Sequence[tuple[BuildRecord, Image]]) -> list[BuildRecord]:
    """The records that know of each other; their images named by one index, the first of them the newest of the project."""
    if len(made) == 1:
        return [made[0][0]]
    (record, first), *_ = made
    write_index(workplace.layout, record.project, [image for _, image in made])
    workplace.layout.tag(record.project, first)
    contents = {image.platform: image.content for _, image in made}
    return [replace(known, platforms=contents) for known, _ in made]


def _findings(made: Sequence[Made]) -> tuple[Finding, ...]:
    """Each once: two platforms often tell the same."""
    told = tuple(dict.fromkeys(finding for one in made for finding in one.findings))
    return (*told, *version_differences([one.lock for one in made]))


def archive_of(context: Context, project: Project) -> Archive | None:
    """Where operating-system packages come from; only asked for when something has to be fetched or resolved.

    None where the base is an image.
    """
    if project.build.base != DEBIAN:
        return None
    return machine_archive(context.runner, project.build.mirror)


def build_record(
    gathered: Gathered,
    lock: Lock,
    image: Image,
    loaded: Mapping[str, Loaded],
    checks: tuple[str, ...],
    inputs: str,
    now: float,
) -> BuildRecord:
    """Pure. now: seconds since the epoch."""
    return BuildRecord(
        inputs=inputs,
        content=image.content,
        project=gathered.project.name,
        platform=image.platform,
        created=now,
        mlship=mlship.__version__,
        models=tuple(_recorded_model(spec, loaded[spec.name]) for spec in gathered.specs),
        serving=serving_as_data(gathered.project),
        environment=f"{gathered.environment.source} (Python {gathered.environment.version})",
        base=base_title(lock),
        packages=len(lock.wheels),
        checks=checks,
        manifest=image.manifest.digest,
    )


def _recorded_model(spec: ModelSpec, loaded: Loaded) -> RecordedModel:
    return RecordedModel(
        name=spec.name,
        framework=spec.framework,
        title=loaded.title,
        path=spec.uri,
        size=spec.trained.size,
        sha256=spec.sha256,
        inputs=inputs_line(loaded.signature),
        code=tuple(sorted({file.name.partition("/")[0] for file in spec.code})),
        trust=spec.trained.trust,
        versions={**spec.trained.versions, **loaded.versions},
        sample=spec.sample,
        answers=loaded.answers,
        tolerance=asdict(spec.tolerance),
        engine=spec.engine,
        source_version=source_version(spec),
        row_s=loaded.row_s,
        peak_memory=loaded.peak_memory,
    )


def _loading_checks(gathered: Gathered, layers: Layers) -> tuple[str, ...]:
    """Raises MlshipError with exit 5 when the models need more memory than a replica gets."""
    limit = gathered.project.resources.memory
    sizes = {spec.name: spec.size for spec in gathered.specs}
    for found in peak_findings(gathered.project, gathered.specs, layers.loaded):
        raise MlshipError(found.what, found.where, found.fix, exit=Exit.BUILD_FAILED, code=found.code)
    together = needed_together({name: found.peak_memory for name, found in layers.loaded.items()}, sizes)
    if together > limit.bytes:
        raise MlshipError(
            f"{', '.join(sizes)} need at least {size_text(together)} together, and resources.memory is {limit}",
            gathered.project.at("resources.memory"),
            f"set resources.memory: {enough(together)}",
            exit=Exit.BUILD_FAILED,
            code="too-little-memory",
        )
    return tuple(
        f"{name} loads in {found.load_s:.1f} s with {size_text(found.peak_memory)} of {limit}"
        for name, found in layers.loaded.items()
    )


def _signature_checks(gathered: Gathered, layers: Layers) -> tuple[str, ...]:
    """Raises FindingsError with exit 5 when a model takes other features than the signature says that came with it."""
    where = gathered.project.at("model.uri")
    told = [spec for spec in gathered.specs if spec.declared is not None]
    found = [
        finding
        for spec in told
        for finding in declared_findings(spec.declared, layers.loaded[spec.name].signature, spec.name, where)
    ]
    if any(finding.severity == "error" for finding in found):
        raise FindingsError("the signature that came with the model is not the model's", found, exit=Exit.BUILD_FAILED)
    return tuple(f"{spec.name} takes what its signature says" for spec in told)


def needed_together(peaks: Mapping[str, int], sizes: Mapping[str, int]) -> int:
    """Bytes that models of these names take at least when all are loaded in one process.

    peaks: of each alone, packages included, which are there only once. sizes: of their files, which no loaded model is below.
    """
    return max((peak + sum(size for other, size in sizes.items() if other != name) for name, peak in peaks.items()), default=0)


def _blobs(workplace: Workplace) -> frozenset[str]:
    folder = workplace.layout.blobs
    return frozenset(path.name for path in folder.iterdir()) if folder.is_dir() else frozenset()
