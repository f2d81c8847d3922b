"""What no service of a cloud can do without, and what this one cannot: findings that are the same for all of them. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from mlship.errors import Finding, MlshipError, Severity
from mlship.targets.base import Deployment, Feature
from mlship.targets.sizes import Size, asked_of


def check_service(deployment: Deployment, features: Mapping[str, Mapping[str, Feature]]) -> None:
    """Raises MlshipError for a service that the target does not have."""
    if deployment.service not in features:
        raise MlshipError(
            f"{deployment.target} has no service {deployment.service or 'without a name'}",
            deployment.places.get(f"targets.{deployment.target}.service", ""),
            f"use one of: {', '.join(features)}",
            code="unknown-service",
        )


def unsaid_or_impossible(
    deployment: Deployment,
    features: Mapping[str, Mapping[str, Feature]],
    with_instance: Collection[str],
    *,
    region: str,
    instance: str,
) -> Iterator[Finding]:
    """What every cloud asks first: a region, a type of machine where the service has one, nothing that it cannot do.

    with_instance: services on machines that are named. region, instance: examples, for people.
    """
    yield from _unsaid(deployment, "region", region)
    if deployment.service in with_instance:
        yield from _unsaid(deployment, "instance", instance)
    yield from impossible_keys(deployment, features[deployment.service])


def refused(deployment: Deployment, key: str, what: str, fix: str, code: str = "impossible-size") -> Finding:
    """A finding that points to the key's place in mlship.yaml; nowhere, where the command line said it."""
    return Finding(what, deployment.places.get(key, ""), fix, code=code)


def missing(deployment: Deployment, key: str, example: str) -> Iterator[Finding]:
    """Where a setting of the target, without which nothing has a price, is not said. example: `us-east-1`."""
    if not deployment.settings.get(key):
        what = f"{deployment.target} service {deployment.service} has no price without {key}"
        fix = f"say --{key} {example}, or targets.{deployment.target}.{key}"
        yield Finding(what, deployment.places.get(f"targets.{deployment.target}", ""), fix, code=f"no-{key}")


def _unsaid(deployment: Deployment, key: str, example: str) -> Iterator[Finding]:
    """Where a setting of the target, without which nothing can be made or has a price, is not said."""
    for found in missing(deployment, key, example):
        what = f"targets.{deployment.target}.{key} is missing, and {deployment.target} service {deployment.service} needs it"
        setting = f"write targets.{deployment.target}.{key}: {example}"
        also = f"or say --{key} {example}" if key == "region" else f"or mlship cost-estimate --{key} {example}"
        yield replace(found, what=what, fix=f"{setting}, {also}")


def impossible_keys(deployment: Deployment, features: Mapping[str, Feature]) -> Iterator[Finding]:
    """Purchase, scaling to zero and GPUs, where the service does not have them."""
    profile = str((deployment.operating.get("cost") or {}).get("profile") or "on-demand")
    if profile != "on-demand":
        yield from _impossible(deployment, features, profile, "cost.profile", profile, "cost.profile: on-demand")
    least, most = deployment.replicas
    if least == 0:
        words = "scaling to zero"
        yield from _impossible(deployment, features, "scale_to_zero", "scale.replicas", words, f"scale.replicas: 1..{most}")
    if asked_of(deployment).gpus:
        yield from _impossible(deployment, features, "resources.gpu", "resources.gpu", "a GPU", "no resources.gpu")


def impossible_strategy(deployment: Deployment, features: Mapping[str, Feature]) -> Iterator[Finding]:
    """A way of taking over that the service does not have; none is said where the service chooses."""
    name = deployment.strategy.name
    feature = features.get(name)
    if feature is not None and feature.support == "absent":
        what = (
            f"rollout.strategy {name} is not possible with {deployment.target} service {deployment.service}: {feature.reason}"
        )
        yield refused(deployment, "rollout.strategy", what, f"write rollout.strategy: {feature.instead}", "absent-feature")


def too_large(deployment: Deployment, name: str, largest: Size, instead: str) -> Iterator[Finding]:
    """For a size that is beyond the service's largest. name: of the service, for people."""
    asked = asked_of(deployment)
    for key, said, most, unit in (
        ("resources.cpu", asked.vcpus, largest.vcpus, ""),
        ("resources.memory", asked.memory_gib, largest.memory_gib, "GiB"),
    ):
        if said > most:
            what = f"{key} {said:.4g}{unit} is more than {name} has: a replica gets at most {most:.4g}{unit}"
            yield refused(deployment, key, what, f"write at most {most:.4g}{unit}, or use {instead}")


def too_many(deployment: Deployment, name: str, most: int, source: str, severity: Severity = "error") -> Iterator[Finding]:
    """source: who sets the limit, for people. severity: a quota that can be raised is a warning."""
    said = deployment.replicas[1]
    if said > most:
        what = f"scale.replicas goes up to {said:,}, and {name} has at most {most:,} ({source})"
        found = refused(deployment, "scale.replicas", what, f"write at most {most}", "too-many-replicas")
        yield replace(found, severity=severity)


def amd64_only(deployment: Deployment, name: str) -> Iterator[Finding]:
    if deployment.settings.get("arch") == "arm64":
        what, fix = f"{name} runs images of linux/amd64 only", "build for linux/amd64, or say --arch x86_64"
        yield refused(deployment, "build.platforms", what, fix, "impossible-platform")


def _impossible(
    deployment: Deployment, features: Mapping[str, Feature], word: str, key: str, said: str, otherwise: str
) -> Iterator[Finding]:
    feature = features.get(word)
    if feature is None or feature.support != "absent":
        return
    what = f"{said} is not possible with {deployment.target} service {deployment.service}: {feature.reason}"
    fix = f"use {feature.instead}, or {otherwise}" if feature.instead else f"write {otherwise}"
    yield refused(deployment, key, what, fix, "absent-feature")
