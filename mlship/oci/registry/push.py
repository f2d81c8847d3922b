"""A build's images into a registry: blobs that are missing, then manifests and index, each answer compared."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mlship.errors import MlshipError
from mlship.oci.image import Descriptor, Image
from mlship.oci.layout import Layout
from mlship.oci.registry.client import Registry
from mlship.oci.registry.connection import Answer, Call
from mlship.oci.registry.half_done import half_done
from mlship.oci.registry.parallel import in_parallel
from mlship.oci.registry.reference import Reference
from mlship.oci.registry.speed import BlobProgress
from mlship.oci.registry.upload import How, Upload
from mlship.oci.registry.variant import Blob, Document, Kind, Variant, variant
from mlship.progress import Progress, Silent

Holders = Callable[[str], Sequence[str]]
"""The repositories of a registry that may have the blob of a digest."""


def nowhere(digest: str) -> Sequence[str]:
    """No repository is known to have anything."""
    return ()


@dataclass
class Moved:
    """What became of blobs, by digest, and how many bytes of them went over the line, repeated ones counted."""

    how: dict[str, How] = field(default_factory=dict)
    size: int = 0


@dataclass(frozen=True)
class Pushed:
    """What a push did.

    reference: by digest, of the index where there is one. contents and manifests: of the images, in their order. moved: bytes of
    blobs that went over the line, repeated ones counted. sent, mounted, present: digests of blobs.
    """

    reference: Reference
    contents: tuple[str, ...]
    manifests: tuple[Descriptor, ...]
    kind: Kind
    moved: int
    sent: tuple[str, ...]
    mounted: tuple[str, ...]
    present: tuple[str, ...]


def push(
    registry: Registry,
    reference: Reference,
    layout: Layout,
    images: Sequence[Image],
    *,
    kind: Kind = "oci",
    mount_from: Holders = nowhere,
    progress: Progress | None = None,
    half_done_in: Path | None = None,
) -> Pushed:
    """Pushes the images of one build, one a platform, in the form `kind`; what the registry has already is not sent again.

    Several images need a kind with an index; blobs that they share are sent once. mount_from: which repositories of the same
    registry may have a blob. half_done_in: a folder of this machine where it is kept how far large blobs are, so that a run
    after a killed one goes on. Can be repeated after any failure.
    Raises MlshipError: exit 8 (credentials), 13 (the registry does not answer), 5 (it got or answers other bytes).
    """
    made = variant(layout, images, kind)
    _check_wanted(registry, reference, made)
    others = dict.fromkeys(other for blob in made.blobs for other in mount_from(blob.described.digest))
    registry.want(f"repository:{reference.repository}:pull,push", *(f"repository:{other}:pull" for other in others))
    if _is_there(registry, reference, made.top):
        return _pushed(reference, made, Moved({blob.described.digest: "present" for blob in made.blobs}))
    told = progress or Silent()
    told.step("push", reference.name)
    moved = push_blobs(
        registry,
        reference.repository,
        layout,
        made.blobs,
        mount_from=mount_from,
        progress=told,
        half_done_in=half_done_in,
    )
    for manifest in made.manifests if made.index else ():
        put_manifest(registry, reference.repository, manifest.described.digest, manifest)
    put_manifest(registry, reference.repository, reference.version, made.top)
    return _pushed(reference, made, moved)


def push_blobs(
    registry: Registry,
    repository: str,
    layout: Layout,
    blobs: Sequence[Blob],
    *,
    mount_from: Holders = nowhere,
    progress: Progress | None = None,
    half_done_in: Path | None = None,
) -> Moved:
    """The blobs that the repository does not have, several at a time, the largest first."""
    moved, lock = Moved(), threading.Lock()

    def one(blob: Blob) -> None:
        digest, size = blob.described.digest, blob.described.size
        told = BlobProgress(progress or Silent(), f"push {blob.name}", size)
        with half_done(half_done_in, f"{registry.name}/{repository}@{digest}", size) as kept:
            how = Upload(registry, repository, blob.described, layout.path(digest), told, kept).run(mount_from(digest))
        with lock:
            moved.how[digest] = how
            moved.size += told.moved
        if how == "sent":
            told.finish()

    in_parallel(registry, one, sorted(blobs, key=lambda blob: -blob.described.size))
    return moved


def put_manifest(registry: Registry, repository: str, version: str, made: Document) -> Answer:
    """version: a tag or the digest. Raises MlshipError with exit 5 when the registry calls it otherwise."""
    headers = {"Content-Type": made.described.media_type}
    call = Call("PUT", _address(repository, version), headers, lambda: (made.content,), len(made.content))
    answer = registry.ask(call, f"pushing {repository}:{version}", (200, 201, 202))
    told = answer.header("docker-content-digest")
    if told and told != made.described.digest:
        raise registry.nonsense(f"it took the manifest {made.described.digest} and calls it {told}")
    return answer


def _is_there(registry: Registry, reference: Reference, made: Document) -> bool:
    """Whether the tag, or the digest, names just this: a registry takes a manifest only when it has all that it names."""
    call = Call("HEAD", _address(reference.repository, reference.version), {"Accept": made.described.media_type})
    answer = registry.ask(call, f"pushing {reference.repository}", (200, 404))
    return answer.status == 200 and answer.header("docker-content-digest") == made.described.digest


def _address(repository: str, version: str) -> str:
    return f"/v2/{repository}/manifests/{version}"


def _pushed(reference: Reference, made: Variant, moved: Moved) -> Pushed:
    def those(how: How) -> tuple[str, ...]:
        return tuple(sorted(digest for digest, known in moved.how.items() if known == how))

    top = reference.at(made.top.described.digest)
    manifests = tuple(manifest.described for manifest in made.manifests)
    return Pushed(top, made.contents, manifests, made.kind, moved.size, those("sent"), those("mounted"), those("present"))


def _check_wanted(registry: Registry, reference: Reference, made: Variant) -> None:
    if reference.digest and reference.digest != made.top.described.digest:
        raise MlshipError(
            f"{reference} was asked for, and this image is {made.top.described.digest} as {made.kind}",
            where=registry.name,
            fix=f"push to {reference.name}:TAG",
        )
