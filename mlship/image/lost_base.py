"""A locked base whose packages no mirror has any more: the same layer of an earlier image, on this machine or in a registry."""

from __future__ import annotations

import hashlib
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial

from mlship.disk import DISK, disk_errors
from mlship.errors import MlshipError
from mlship.image.plan import BasePlan
from mlship.image.pushed import PushRecords
from mlship.image.workplace import Workplace
from mlship.oci.image import Descriptor, Layer
from mlship.oci.layer import CHUNK, MEDIA_TYPES, layer_of_tar
from mlship.oci.layout import short
from mlship.oci.registry.client import Registry
from mlship.oci.registry.docker_config import docker_credentials
from mlship.oci.registry.pull import fetch_blobs, fetch_manifest
from mlship.oci.registry.reference import Reference, parse_reference
from mlship.oci.registry.variant import oci_type
from mlship.oci.rootfs import decompressed

LOST = ("package-gone", "archive-unreachable")  # codes of errors that another source of the base can heal
_PUSHES = 20  # of those that this machine knows, the newest


def recovered(workplace: Workplace, plan: BasePlan) -> Layer | None:
    """The layer with the plan's diff_id, packed as every layer of this build; None where nobody has it.

    What a registry gives is believed when its files have that digest. Registries that do not answer are passed over.
    """
    if not plan.diff_id:
        return None
    with disk_errors(workplace.home.root):
        return _first(workplace, plan, (*_of_store(workplace, plan), *_of_registries(workplace, plan)))


def _first(
    workplace: Workplace, plan: BasePlan, sources: Iterable[tuple[str, Callable[[], Descriptor | None]]]
) -> Layer | None:
    for place, fetch in sources:
        try:
            blob = fetch()
        except MlshipError as error:
            workplace.progress.step("base", f"{place} does not give it: {error.what}")
            continue
        layer = _packed(workplace, plan, blob) if blob else None
        if layer is not None:
            workplace.progress.step("base", f"{plan.suite} is taken from {place}: the archive has not all of its packages")
            return layer
    return None


def _of_store(workplace: Workplace, plan: BasePlan) -> Iterator[tuple[str, Callable[[], Descriptor | None]]]:
    layout = workplace.layout
    found = {
        layer.blob: short(image.content)
        for image in layout.images()
        for layer in image.layers
        if layer.diff_id == plan.diff_id and layout.has(layer.blob)
    }
    for blob, content in found.items():
        yield f"the image {content}", partial(_known, blob)


def _known(blob: Descriptor) -> Descriptor:
    return blob


def _of_registries(workplace: Workplace, plan: BasePlan) -> Iterator[tuple[str, Callable[[], Descriptor | None]]]:
    for reference in dict.fromkeys((*map(parse_reference, workplace.elsewhere), *_pushed_to(workplace))):
        yield reference.name, partial(_fetched, workplace, plan, reference)


def _pushed_to(workplace: Workplace) -> list[Reference]:
    records = PushRecords(workplace.home.images)
    contents = (path.name.partition(".")[0] for path in (workplace.home.images / "records").glob("*.pushed.json"))
    known = sorted((one for content in contents for one in records.of_content(content)), key=lambda one: -one.when)
    return [Reference(one.registry, one.repository, digest=one.digest) for one in known[:_PUSHES]]


def _fetched(workplace: Workplace, plan: BasePlan, reference: Reference) -> Descriptor | None:
    """The blob, now in the store. None where neither the image nor its repository has it."""
    credentials = docker_credentials(workplace.environ, workplace.runner)
    with Registry(reference.registry, workplace.environ, credentials) as registry:
        blob = _named(workplace, plan, registry, reference) or plan.blob
        if blob is not None:
            fetch_blobs(registry, reference.repository, [blob], workplace.layout, workplace.progress)
        return blob


def _named(workplace: Workplace, plan: BasePlan, registry: Registry, reference: Reference) -> Descriptor | None:
    """The blob of an image that is there and stands on this base; else the repository may have it from another one."""
    try:
        manifest = fetch_manifest(registry, reference, plan.platform)
    except MlshipError as error:
        if error.code not in ("registry-not-found", "no-platform"):
            raise
        return None
    content = workplace.layout.put_blob(manifest.content, manifest.described.media_type)
    described = workplace.layout.read_json(content.digest)
    config = _descriptor(described["config"])
    fetch_blobs(registry, reference.repository, [config], workplace.layout)
    diff_ids = workplace.layout.read_json(config.digest)["rootfs"]["diff_ids"]
    layers = zip(diff_ids, map(_descriptor, described["layers"]), strict=True)
    return next((blob for diff_id, blob in layers if diff_id == plan.diff_id), None)


def _descriptor(entry: dict[str, object]) -> Descriptor:
    return Descriptor(oci_type(str(entry["mediaType"])), str(entry["digest"]), int(str(entry["size"])))


def _packed(workplace: Workplace, plan: BasePlan, blob: Descriptor) -> Layer | None:
    """As this build packs its layers; a blob that is packed so stays itself. None where it holds other files than it should."""
    size = _size(workplace, plan, blob)
    if size is None:
        return None
    if workplace.compression != "zlib" and MEDIA_TYPES[workplace.compression] == blob.media_type:
        return Layer(blob, plan.diff_id, size, "base", plan.suite)
    with workplace.layout.path(blob.digest).open("rb") as file:
        stream = decompressed(file, blob.media_type)
        return layer_of_tar(workplace.layout, stream, role="base", name=plan.suite, compression=workplace.compression)


def _size(workplace: Workplace, plan: BasePlan, blob: Descriptor) -> int | None:
    """Of its tar. None where that is not the one that was locked."""
    plain, size = hashlib.sha256(), 0
    try:
        with workplace.layout.path(blob.digest).open("rb") as file:
            stream = decompressed(file, blob.media_type)
            while chunk := stream.read(CHUNK):
                plain.update(chunk)
                size += len(chunk)
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        if isinstance(error, OSError) and error.errno in DISK:
            raise
        return None
    return size if f"sha256:{plain.hexdigest()}" == plan.diff_id else None
