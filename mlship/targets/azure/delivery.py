"""Images in a registry of Azure (ACR): pushed from this machine's layout, found by their content, removed when let go."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from mlship.errors import Exit, Finding, MlshipError
from mlship.oci.layout import Layout
from mlship.oci.registry.client import Registry
from mlship.oci.registry.connection import Call
from mlship.oci.registry.credentials import Credentials
from mlship.oci.registry.push import push
from mlship.oci.registry.push_variant import PushVariant
from mlship.oci.registry.reference import Reference
from mlship.progress import Progress
from mlship.releases.release import Release
from mlship.targets.azure.cloud import PUBLIC
from mlship.targets.azure.door import Door, Sent
from mlship.units import Secret

PLATFORM = "linux/amd64"
# Of Entra's tokens, what ACR takes: azure-containerregistry's default audience; the resource manager's where Azure has no such
# audience (national clouds; from memory, verify: "Azure Container Registry authentication").
AUDIENCE = "https://containerregistry.azure.net/.default"
_MANIFESTS = ", ".join(
    (
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.oci.image.index.v1+json",
    )
)
_DELETED = (202, 404)


@dataclass(frozen=True)
class Images:
    """What this machine has, and how it gets into a registry. server: `churn.azurecr.io`; variant: the form that is taken."""

    door: Door
    server: str
    layout: Layout
    environ: Mapping[str, str]
    progress: Progress
    variant: PushVariant

    def deliver(self, repository: str, content: str, where: str = "") -> str:
        """The image's reference by digest; pushed only where the registry has none of that content.

        Raises MlshipError when neither has it, when it is for another platform, and as `oci.registry.push` does.
        """
        place = Reference(self.server, repository, tag_of(content))
        known = self.digest_of(repository, content)
        if known:
            return str(place.at(known))
        image = self.layout.find(content)
        if image.platform != PLATFORM:
            raise MlshipError(
                f"the image is for {image.platform}, and Azure runs it on {PLATFORM}",
                where,
                f"write build.platforms: [{PLATFORM}], then mlship build",
                code="wrong-platform",
            )
        with self._registry() as registry:
            done = push(registry, place, self.layout, [image], kind=self.variant.kind(1), progress=self.progress)
        return str(done.reference)

    def findings(self, repository: str, release: Release) -> Iterator[Finding]:
        """Where neither this machine nor the registry has the image, whose rules may have removed it."""
        try:
            self.layout.find(release.served.content)
        except MlshipError:
            if not self._has(repository, release.served.content):
                what = f"the image of {release.id} is neither in {self.server} any more nor on this machine"
                fix = "mlship history names the other releases; or build it again: mlship build"
                yield Finding(what, fix=fix, code="no-image")

    def _has(self, repository: str, content: str) -> bool:
        """Where nobody tells, the step that needs it does."""
        try:
            return bool(self.digest_of(repository, content))
        except MlshipError:
            return True

    def digest_of(self, repository: str, content: str) -> str:
        """Of the image with that content; empty where the registry has none."""
        with self._registry() as registry:
            registry.want(f"repository:{repository}:pull")
            call = Call("HEAD", f"/v2/{repository}/manifests/{tag_of(content)}", {"Accept": _MANIFESTS})
            answer = registry.ask(call, f"looking for {repository}", (200, 404))
            return answer.header("docker-content-digest") if answer.status == 200 else ""

    def remove(self, repository: str, digests: Iterable[str]) -> None:
        """Images that no release needs any more; those that are gone already are no error."""
        with self._registry() as registry:
            registry.want(f"repository:{repository}:delete,pull")
            for digest in sorted(set(digests)):
                registry.ask(Call("DELETE", f"/v2/{repository}/manifests/{digest}"), f"removing {repository}", _DELETED)

    def _registry(self) -> Registry:
        return Registry(self.server, self.environ, lambda _: credentials(self.door, self.server))


def tag_of(content: str) -> str:
    """All of the content id: a short one is for people, and this tag decides what runs."""
    return content.replace(":", "-")


def credentials(door: Door, server: str) -> Credentials:
    """A refresh token of the registry for our token of Entra, good for three hours.

    "Azure Container Registry OAuth2" (github.com/Azure/acr, docs/AAD-OAuth.md): POST /oauth2/exchange, then /oauth2/token, which
    the registry's own challenge names. Raises MlshipError.
    """
    scope = AUDIENCE if door.cloud.name == PUBLIC.name else door.cloud.scope
    form = urlencode({"grant_type": "access_token", "service": server, "access_token": door.token(scope)}).encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    told = door.send("POST", f"https://{server}/oauth2/exchange", headers=headers, body=form)
    if told.status in (401, 403):
        raise MlshipError(
            f"the registry {server} does not let these credentials in{_reason(told)}",
            fix=f"az role assignment create --role AcrPush --assignee WHO-DEPLOYS --scope $({_registry_id(door, server)})",
            exit=Exit.DENIED,
            code="denied",
        )
    try:
        token = json.loads(told.body)["refresh_token"]
    except (ValueError, KeyError, TypeError):
        what = f"the registry {server} answers {told.status} to who wants to log in"
        raise MlshipError(what, fix="try again", exit=Exit.UNREACHABLE) from None
    return Credentials("", Secret(str(token)), "az login")


def _registry_id(door: Door, server: str) -> str:
    """Its name is nobody else's in the cloud: no group has to be said."""
    return f"az acr show -n {server.partition('.')[0]} --query id -o tsv --subscription {door.subscription}"


def _reason(told: Sent) -> str:
    """Its own words, which tell a missing role from a network that is kept out."""
    try:
        text = str(json.loads(told.body)["errors"][0]["message"])
    except (ValueError, KeyError, TypeError, IndexError):
        return ""
    return f": {' '.join(text.split())[:200]}"
