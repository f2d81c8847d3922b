"""What there is of a project's function, read anew each time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mlship.targets.aws import stack
from mlship.targets.aws.door import Door, Refused
from mlship.targets.aws.lambdas.naming import LATEST, LIVE, STAGED, Said, function_name, said
from mlship.targets.aws.scope import Scope

ABSENT = "ResourceNotFoundException"


@dataclass(frozen=True)
class Version:
    """A published one. number: as Lambda counts them; since: seconds since the epoch."""

    number: str
    of: Said
    since: float = 0.0


@dataclass(frozen=True)
class Alias:
    """version: of most callers. weights: of the other versions, in [0, 1]. revision: changes with every change of it."""

    version: str
    weights: Mapping[str, float] = field(default_factory=dict)
    revision: str = ""

    @property
    def shares(self) -> dict[str, float]:
        """version -> share of the callers."""
        others = {number: weight for number, weight in self.weights.items() if weight}
        return {self.version: 1.0 - sum(others.values()), **others}


@dataclass(frozen=True)
class Seen:
    """outputs: of the foundation. function: its ARN, empty where there is none yet. url: what callers reach, `https://.../`."""

    outputs: Mapping[str, str]
    function: str = ""
    versions: Mapping[str, Version] = field(default_factory=dict)
    live: Alias | None = None
    staged: Alias | None = None
    url: str = ""

    def of(self, release: str) -> Version | None:
        """The newest version of the release."""
        found = [version for version in self.versions.values() if version.of.release == release]
        return max(found, key=lambda version: int(version.number), default=None)

    def release(self, number: str) -> str:
        """Empty for a version that is none of ours."""
        version = self.versions.get(number)
        return version.of.release if version else ""

    @property
    def shares(self) -> dict[str, float]:
        """release -> share of the callers."""
        told: dict[str, float] = {}
        for number, share in (self.live.shares if self.live else {}).items():
            if share > 0:
                told[self.release(number)] = told.get(self.release(number), 0.0) + share
        return told

    @property
    def releases(self) -> dict[str, Version]:
        """Everything that could be served again."""
        return {version.of.release: version for version in sorted(self.versions.values(), key=lambda one: int(one.number))}


def look(door: Door, scope: Scope) -> Seen | None:
    """None where there is no foundation."""
    found = stack.read(door, scope.stem)
    if found is None or not found.outputs:
        return None
    name = function_name(scope)
    told = configuration(door, name)
    if told is None:
        return Seen(found.outputs)
    aliases = {one["Name"]: _alias(one) for one in door.all("lambda", "list_aliases", "Aliases", FunctionName=name)}
    return Seen(
        found.outputs,
        str(told["FunctionArn"]),
        _versions(door, name),
        aliases.get(LIVE),
        aliases.get(STAGED),
        _url(door, name) if LIVE in aliases else "",
    )


def configuration(door: Door, name: str, version: str = "") -> dict[str, Any] | None:
    """Of a version, or of what the next one will be; None where there is none."""
    only = {"Qualifier": version} if version else {}
    try:
        return door.call("lambda", "get_function_configuration", FunctionName=name, **only)
    except Refused as no:
        if no.said == ABSENT:
            return None
        raise


def _versions(door: Door, name: str) -> dict[str, Version]:
    found = {}
    for told in door.all("lambda", "list_versions_by_function", "Versions", FunctionName=name):
        of = said(str(told.get("Description") or ""))
        if told["Version"] != LATEST and of is not None:
            found[told["Version"]] = Version(told["Version"], of, _seconds(str(told.get("LastModified") or "")))
    return found


def _alias(told: Mapping[str, Any]) -> Alias:
    weights = (told.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
    return Alias(
        told["FunctionVersion"], {number: float(weight) for number, weight in weights.items()}, told.get("RevisionId", "")
    )


def _url(door: Door, name: str) -> str:
    try:
        told = door.call("lambda", "get_function_url_config", FunctionName=name, Qualifier=LIVE)
    except Refused as no:
        if no.said == ABSENT:
            return ""
        raise
    return str(told["FunctionUrl"]).rstrip("/")


def _seconds(when: str) -> float:
    """`2026-11-23T04:54:38.967+0000`."""
    try:
        return datetime.strptime(when[:19] + "+0000", "%Y-%m-%dT%H:%M:%S%z").timestamp()
    except ValueError:
        return 0.0
