"""Papers into a registry: referrers of a pushed manifest, listed under the fallback tag where the registry does not list them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from mlship.oci.image import Descriptor
from mlship.oci.layout import INDEX_TYPE, MANIFEST_TYPE, Layout
from mlship.oci.referrers import EMPTY, TITLE, Referrer, fallback_index, fallback_tag, referrer_manifest
from mlship.oci.registry.client import Registry
from mlship.oci.registry.connection import Call
from mlship.oci.registry.push import push_blobs, put_manifest
from mlship.oci.registry.variant import Blob, document
from mlship.progress import Progress

_LISTED = "oci-subject"  # distribution-spec 1.1, "Pushing Manifests with Subject": the registry lists referrers itself


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
    blobs = (Blob(EMPTY, "papers"), *(Blob(described, f"paper {title}") for described, title in documents))
    push_blobs(registry, repository, layout, blobs, progress=progress)
    made, is_listed = [], True
    for described, title in documents:
        manifest = document(referrer_manifest(described, subject, title), MANIFEST_TYPE)
        answer = put_manifest(registry, repository, manifest.described.digest, manifest)
        is_listed = is_listed and bool(answer.header(_LISTED))
        made.append(Referrer(manifest.described, described.media_type, {TITLE: title}))
    if not is_listed:
        _list(registry, repository, subject, made)
    return tuple(made)


def _document(layout: Layout, paper: Referrer) -> tuple[Descriptor, str]:
    (entry,) = layout.read_json(paper.manifest.digest)["layers"]
    return Descriptor(entry["mediaType"], entry["digest"], entry["size"]), paper.annotations.get(TITLE, "")


def _list(registry: Registry, repository: str, subject: Descriptor, made: Sequence[Referrer]) -> None:
    """distribution-spec 1.1, "Referrers Tag Schema"; two who do it at once may lose one of theirs, as it says there."""
    tag = fallback_tag(subject.digest)
    before = _listed(registry, repository, tag)
    new = {(referrer.artifact_type, referrer.annotations.get(TITLE)) for referrer in made}
    kept = [entry for entry in before if (entry.get("artifactType"), (entry.get("annotations") or {}).get(TITLE)) not in new]
    listed = document(fallback_index(made, {"manifests": kept}), INDEX_TYPE)
    if json.loads(listed.content)["manifests"] != before:
        put_manifest(registry, repository, tag, listed)


def _listed(registry: Registry, repository: str, tag: str) -> list[Mapping[str, Any]]:
    call = Call("GET", f"/v2/{repository}/manifests/{tag}", {"Accept": INDEX_TYPE})
    answer = registry.ask(call, f"pushing the papers of {repository}", (200, 404))
    if answer.status == 404:
        return []
    try:
        return [dict(entry) for entry in json.loads(answer.body)["manifests"] if entry["digest"]]
    except (ValueError, KeyError, TypeError):
        raise registry.nonsense(f"what it has as {tag} is no list of referrers") from None
