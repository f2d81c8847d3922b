"""Nothing is ignored silently: what a project asks for against what a service can do. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from mlship.errors import Finding
from mlship.targets.base import Feature


def findings(used: Mapping[str, str], service: str, features: Mapping[str, Feature]) -> tuple[Finding, ...]:
    """used: dotted key -> where it stands, of every key that is set. An absent one is an error, an emulated one a note."""
    return tuple(
        finding
        for key, where in sorted(used.items())
        if (finding := _finding(key, where, service, support(key, features))) is not None
    )


def support(key: str, features: Mapping[str, Feature]) -> Feature | None:
    """The feature of the key or of its nearest parent; None when the service does not speak of it."""
    parts = key.split(".")
    while parts:
        feature = features.get(".".join(parts))
        if feature is not None:
            return feature
        parts.pop()
    return None


def _finding(key: str, where: str, service: str, feature: Feature | None) -> Finding | None:
    if feature is None:
        return Finding(f"{key} means nothing to the service {service}", where, "leave it out", code="absent-feature")
    reason = f": {feature.reason}" if feature.reason else ""
    if feature.support == "absent":
        fix = f"use {feature.instead}, or leave it out" if feature.instead else "leave it out"
        return Finding(f"{key} is not possible with the service {service}{reason}", where, fix, code="absent-feature")
    if feature.support == "emulated":
        return Finding(f"{key} is emulated{reason}", where, severity="note", code="emulated-feature")
    return None
