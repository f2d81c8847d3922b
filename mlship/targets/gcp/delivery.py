"""Images in Artifact Registry: pushed from this machine's layout, found by their content, removed when let go."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from mlship.errors import MlshipError
from mlship.oci.image import Image
from mlship.oci.layout import Layout
from mlship.oci.registry.client import Registry
from mlship.oci.registry.credentials import ARTIFACT_REGISTRY_USER, Credentials
from mlship.oci.registry.push import push
from mlship.oci.registry.push_variant import PushVariant
from mlship.oci.registry.reference import Reference
from mlship.progress import Progress
from mlship.targets.base import as_built
from mlship.targets.gcp.door import CONFLICT, MISSING, Body, Door, Refused
from mlship.targets.gcp.scope import Scope
from mlship.targets.gcp.waiting import Waiting, finished

VARIANT = PushVariant()
CLIENT = "artifactregistry"
PLATFORM = "linux/amd64"
SETTLE_S = 120.0


@dataclass(frozen=True)
class Images:
    """What this machine has, and how it gets into a repository. given: `team`, or its whole name; empty for mlship's own.

    variant: the form that the service takes. derive: makes an image so, as targets.base.Opening hands it on.
    """

    door: Door
    scope: Scope
    given: str
    layout: Layout
    environ: Mapping[str, str]
    progress: Progress
    waiting: Waiting
    variant: PushVariant = VARIANT
    derive: Callable[[Image, PushVariant], Image] = as_built

    @property
    def repository(self) -> str:
        """Its whole name, `projects/acme/locations/europe-west1/repositories/mlship-churn`."""
        if "/" in self.given:
            return self.given
        return f"projects/{self.door.project}/locations/{self.door.region}/repositories/{self.given or self.scope.stem}"

    @property
    def place(self) -> Reference:
        """`europe-west1-docker.pkg.dev`, `acme/mlship-churn/mlship-churn`; a project's domain is a folder of its own there."""
        _, project, _, location, _, name = self.repository.split("/")
        return Reference(f"{location}-docker.pkg.dev", f"{project.replace(':', '/')}/{name}/{self.scope.stem}")

    def converge(self, labels: Mapping[str, str]) -> None:
        """mlship's own repository is there. Raises MlshipError where a given one is not, or is for something else."""
        found = self._found()
        if found is None and self.given:
            raise MlshipError(
                f"there is no repository {self.repository}", fix="correct targets.gcp.repository", code="no-such-part"
            )
        if found is None:
            parent, _, name = self.repository.rpartition("/repositories/")
            wanted = {"format": "DOCKER", "description": "mlship: images of this project", "labels": dict(labels)}
            asked = {"parent": parent, "repositoryId": name, "repository": wanted}
            try:
                finished(self.door, CLIENT, "create_repository", asked, self.waiting, SETTLE_S)
            except Refused as no:
                if no.code != CONFLICT:  # another command made it meanwhile
                    raise
        elif found.get("format") != "DOCKER":
            raise MlshipError(
                f"the repository {self.repository} holds no images", fix="name one of the format docker", code="no-such-part"
            )

    def deliver(self, content: str) -> str:
        """The image's reference by digest; pushed only where the registry has none of that content.

        Raises MlshipError when neither has it, when it is for another platform, and as `oci.registry.push` does.
        """
        known = self.digest_of(content)
        if known:
            return str(self.place.at(known))
        image = self.layout.find(content)
        if image.platform != PLATFORM:
            raise MlshipError(
                f"the image is for {image.platform}, and Google Cloud runs {PLATFORM}",
                fix=f"write build.platforms: [{PLATFORM}], then mlship build",
                code="wrong-platform",
            )
        reference = Reference(self.place.registry, self.place.repository, tag_of(content, self.variant))
        image = self.derive(image, self.variant)
        with Registry(self.place.registry, self.environ, lambda _: credentials(self.door)) as registry:
            done = push(registry, reference, self.layout, [image], kind=self.variant.kind(1), progress=self.progress)
        return str(done.reference)

    def digest_of(self, content: str) -> str:
        """Of the image with that content; empty where the registry has none."""
        try:
            told = self.door.call(CLIENT, "get_tag", {"name": f"{self._package}/tags/{tag_of(content, self.variant)}"})
        except Refused as no:
            if no.code == MISSING:
                return ""
            raise
        return str(told["version"]).rpartition("/")[2]

    def remove(self, contents: Iterable[str]) -> None:
        """Images that no release needs any more; those that are gone already are no error."""
        for content in sorted(set(contents)):
            digest = self.digest_of(content)
            if digest:
                self._gone("delete_version", {"name": f"{self._package}/versions/{digest}", "force": True})

    def destroy(self) -> None:
        """mlship's own repository with all that is in it; of a given one, this project's images."""
        if self.given:
            self._gone("delete_package", {"name": self._package})
            return
        found = self._found()
        if found is not None and self.scope.is_ours(found.get("labels") or {}):
            self._gone("delete_repository", {"name": self.repository})

    @property
    def _package(self) -> str:
        return f"{self.repository}/packages/{self.scope.stem}"

    def _found(self) -> Body | None:
        try:
            return self.door.call(CLIENT, "get_repository", {"name": self.repository})
        except Refused as no:
            if no.code == MISSING:
                return None
            raise

    def _gone(self, method: str, request: Mapping[str, object]) -> None:
        try:
            finished(self.door, CLIENT, method, request, self.waiting, SETTLE_S)
        except Refused as no:
            if no.code != MISSING:
                raise


def tag_of(content: str, variant: PushVariant = VARIANT) -> str:
    """All of the content id: a short one is for people, and this tag decides what runs. Each form has a tag of its own."""
    form = "" if variant == VARIANT else "." + re.sub(r"[^0-9a-z-]+", "_", str(variant))
    return content.replace(":", "-") + form


def credentials(door: Door) -> Credentials:
    """An access token in place of a password: for the next hour."""
    return Credentials(ARTIFACT_REGISTRY_USER, door.access_token(), "application default credentials")
