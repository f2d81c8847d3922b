"""A finished build as people and machines read of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mlship.flows.building.images import Build, workplace_of
from mlship.flows.building.results import Built, Explanation, ImageReport, LayerReport
from mlship.flows.context import Context
from mlship.flows.reports import model_report
from mlship.oci.image import Image

if TYPE_CHECKING:
    from mlship.image.sizes import Part


def report(done: Build) -> Built:
    image, record = done.image, done.record
    images = tuple(_image_report(done, one) for one in done.every)
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
        engine=record.models[0].engine.name,
        unchanged=done.unchanged,
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


def parts(context: Context, done: Build) -> tuple[Part, ...]:
    """What is in the image of the first platform; of layers that are known, without reading them."""
    from mlship.flows.size_gate import wheel_versions
    from mlship.image.sizes import layer_parts

    workplace = workplace_of(context)
    return layer_parts(workplace.layout, done.image.layers, workplace.home, wheel_versions(done.lock))


def explained(context: Context, done: Build, before: Mapping[str, Image]) -> tuple[Explanation, ...]:
    from mlship.flows.explaining import explanation

    workplace = workplace_of(context)
    return tuple(
        explanation(workplace, one.image, before.get(one.image.platform), _there_before(done, one.image)) for one in done.every
    )


def _there_before(done: Build, image: Image) -> frozenset[str]:
    """Hex digests of what the store had; the first build of all found nothing in it."""
    return _blobs_of(image) if done.unchanged else done.before


def _blobs_of(image: Image) -> frozenset[str]:
    return frozenset(layer.blob.digest.removeprefix("sha256:") for layer in image.layers)
