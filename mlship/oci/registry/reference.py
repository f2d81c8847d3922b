"""Names of images in registries: `localhost:5000/team/churn:v1` -> registry, repository, tag or digest. Pure."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, replace

from mlship.errors import MlshipError

DOCKER_HUB = "docker.io"
LATEST = "latest"
REPOSITORY_LIMIT = 255  # distribution's reference grammar: the name with its registry; kept as the bound of both parts

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"  # distribution-spec 1.1, "Pulling manifests"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_HOST = re.compile(r"(?i)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*\.?")
_BRACKETS = re.compile(r"\[([^\]%]*)\](?::(.*))?")
_LOGIN = re.compile(r"[^/@]*@(?=[^@]*/)")


@dataclass(frozen=True)
class Reference:
    """An image in a registry.

    registry: host with its port where one was given: `localhost:5000`, `[::1]:5000`, `docker.io`. tag and digest may be
    empty; where both are given the digest counts.
    """

    registry: str
    repository: str
    tag: str = ""
    digest: str = ""

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.name}{tag}{digest}"

    @property
    def name(self) -> str:
        """Without tag and digest."""
        return f"{self.registry}/{self.repository}"

    @property
    def version(self) -> str:
        """What the manifest is asked for by: the digest, else the tag, else `latest`."""
        return self.digest or self.tag or LATEST

    def at(self, digest: str) -> Reference:
        """The same repository, by digest."""
        return replace(self, tag="", digest=digest)


def parse_reference(text: str, where: str = "") -> Reference:
    """The reference that a user wrote; a name without a registry means Docker Hub, as everywhere.

    where: the place to name in an error, such as `mlship.yaml:12 targets.docker.repository`. Raises MlshipError.
    """
    if reason := _nonsense(text):
        raise _refused(text, *reason, where)
    rest, _, digest = text.partition("@")
    registry, repository = _split_registry(rest)
    repository, colon, tag = repository.partition(":")
    for reason in (
        _wrong_registry(registry),
        _wrong_repository(registry, repository),
        _wrong_tag(tag) if colon else None,
        _wrong_digest(digest) if "@" in text else None,
    ):
        if reason:
            raise _refused(text, *reason, where)
    return Reference(registry, repository, tag, digest)


def is_loopback(registry: str) -> bool:
    """Whether the registry runs on this machine; such ones may be spoken to without TLS, as docker does."""
    host = host_of(registry)
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def is_docker_hub(host: str) -> bool:
    """Whether the host is Docker Hub by one of its names: docker login, the API and references each use another."""
    return host == DOCKER_HUB or host.endswith(f".{DOCKER_HUB}")


def host_of(registry: str) -> str:
    """Without the port, and without the brackets of an IPv6 address."""
    if registry.startswith("["):
        return registry[1:].partition("]")[0]
    return registry.partition(":")[0].lower()


def _split_registry(text: str) -> tuple[str, str]:
    """The first part is a registry when it has a dot, a port or brackets, or is `localhost` (distribution's rule)."""
    first, slash, rest = text.partition("/")
    named = slash and (any(mark in first for mark in ".:[") or first == "localhost")
    registry, repository = (first, rest) if named else (DOCKER_HUB, text)
    if registry.lower() == DOCKER_HUB:
        official = "/" not in repository
        return DOCKER_HUB, f"library/{repository}" if official and repository else repository
    return registry.lower(), repository


Reason = tuple[str, str]
"""What is wrong, and the fix."""


def _nonsense(text: str) -> Reason | None:
    if not text:
        return "it is empty", "write REGISTRY/NAME:TAG, such as registry.example.com/team/churn:v1"
    if _LOGIN.search(text):
        return "there are credentials in it, or an @ before the host", "write it without: they come from docker login"
    if "://" in text:
        bare = text.partition("://")[2]
        return "an image reference has no scheme", f"write {bare!r}"
    if bad := next((sign for sign in text if sign.isspace() or not sign.isprintable()), ""):
        return f"it has {bad!r} in it", "write it without"
    if text.count("@") > 1:
        return "it has more than one @", "write NAME@sha256:<64 hex digits>; credentials come from docker login"
    return None


def _wrong_registry(registry: str) -> Reason | None:
    host, port = _host_and_port(registry)
    if registry.startswith("["):
        if not _is_ipv6(host):
            return f"{registry!r} is not an IPv6 address in brackets", "write it as [::1]:5000"
    elif not _HOST.fullmatch(host):
        return f"{registry!r} is not a host name", "write HOST or HOST:PORT, such as registry.example.com or localhost:5000"
    if port is not None and not (port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
        return f"{port!r} is not a port", "a port is a number from 1 to 65535"
    return None


def _host_and_port(registry: str) -> tuple[str, str | None]:
    if not registry.startswith("["):
        host, colon, port = registry.partition(":")
        return host, port if colon else None
    found = _BRACKETS.fullmatch(registry)
    return (found[1], found[2]) if found else ("", None)


def _is_ipv6(host: str) -> bool:
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return True


def _wrong_repository(registry: str, repository: str) -> Reason | None:
    if not repository:
        return "it names a registry and no repository", f"write {registry}/NAME:TAG"
    if len(repository) + len(registry) + 1 > REPOSITORY_LIMIT:
        return f"its name is longer than {REPOSITORY_LIMIT} characters", "shorten the repository"
    if repository != repository.lower():
        return f"the repository {repository!r} has upper-case letters", f"write {repository.lower()!r}"
    if not _REPOSITORY.fullmatch(repository):
        return (
            f"{repository!r} is not a repository",
            "write lower-case letters and digits, with single . or - or _ between them and / between parts",
        )
    return None


def _wrong_tag(tag: str) -> Reason | None:
    if _TAG.fullmatch(tag):
        return None
    return f"{tag!r} is not a tag", "write up to 128 letters, digits, _, . and -, the first one a letter, a digit or _"


def _wrong_digest(digest: str) -> Reason | None:
    if _DIGEST.fullmatch(digest):
        return None
    return f"{digest!r} is not a digest", "write sha256: and 64 hex digits"


def _refused(text: str, reason: str, fix: str, where: str) -> MlshipError:
    shown = _LOGIN.sub("***@", text)
    return MlshipError(f"{shown!r} is not an image reference: {reason}", where, fix, code="bad-reference")
