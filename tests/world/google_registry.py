"""Artifact Registry: repositories stand here, images in a real docker-registry that is asked which tags it has.

registry = ArtifactRegistry(operations, port)
google.plays["artifactregistry"] = registry
google.forwards[registry.host] = port           # what is pushed goes to the real one
"""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from google_contract import Method
from google_operations import Operations, typed
from google_world import No
from inspecting_proxy import Asked

_TIME = "2026-11-23T04:00:00.000000Z"
_KIND = "google.devtools.artifactregistry.v1.Repository"
_FORMATS = {1: "DOCKER", "DOCKER": "DOCKER"}  # the clients send enums as numbers
_MANIFESTS = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"


class ArtifactRegistry:
    """Implements google_world.Player. repositories: whole name -> what was said of it. gone: versions that were deleted."""

    def __init__(self, operations: Operations, port: int, region: str = "europe-west1") -> None:
        self.repositories: dict[str, dict[str, Any]] = {}
        self.gone: set[str] = set()
        self.host = f"{region}-docker.pkg.dev"
        self._operations = operations
        self._port = port

    def __call__(self, method: Method, asked: Asked) -> Any:
        return getattr(self, "_" + method.name.replace(".", "_"))(method.params, asked)

    def _repositories_get(self, params: Mapping[str, str], asked: Asked) -> Any:
        return self._repository(params["name"])

    def _repositories_create(self, params: Mapping[str, str], asked: Asked) -> Any:
        name = f"{params['parent']}/repositories/{asked.query['repositoryId']}"
        if name in self.repositories:
            raise No("ALREADY_EXISTS", "the repository already exists")

        def make() -> Mapping[str, Any]:
            self.repositories[name] = {**asked.json, "format": _FORMATS[asked.json["format"]]}
            return typed(_KIND, **self._repository(name))

        return self._operations.begin(
            name, make, typed("google.devtools.artifactregistry.v1.OperationMetadata"), under=_place(name)
        )

    def _repositories_delete(self, params: Mapping[str, str], asked: Asked) -> Any:
        return self._end(params["name"], lambda: self.repositories.pop(params["name"], None))

    def _repositories_testIamPermissions(self, params: Mapping[str, str], asked: Asked) -> Any:
        self._repository(params["resource"])
        return {"permissions": asked.json["permissions"]}

    def _packages_delete(self, params: Mapping[str, str], asked: Asked) -> Any:
        return self._end(params["name"], lambda: self.gone.add(params["name"]))

    def _versions_delete(self, params: Mapping[str, str], asked: Asked) -> Any:
        return self._end(params["name"], lambda: self.gone.add(params["name"]))

    def _tags_get(self, params: Mapping[str, str], asked: Asked) -> Any:
        package, _, tag = params["name"].rpartition("/tags/")
        self._repository(package.partition("/packages/")[0])
        version = f"{package}/versions/{self._digest(package, tag)}"
        if version in self.gone or package in self.gone:
            raise No("NOT_FOUND", "the tag does not exist")
        return {"name": params["name"], "version": version}

    def _operations_get(self, params: Mapping[str, str], asked: Asked) -> Any:
        return self._operations.look(params["name"])

    def images(self) -> list[str]:
        """What is pushed and not deleted, for people: tags of the packages of the repositories that stand."""
        return sorted(name.rpartition("/")[2] for name in self.repositories)

    def _repository(self, name: str) -> dict[str, Any]:
        if name not in self.repositories:
            raise No("NOT_FOUND", f"repository {name} was not found")
        return {**self.repositories[name], "name": name, "createTime": _TIME, "updateTime": _TIME}

    def _end(self, name: str, act: Any) -> dict[str, Any]:
        self._repository(name.partition("/packages/")[0])

        def work() -> Mapping[str, Any]:
            act()
            return typed("google.protobuf.Empty")

        return self._operations.begin(
            name, work, typed("google.devtools.artifactregistry.v1.OperationMetadata"), under=_place(name)
        )

    def _digest(self, package: str, tag: str) -> str:
        _, project, _, _, _, repository, _, image = package.split("/")
        url = f"http://127.0.0.1:{self._port}/v2/{project}/{repository}/{image}/manifests/{tag}"
        request = urllib.request.Request(url, method="HEAD", headers={"Accept": _MANIFESTS})
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with direct.open(request, timeout=10) as answer:
                return str(answer.headers["Docker-Content-Digest"])
        except urllib.error.HTTPError:
            raise No("NOT_FOUND", "the tag does not exist") from None


def _place(name: str) -> str:
    """`projects/p/locations/l`: operations stand there."""
    return "/".join(name.split("/")[:4])
