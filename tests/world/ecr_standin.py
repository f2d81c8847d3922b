"""What ECR says of its images, told by the docker-registry that stands in for its data plane; what is deleted is gone there, too."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from http.client import HTTPResponse
from typing import Any

from mlship.oci.layout import INDEX_TYPE, MANIFEST_TYPE
from mlship.oci.registry.variant import DOCKER_MANIFEST_TYPE
from mlship.targets.aws.door import refusal

OPERATIONS = ("describe_images", "list_images", "batch_delete_image")
_MANIFESTS = ", ".join((MANIFEST_TYPE, DOCKER_MANIFEST_TYPE, INDEX_TYPE))


def answered(registry: str, account: str, operation: str, said: Mapping[str, Any]) -> dict[str, Any]:
    """registry: its host and port. Without an image there is no empty list: the model has none."""
    repository = said["repositoryName"]
    if operation == "list_images":
        found = [{"imageTag": tag, "imageDigest": digest} for tag, digest in tags(registry, repository).items()]
        return {"imageIds": found} if found else {}
    if operation == "batch_delete_image":
        for one in said["imageIds"]:
            take_away(registry, repository, one.get("imageDigest") or one["imageTag"])
        return {"imageIds": said["imageIds"], "failures": []}
    (wanted,) = said["imageIds"]
    with suppress(urllib.error.HTTPError), _asked(registry, "HEAD", f"{repository}/manifests/{wanted['imageTag']}") as answer:
        digest, kind = answer.headers["Docker-Content-Digest"], answer.headers["Content-Type"]
        told = {"registryId": account, "imageDigest": digest, "imageTags": [wanted["imageTag"]], "imageManifestMediaType": kind}
        return {"imageDetails": [told]}
    raise refusal("ecr describe-images", {"Code": "ImageNotFoundException", "Message": "no such image"})


def tags(registry: str, repository: str) -> dict[str, str]:
    """tag -> digest of its manifest."""
    with suppress(urllib.error.HTTPError), _asked(registry, "GET", f"{repository}/tags/list") as answer:
        return {tag: digest for tag in json.load(answer)["tags"] or () if (digest := _digest(registry, repository, tag))}
    return {}


def take_away(registry: str, repository: str, version: str) -> None:
    """version: a tag, which is its manifest's only one, or a digest."""
    with suppress(urllib.error.HTTPError):
        digest = version if ":" in version else _digest(registry, repository, version)
        if digest:
            _asked(registry, "DELETE", f"{repository}/manifests/{digest}").close()


def emptied(registry: str, *repositories: str) -> None:
    """All images of these repositories go; of every one where none is named."""
    if not repositories:
        with _asked(registry, "GET", "_catalog?n=1000") as answer:
            repositories = tuple(json.load(answer)["repositories"])
    for repository in repositories:
        for digest in set(tags(registry, repository).values()):
            take_away(registry, repository, digest)


def _digest(registry: str, repository: str, tag: str) -> str:
    with suppress(urllib.error.HTTPError), _asked(registry, "HEAD", f"{repository}/manifests/{tag}") as answer:
        return str(answer.headers["Docker-Content-Digest"])
    return ""


def _asked(registry: str, method: str, path: str) -> HTTPResponse:
    request = urllib.request.Request(f"http://{registry}/v2/{path}", method=method, headers={"Accept": _MANIFESTS})
    answer: HTTPResponse = urllib.request.urlopen(request, timeout=10)
    return answer
