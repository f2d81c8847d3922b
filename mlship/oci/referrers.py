"""Documents that belong to an image, as OCI referrers: manifests whose `subject` is the image's.

Image specification 1.1, "Guidelines for Artifact Usage"; distribution specification 1.1, "Referrers Tag Schema", for registries
that cannot list referrers by themselves.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mlship.disk import locked
from mlship.oci.image import Descriptor
from mlship.oci.layout import INDEX_TYPE, MANIFEST_TYPE, Layout

TITLE = "org.opencontainers.image.title"
EMPTY_CONTENT = b"{}"
EMPTY = Descriptor(
    "application/vnd.oci.empty.v1+json",
    "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
    len(EMPTY_CONTENT),
)
"""the configuration of an artifact that has none"""


@dataclass(frozen=True)
class Referrer:
    """A referrer's manifest as lists of referrers name it."""

    manifest: Descriptor
    artifact_type: str
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Document:
    """What is attached. title: the file name that tools give it when they fetch it."""

    title: str
    media_type: str
    content: bytes


def attach(layout: Layout, subject: Descriptor, documents: Iterable[Document]) -> tuple[Referrer, ...]:
    """Writes the documents into the layout as referrers of the image manifest; gives all that it has then.

    A document takes the place of the one of the same media type and title that was there.
    """
    with locked(layout.root / ".referrers.lock"):
        new = [_written(layout, subject, document) for document in documents]
        replaced = {_kind(referrer) for referrer in new}
        all_of_it = (*(known for known in attached(layout, subject) if _kind(known) not in replaced), *new)
        layout.name(fallback_tag(subject.digest), layout.put_blob(fallback_index(all_of_it), INDEX_TYPE))
    return all_of_it


def attached(layout: Layout, subject: Descriptor) -> tuple[Referrer, ...]:
    """The referrers of an image manifest in the layout; their blobs lie beside the image's."""
    index = layout.named(fallback_tag(subject.digest))
    return tuple(map(_referrer, layout.read_json(index.digest)["manifests"])) if index else ()


def referrer_manifest(
    document: Descriptor, subject: Descriptor, title: str, annotations: Mapping[str, str] | None = None
) -> bytes:
    """The manifest that attaches one document to an image; its artifactType is the document's media type.

    title: the file name that tools give the document when they fetch it. annotations: more of the manifest, which lists of referrers
    show. The same arguments give the same bytes.
    """
    return _json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "artifactType": document.media_type,
            "config": _plain(EMPTY),
            "layers": [{**_plain(document), "annotations": {TITLE: title}}],
            "subject": _plain(subject),
            "annotations": {**(annotations or {}), TITLE: title},
        }
    )


def fallback_tag(subject: str) -> str:
    """The tag under which a registry without the referrers API keeps the list. subject: `sha256:<hex>` of the image manifest."""
    return subject.replace(":", "-", 1)


def fallback_index(referrers: Iterable[Referrer], known: Mapping[str, Any] | None = None) -> bytes:
    """What lies under the fallback tag: an index of the referrers.

    known: the index that is there already; other people's entries in it stay, and one with the same manifest is replaced.
    """
    new = [_entry(referrer) for referrer in referrers]
    digests = {entry["digest"] for entry in new}
    kept = [entry for entry in (known or {}).get("manifests", []) if entry["digest"] not in digests]
    return _json({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [*kept, *new]})


def _written(layout: Layout, subject: Descriptor, document: Document) -> Referrer:
    layout.put_blob(EMPTY_CONTENT, EMPTY.media_type)
    blob = layout.put_blob(document.content, document.media_type)
    manifest = layout.put_blob(referrer_manifest(blob, subject, document.title), MANIFEST_TYPE)
    return Referrer(manifest, document.media_type, {TITLE: document.title})


def _kind(referrer: Referrer) -> tuple[str, str]:
    return referrer.artifact_type, referrer.annotations.get(TITLE, "")


def _referrer(entry: Mapping[str, Any]) -> Referrer:
    manifest = Descriptor(entry["mediaType"], entry["digest"], entry["size"])
    return Referrer(manifest, entry.get("artifactType", ""), entry.get("annotations") or {})


def _entry(referrer: Referrer) -> dict[str, Any]:
    annotations = {"annotations": dict(referrer.annotations)} if referrer.annotations else {}
    return {**_plain(referrer.manifest), "artifactType": referrer.artifact_type, **annotations}


def _plain(blob: Descriptor) -> dict[str, Any]:
    return {"mediaType": blob.media_type, "digest": blob.digest, "size": blob.size}


def _json(document: Any) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
