"""build: text -> Project -> ModelSpecs -> lock -> layers -> Image. Same inputs, same content id; an existing one is reused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import mlship
from mlship.config.project import Project
from mlship.disk import disk_errors
from mlship.errors import Exit, Finding, MlshipError
from mlship.flows.build_docker import image_by_engine
from mlship.flows.context import Context, Where
from mlship.flows.gather import Gathered, gather, refuse_errors
from mlship.flows.layers import Layers, image_config, make_layers
from mlship.flows.locking import current_lock
from mlship.flows.locking import locked as locked_packages
from mlship.flows.opening import project_of
from mlship.flows.reports import inputs_line, model_report
from mlship.flows.results import Built, LayerReport
from mlship.flows.training import compared_with_training
from mlship.frameworks.base import Loaded, ModelSpec
from mlship.image.builder import BUILDER, write
from mlship.image.lock import Lock
from mlship.image.manifest import manifest, serving_as_data
from mlship.image.packages.strip import RULES
from mlship.image.record import BuildRecord, BuildRecords, RecordedModel
from mlship.image.server_layer import server_digest
from mlship.image.system.apt import Archive, machine_archive
from mlship.image.workplace import Workplace, clear_leftovers
from mlship.oci.image import Image
from mlship.server.manifest import Signature, to_json
from mlship.units import Memory, size_text


@dataclass(frozen=True)
class Build:
    """A finished build, new or found again. before: blobs that the store had when it began."""

    project: Project
    record: BuildRecord
    image: Image
    findings: tuple[Finding, ...]
    before: frozenset[str]
    unchanged: bool
    lock: Lock


def build(
    context: Context,
    where: Where,
    *,
    python: str = "",
    builder: str = "mlship",
    locked: bool = False,
    kept: Path | None = None,
    sbom: Path | None = None,
) -> Built:
    """builder: `mlship` needs no daemon; `docker` renders a Dockerfile and builds it with BuildKit. locked: fail on drift.

    kept: where the Dockerfile and its files stay; then they are made anew even where nothing changed. sbom: a folder for the
    image's papers, which are then attached to it in the store as well.

    Raises MlshipError and FindingsError; exit 5 when the model does not load or answer in the image.
    """
    started = context.clock()
    project = project_of(context, where)
    if kept is not None and builder != "docker":
        raise MlshipError("--context keeps what a Dockerfile is built from", fix="add --builder docker", code="usage")
    if sbom is not None and sbom.exists() and not sbom.is_dir():
        raise MlshipError(f"{sbom} is not a folder", fix="name a folder, new or old, with --sbom", code="usage")
    done = _build(context, project, python, builder=builder, frozen=locked, kept=kept)
    papers = _papers(context, done, sbom) if sbom is not None else ()
    return _report(done, context.clock() - started, papers)


def built_record(context: Context, project: Project, python: str = "") -> BuildRecord:
    """The record of the image of this project as it is now; builds it when something changed."""
    return _build(context, project, python, builder="mlship", frozen=False).record


def workplace_of(context: Context) -> Workplace:
    return Workplace(context.home, context.runner, context.progress, context.environ)


def build_inputs(gathered: Gathered, lock: Lock, builder: str) -> str:
    """sha256 hex over everything that an image depends on. Pure but for the server's own files."""
    described = manifest(gathered.project, gathered.specs, _no_signatures(gathered), mlship.__version__)
    facts = {
        "builder": [builder, BUILDER, RULES],
        "server": server_digest(),
        "manifest": hashlib.sha256(to_json(described)).hexdigest(),
        "code": sorted((file.name, file.sha256) for spec in gathered.specs for file in spec.code),
        "lock": hashlib.sha256(json.dumps(_locked_facts(lock), sort_keys=True).encode()).hexdigest(),
        "whole": sorted(gathered.project.build.whole),
        "tolerance": [asdict(spec.tolerance) for spec in gathered.specs],
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def archive_of(context: Context, project: Project) -> Archive:
    """Where operating-system packages come from; only asked for when something has to be fetched or resolved."""
    return machine_archive(context.runner, project.build.mirror)


def _build(context: Context, project: Project, python: str, *, builder: str, frozen: bool, kept: Path | None = None) -> Build:
    gathered = refuse_errors(gather(context, project, python))
    workplace = workplace_of(context)
    clear_leftovers(workplace)
    found = _existing(workplace, gathered, builder) if kept is None else None
    if found is not None:
        return found
    before = _blobs(workplace)
    archive = archive_of(context, project)
    known = locked_packages(workplace, gathered, archive, frozen=frozen)
    lock = known.lock
    layers = make_layers(workplace, gathered, lock, archive)
    checks = (*_loading_checks(gathered, layers), *compared_with_training(context, gathered, layers.loaded))
    if builder == "docker":
        image = image_by_engine(context, workplace, gathered, lock, layers, kept)
    else:
        image = write(workplace, layers.layers, image_config(gathered, lock.python), lock.platform)
    inputs = build_inputs(gathered, lock, builder)
    record = build_record(gathered, lock, image, layers.loaded, checks, inputs, context.clock())
    BuildRecords(workplace.home.images).write(record)
    return Build(project, record, image, (*gathered.findings, *known.findings), before, unchanged=False, lock=lock)


def _existing(workplace: Workplace, gathered: Gathered, builder: str) -> Build | None:
    """The build that had the same inputs, if its image is still whole."""
    lock = current_lock(gathered)
    if lock is None:
        return None
    record = BuildRecords(workplace.home.images).of_inputs(build_inputs(gathered, lock, builder))
    if record is None or record.project != gathered.project.name:
        return None
    try:
        image = workplace.layout.find(record.content)
    except MlshipError:
        return None
    if not all(workplace.layout.has(layer.blob) for layer in image.layers):
        return None
    workplace.layout.tag(gathered.project.name, image)
    return Build(gathered.project, record, image, gathered.findings, frozenset(), unchanged=True, lock=lock)


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
        base=f"debian {lock.suite}",
        packages=len(lock.wheels),
        checks=checks,
    )


