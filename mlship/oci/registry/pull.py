"""An image of a registry into a layout on this machine: every byte is checked before it gets its name."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from mlship.errors import Exit, MlshipError
from mlship.oci.image import Descriptor, Image
from mlship.oci.layout import INDEX_TYPE, MANIFEST_TYPE, Layout
from mlship.oci.registry.client import Registry
from mlship.oci.registry.connection import DOCUMENT_LIMIT, Call
from mlship.oci.registry.download import Download
from mlship.oci.registry.parallel import in_parallel
from mlship.oci.registry.reference import Reference
from mlship.oci.registry.speed import BlobProgress
from mlship.oci.registry.variant import DOCKER_LIST_TYPE, DOCKER_MANIFEST_TYPE, LAYER_TYPES, Document, document
from mlship.progress import Progress, Silent

_MANIFESTS = (MANIFEST_TYPE, DOCKER_MANIFEST_TYPE)
_INDEXES = (INDEX_TYPE, DOCKER_LIST_TYPE)


def pull(registry: Registry, reference: Reference, layout: Layout, *, platform: str, progress: Progress | None = None) -> Image:
    """The image for the platform (`linux/amd64`), all of its blobs in the layout; those that are there are not fetched.

    The layout's index does not list it: that is `layout.tag`. Raises MlshipError: exit 2 (no such image or platform), 8
    (credentials), 13 (the registry does not answer), 5 (it gives other bytes than it names).
    """
    found = fetch_manifest(registry, reference, platform)
    told = progress or Silent()
    told.step("pull", str(reference))
    described = _described(registry, found)
    config, *layers = described
    fetch_blobs(registry, reference.repository, [config], layout, told)
    _check_platform(reference, layout.read_json(config.digest), platform)
    fetch_blobs(registry, reference.repository, layers, layout, told)
    return layout.read_image(layout.put_blob(found.content, found.described.media_type))


def fetch_manifest(registry: Registry, reference: Reference, platform: str) -> Document:
    """The image manifest for the platform, through the index where there is one; nothing is written."""
    registry.want(f"repository:{reference.repository}:pull")
    found = read_document(registry, reference)
    if found.described.media_type in _INDEXES:
        chosen = choose_platform(_json(registry, found.content), platform, reference)
        found = read_document(registry, reference.at(chosen))
    if found.described.media_type not in _MANIFESTS:
        raise MlshipError(
            f"{reference} is a {found.described.media_type}, not an image that can be pulled",
            where=registry.name,
            fix="push the image again with a current tool",
            exit=Exit.BUILD_FAILED,
            code="no-image-manifest",
        )
    return found


def fetch_blobs(
    registry: Registry, repository: str, blobs: Sequence[Descriptor], layout: Layout, progress: Progress | None = None
) -> None:
    """The blobs into the layout, several at a time. Each is streamed, and verified by size and digest."""
    missing = list({blob.digest: blob for blob in blobs if not layout.has(blob)}.values())

    def one(blob: Descriptor) -> None:
        told = BlobProgress(progress or Silent(), f"pull {blob.digest[7:19]}", blob.size)
        Download(registry, repository, blob, layout, told).run()
        told.finish()

    in_parallel(registry, one, sorted(missing, key=lambda blob: -blob.size))


def choose_platform(index: Mapping[str, Any], platform: str, reference: Reference) -> str:
    """The digest of the platform's manifest. Pure. Raises MlshipError that names the platforms there are."""
    system, _, architecture = platform.partition("/")
    known: list[str] = []
    for entry in sorted(index.get("manifests") or [], key=_plain_variant_first):
        its = entry.get("platform") or {}
        if (its.get("os"), its.get("architecture")) == (system, architecture):
            return str(entry["digest"])
        known.append(f"{its.get('os', '?')}/{its.get('architecture', '?')}")
    listed = ", ".join(sorted({name for name in known if "unknown" not in name and "?" not in name}))
    raise MlshipError(
        f"{reference} is not there for {platform}" + (f"; only for {listed}" if listed else ""),
        where=reference.registry,
        fix="name another image, or another platform (build.platforms)",
        code="no-platform",
    )


def _plain_variant_first(entry: Mapping[str, Any]) -> bool:
    """Of several for one architecture, the one that every processor of it runs: amd64 without v2 or v3, arm64 v8."""
    return (entry.get("platform") or {}).get("variant", "") not in ("", "v8")


def read_document(registry: Registry, reference: Reference) -> Document:
    """A manifest or an index as it lies there. Raises MlshipError: exit 2 where there is none, else as `pull` does."""
    call = Call(
        "GET", f"/v2/{reference.repository}/manifests/{reference.version}", {"Accept": ", ".join((*_MANIFESTS, *_INDEXES))}
    )
    answer = registry.ask(call, f"pulling {reference.repository}:{reference.version}", (200, 404))
    if answer.status == 404:
        raise MlshipError(
            f"there is no {reference}",
            where=registry.name,
            fix="check repository and tag",
            code="registry-not-found",
        )
    if len(answer.body) > DOCUMENT_LIMIT:
        raise registry.nonsense(f"the manifest of {reference} is larger than {DOCUMENT_LIMIT >> 20} MiB")
    media_type = answer.header("content-type").partition(";")[0].strip()
    found = document(answer.body, str(_json(registry, answer.body).get("mediaType") or media_type))
    named = reference.digest or answer.header("docker-content-digest")
    if named and named != found.described.digest:
        raise _other_bytes(registry, f"the manifest {named}", found.described.digest)
    return found


def _described(registry: Registry, found: Document) -> list[Descriptor]:
    """The configuration, then the layers."""
    told = _json(registry, found.content)
    try:
        entries = [told["config"], *told["layers"]]
        blobs = [Descriptor(str(entry["mediaType"]), str(entry["digest"]), int(entry["size"])) for entry in entries]
    except (KeyError, TypeError, ValueError):
        raise registry.nonsense(f"the manifest {found.described.digest} names no configuration and layers") from None
    for blob in blobs[1:]:
        if blob.media_type not in LAYER_TYPES:
            raise MlshipError(
                f"the image has a layer of the type {blob.media_type}, which cannot be used",
                where=registry.name,
                fix="name an image whose layers are tar archives, plain or in gzip or zstd",
                exit=Exit.BUILD_FAILED,
                code="unknown-layer",
            )
    return blobs


def _check_platform(reference: Reference, config: Mapping[str, Any], platform: str) -> None:
    its = f"{config.get('os', '?')}/{config.get('architecture', '?')}"
    if its != platform:
        raise MlshipError(
            f"{reference} is for {its}, not for {platform}",
            where=reference.registry,
            fix="name another image, or another platform (build.platforms)",
            code="no-platform",
        )


def _json(registry: Registry, content: bytes) -> Mapping[str, Any]:
    try:
        told = json.loads(content)
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise registry.nonsense("a manifest of it is not a JSON object")
    return told


def _other_bytes(registry: Registry, what: str, digest: str) -> MlshipError:
    return registry.nonsense(f"{what} came with the digest {digest}")
