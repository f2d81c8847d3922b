"""One small document beside an image in a registry, under a tag of its own: an OCI artifact whose subject is the image's manifest."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mlship.oci.image import Descriptor
from mlship.oci.layout import MANIFEST_TYPE, Layout
from mlship.oci.referrers import EMPTY, EMPTY_CONTENT, TITLE, Document, Referrer, referrer_manifest
from mlship.oci.registry.client import Registry
from mlship.oci.registry.pull import fetch_blobs, read_document
from mlship.oci.registry.push import push_blobs, put_manifest
from mlship.oci.registry.push_referrers import LISTS, listed, relist
from mlship.oci.registry.reference import Reference
from mlship.oci.registry.variant import Blob, document

LARGEST = 32 << 20  # a release's record has 100 rows of a sample at most


@dataclass(frozen=True)
class Artifact:
    """annotations: of its manifest, which `referrers` and consoles show. subject: the manifest that it is about."""

    document: Document
    subject: Descriptor
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def blob(self) -> Descriptor:
        content = self.document.content
        return Descriptor(self.document.media_type, f"sha256:{hashlib.sha256(content).hexdigest()}", len(content))

    @property
    def manifest(self) -> bytes:
        """The same artifact gives the same bytes."""
        return referrer_manifest(self.blob, self.subject, self.document.title, self.annotations)


def push_artifact(registry: Registry, place: Reference, artifact: Artifact) -> str:
    """Under the tag of `place`; gives the manifest's digest. A registry that cannot list referrers gets it into its fallback list.

    What had the tag before loses it. Can be repeated. Raises MlshipError as `push` does.
    """
    made = document(artifact.manifest, MANIFEST_TYPE)
    registry.want(f"repository:{place.repository}:pull,push")
    with tempfile.TemporaryDirectory(prefix="mlship-") as folder:
        layout = Layout(Path(folder))
        layout.put_blob(EMPTY_CONTENT, EMPTY.media_type)
        layout.put_blob(artifact.document.content, artifact.document.media_type)
        title = artifact.document.title
        push_blobs(registry, place.repository, layout, (Blob(EMPTY, title), Blob(artifact.blob, title)))
    if not put_manifest(registry, place.repository, place.version, made).header(LISTS):
        others = [
            entry for entry in listed(registry, place.repository, artifact.subject) if entry["digest"] != made.described.digest
        ]
        annotations = {**artifact.annotations, TITLE: artifact.document.title}
        referrer = Referrer(made.described, artifact.document.media_type, annotations)
        relist(registry, place.repository, artifact.subject, [referrer], others)
    return made.described.digest


def fetch_artifact(registry: Registry, place: Reference, media_type: str) -> bytes:
    """The document of the artifact at `place`. Raises MlshipError: exit 2 (none there), 5 (another kind of thing), and as `pull`."""
    registry.want(f"repository:{place.repository}:pull")
    blob = _blob(registry, place, media_type)
    with tempfile.TemporaryDirectory(prefix="mlship-") as folder:
        layout = Layout(Path(folder))
        fetch_blobs(registry, place.repository, [blob], layout)
        return layout.path(blob.digest).read_bytes()


def _blob(registry: Registry, place: Reference, media_type: str) -> Descriptor:
    found = read_document(registry, place)
    try:
        (entry,) = json.loads(found.content)["layers"]
        blob = Descriptor(str(entry["mediaType"]), str(entry["digest"]), int(entry["size"]))
    except (ValueError, KeyError, TypeError):
        raise registry.nonsense(f"{place} is no artifact of one document") from None
    if blob.media_type != media_type or blob.size > LARGEST:
        raise registry.nonsense(f"{place} has {blob.size} bytes of {blob.media_type}, and {media_type} was expected")
    return blob
