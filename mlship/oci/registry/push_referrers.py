"""Papers into a registry: referrers of a pushed manifest, listed under the fallback tag where the registry does not list them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from mlship.oci.image import Descriptor
from mlship.oci.layout import INDEX_TYPE, MANIFEST_TYPE, Layout
from mlship.oci.referrers import EMPTY, TITLE, Referrer, fallback_index, fallback_tag, referrer_manifest
from mlship.oci.registry.client import Registry
from mlship.oci.registry.connection import Answer, Call
from mlship.oci.registry.push import push_blobs, put_manifest
from mlship.oci.registry.refusals import place
from mlship.oci.registry.variant import Blob, document
from mlship.progress import Progress

_KNOWN = (200, 400, 404, 405, 501)  # most are what registries say that do not know of referrers
LISTS = "oci-subject"  # distribution-spec 1.1, "Pushing Manifests with Subject": the registry lists referrers itself


def push_referrers(
    registry: Registry,
    repository: str,
    layout: Layout,
    papers: Sequence[Referrer],
    subject: Descriptor,
    progress: Progress | None = None,
) -> tuple[Referrer, ...]:
    """The papers that lie in the layout, as referrers of `subject`, a manifest of the repository.

    They were attached to the image's own manifest; the one that was pushed may be another. Can be repeated: other people's
    referrers stay, an older paper of the same name gives way. Raises MlshipError as `push` does.
    """
    documents = [_document(layout, paper) for paper in papers]
    manifests = [document(referrer_manifest(described, subject, title), MANIFEST_TYPE) for described, title in documents]
    made = [
        Referrer(manifest.described, described.media_type, {TITLE: title})
        for manifest, (described, title) in zip(manifests, documents, strict=True)
    ]
    before = listed(registry, repository, subject)
    if {referrer.manifest.digest for referrer in made} <= {entry["digest"] for entry in before}:
        return tuple(made)
    blobs = (Blob(EMPTY, "papers"), *(Blob(described, f"paper {title}") for described, title in documents))
    push_blobs(registry, repository, layout, blobs, progress=progress)
    answers = [put_manifest(registry, repository, manifest.described.digest, manifest) for manifest in manifests]
    if not all(answer.header(LISTS) for answer in answers):
        relist(registry, repository, subject, made, before)
    return tuple(made)


def _document(layout: Layout, paper: Referrer) -> tuple[Descriptor, str]:
    (entry,) = layout.read_json(paper.manifest.digest)["layers"]
    return Descriptor(entry["mediaType"], entry["digest"], entry["size"]), paper.annotations.get(TITLE, "")


def listed(registry: Registry, repository: str, subject: Descriptor) -> list[Mapping[str, Any]]:
    """What refers to the manifest, as the registry lists it, or as others who pushed listed it."""
    lists = (f"/v2/{repository}/referrers/{subject.digest}", f"/v2/{repository}/manifests/{fallback_tag(subject.digest)}")
    for path in lists:
        answer = registry.ask(Call("GET", path, {"Accept": INDEX_TYPE}), f"pushing the papers of {repository}", _KNOWN)
        if answer.status == 200:
            return _entries(registry, answer)
    return []


def _entries(registry: Registry, answer: Answer) -> list[Mapping[str, Any]]:
    try:
        return [dict(entry) for entry in json.loads(answer.body)["manifests"] if entry["digest"]]
    except (ValueError, KeyError, TypeError):
        raise registry.nonsense(f"{place(answer.url)} is no list of referrers") from None


def relist(
    registry: Registry, repository: str, subject: Descriptor, made: Sequence[Referrer], before: Sequence[Mapping[str, Any]]
) -> None:
    """distribution-spec 1.1, "Referrers Tag Schema"; of two who do it at once one may be lost, as it says there."""
    new = {(referrer.artifact_type, referrer.annotations.get(TITLE)) for referrer in made}
    kept = [entry for entry in before if (entry.get("artifactType"), (entry.get("annotations") or {}).get(TITLE)) not in new]
    listed = document(fallback_index(made, {"manifests": kept}), INDEX_TYPE)
    put_manifest(registry, repository, fallback_tag(subject.digest), listed)