def _recorded_model(spec: ModelSpec, loaded: Loaded) -> RecordedModel:
    return RecordedModel(
        name=spec.name,
        framework=spec.framework,
        title=loaded.title,
        path=spec.uri,
        size=spec.size,
        sha256=spec.sha256,
        inputs=inputs_line(loaded.signature),
        code=tuple(sorted({file.name.partition("/")[0] for file in spec.code})),
        trust=spec.trust,
        versions=dict(loaded.versions),
        sample=spec.sample,
        answers=loaded.answers,
        tolerance=asdict(spec.tolerance),
    )


def _loading_checks(gathered: Gathered, layers: Layers) -> tuple[str, ...]:
    """Raises MlshipError with exit 5 when the model needs more memory than a replica gets."""
    limit = gathered.project.resources.memory
    for spec in gathered.specs:
        needed = layers.loaded[spec.name].peak_memory
        if needed > limit.bytes:
            raise MlshipError(
                f"{spec.name} needed {size_text(needed)} to load, and resources.memory is {limit}",
                gathered.project.at("resources.memory"),
                f"set resources.memory: {Memory(-(-needed * 5 // 4 // 2**28) * 2**28)}",
                exit=Exit.BUILD_FAILED,
                code="too-little-memory",
            )
    return tuple(
        f"{name} loads in {found.load_s:.1f} s with {size_text(found.peak_memory)} of {limit}"
        for name, found in layers.loaded.items()
    )


def _papers(context: Context, done: Build, folder: Path) -> tuple[Path, ...]:
    # here and not above: what reads METADATA takes longer to import than a build takes that finds nothing to do
    from mlship.image.papers.papers import attach_papers, write_papers
    from mlship.image.papers.reading import sums_of
    from mlship.image.papers.stamp import stamp

    written_by = stamp(mlship.__version__, context.environ)
    context.progress.step("papers", "reading the image")
    with disk_errors(context.home.root):
        papers = attach_papers(workplace_of(context).layout, done.image, written_by, sums_of(done.lock))
    return write_papers(papers, folder)


def _report(done: Build, seconds: float, papers: tuple[Path, ...] = ()) -> Built:
    image, record = done.image, done.record
    layers = tuple(
        LayerReport(layer.role, layer.name, layer.size, layer.blob.size, is_new=_is_new(done, layer.blob.digest))
        for layer in image.layers
    )
    return Built(
        project=record.project,
        models=tuple(model_report(model) for model in record.models),
        environment=record.environment,
        base=record.base,
        packages=record.packages,
        reference=image.content.removeprefix("sha256:")[:12],
        content=image.content,
        digest=image.manifest.digest,
        platform=image.platform,
        size=image.size,
        compressed=image.compressed_size,
        layers=layers,
        checks=record.checks,
        findings=done.findings,
        engine="original",
        unchanged=done.unchanged,
        seconds=seconds,
        papers=papers,
    )


def _is_new(done: Build, digest: str) -> bool:
    return not done.unchanged and digest.removeprefix("sha256:") not in done.before


def _blobs(workplace: Workplace) -> frozenset[str]:
    folder = workplace.layout.blobs
    return frozenset(path.name for path in folder.iterdir()) if folder.is_dir() else frozenset()


def _no_signatures(gathered: Gathered) -> dict[str, Signature]:
    return {spec.name: Signature() for spec in gathered.specs}


def _locked_facts(lock: Lock) -> dict[str, object]:
    plain = asdict(replace(lock, wheels=tuple(replace(wheel, built=None) for wheel in lock.wheels)))
    for package in plain["system"]:
        package.pop("url")
    return plain
