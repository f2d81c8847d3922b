"""Images in the registry of the account: pushed from this machine's layout, found by their content, removed when let go."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from mlship.errors import Exit, MlshipError
from mlship.oci.image import Image
from mlship.oci.layout import Layout
from mlship.oci.registry.client import Registry
from mlship.oci.registry.credentials import ECR_USER, Credentials
from mlship.oci.registry.push import push
from mlship.oci.registry.push_variant import PushVariant
from mlship.oci.registry.reference import Reference, parse_reference
from mlship.progress import Progress
from mlship.targets.aws.door import Door, Refused, trusted
from mlship.targets.base import as_built
from mlship.units import Secret

# ECS starts one image of one platform; both families of media types and both compressions are taken.
VARIANT = PushVariant("oci", False, ("gzip", "zstd", "none"))
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")  # as the client of registries reads them
MOST_REMOVED = 100  # BatchDeleteImage takes so many (service model of botocore 1.44.5)


@dataclass(frozen=True)
class Images:
    """What this machine has, and how it gets into a repository of ECR.

    variant: the form that the service takes. derive: makes an image so, as targets.base.Opening hands it on.
    """

    door: Door
    layout: Layout
    environ: Mapping[str, str]
    progress: Progress
    variant: PushVariant = VARIANT
    derive: Callable[[Image, PushVariant], Image] = as_built

    def deliver(self, repository: str, content: str, platform: str) -> str:
        """The image's reference by digest; pushed only where the registry has none of that content.

        Raises MlshipError when neither has it, when it is for another platform, and as `oci.registry.push` does.
        """
        place = place_of(self.door, repository)
        known = self.digest_of(repository, content)
        if known:
            return str(place.at(known))
        image = self.layout.find(content)
        if image.platform != platform:
            raise MlshipError(
                f"the image is for {image.platform}, and the task is to run on {platform}",
                fix=f"write build.platforms: [{platform}], then mlship build",
                code="wrong-platform",
            )
        reference = Reference(place.registry, place.repository, self._tag(content))
        image = self.derive(image, self.variant)
        with Registry(place.registry, trusting(self.environ, self.door), lambda _: credentials(self.door)) as registry:
            done = push(registry, reference, self.layout, [image], kind=self.variant.kind(1), progress=self.progress)
        return str(done.reference)

    def digest_of(self, repository: str, content: str) -> str:
        """Of the image with that content; empty where the registry has none."""
        try:
            told = self.door.call(
                "ecr", "describe_images", repositoryName=repository, imageIds=[{"imageTag": self._tag(content)}]
            )
        except Refused as no:
            if no.said in ("ImageNotFoundException", "RepositoryNotFoundException"):
                return ""
            raise
        return next((str(one["imageDigest"]) for one in told["imageDetails"]), "")

    def among(self, repository: str, contents: Iterable[str]) -> frozenset[str]:
        """Those of the contents that the registry has an image of."""
        tags = tags_of(self.door, repository)
        return frozenset(content for content in contents if self._tag(content) in tags)

    def remove(self, repository: str, contents: Iterable[str]) -> tuple[str, ...]:
        """Images that no release needs any more; those that are gone already are no error. Who may not delete in a company's registry
        leaves them there. Gives what to tell the user.
        """
        ids = [{"imageTag": self._tag(content)} for content in sorted(set(contents))]
        try:
            for start in range(0, len(ids), MOST_REMOVED):
                several = ids[start : start + MOST_REMOVED]
                self.door.call("ecr", "batch_delete_image", repositoryName=repository, imageIds=several)
        except Refused as no:
            if no.code != "denied":
                raise
            return (f"images of releases that are let go stay in {repository}: {no.what}",)
        return ()

    def _tag(self, content: str) -> str:
        return tag_of(content, self.variant)


def tag_of(content: str, variant: PushVariant = VARIANT) -> str:
    """All of the content id: a short one is for people, and this tag decides what runs. Each form has a tag of its own."""
    form = "" if variant == VARIANT else "." + re.sub(r"[^0-9a-z-]+", "_", str(variant))
    return content.replace(":", "-") + form


def tags_of(door: Door, repository: str) -> dict[str, str]:
    """tag -> digest of the manifest that has it; none where there is no such repository."""
    try:
        told = door.all("ecr", "list_images", "imageIds", repositoryName=repository, filter={"tagStatus": "TAGGED"})
    except Refused as no:
        if no.said != "RepositoryNotFoundException":
            raise
        return {}
    return {str(one["imageTag"]): str(one.get("imageDigest", "")) for one in told if one.get("imageTag")}


def credentials(door: Door) -> Credentials:
    """For the next twelve hours. Raises MlshipError when the answer is not what ECR says it gives."""
    (told,) = door.call("ecr", "get_authorization_token")["authorizationData"]
    try:
        user, _, password = base64.b64decode(told["authorizationToken"], validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise MlshipError("ECR gave a token that cannot be read", fix="try again", exit=Exit.UNREACHABLE) from None
    return Credentials(user or ECR_USER, Secret(password), "ecr get-authorization-token")


def trusting(environ: Mapping[str, str], door: Door) -> Mapping[str, str]:
    """The registry's certificate is judged as those of all other hosts of AWS are, unless the environment says otherwise."""
    bundle = trusted(door)
    return {**environ, "SSL_CERT_FILE": bundle} if bundle and not any(environ.get(name) for name in _CERTIFICATES) else environ


def place_of(door: Door, repository: str) -> Reference:
    """The repository with its registry, as ECR tells it."""
    (told,) = door.call("ecr", "describe_repositories", repositoryNames=[repository])["repositories"]
    return parse_reference(str(told["repositoryUri"]))
