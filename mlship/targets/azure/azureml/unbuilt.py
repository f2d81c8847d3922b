"""What managed online endpoints cannot do, and what mlship does not do there: said by name, never left out silently. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from mlship.errors import Finding
from mlship.targets.azure.azureml.bodies import LONGEST_REQUEST_S
from mlship.targets.azure.azureml.scaling import PER_REPLICA, is_scaled, metric_of
from mlship.targets.azure.features import FEATURES
from mlship.targets.azure.sizes import EXAMPLE
from mlship.targets.base import Deployment
from mlship.targets.refusals import amd64_only, refused

SERVICE = "azureml"
# A deployment is called as its release; the endpoint's name begins with the project's (azure-ai-ml 1.35.2: NAME_REGEX_PATTERN).
_NAME = re.compile(r"[a-zA-Z](-?[a-zA-Z0-9])*")
_MEASURED = ("p50_ms", "p90_ms", "p95_ms", "p99_ms", "mean_ms", "error_rate", "requests")
LATE_S = 300.0  # Azure Monitor has the requests of a minute some minutes later
_SCORE = "azureml"  # the protocol that has /score


def in_documents(deployment: Deployment) -> Iterator[Finding]:
    """What makes documents impossible, before anybody is asked."""
    yield from _given(deployment)
    yield from amd64_only(deployment, "Azure ML")
    yield from _strategy(deployment)
    yield from _serving(deployment)
    if is_scaled(deployment) and metric_of(deployment) not in PER_REPLICA:
        metric = metric_of(deployment)
        what = (
            f"scale.metric {metric} is not possible with azure service azureml: Azure Monitor does not count it by deployment"
        )
        yield refused(deployment, "scale.metric", what, "write scale.metric: rps or cpu", "absent-feature")
    if deployment.operating.get("public"):
        feature = FEATURES[SERVICE]["public"]
        what = f"public is not possible with azure service azureml: {feature.reason}"
        yield refused(deployment, "public", what, f"delete it, or use {feature.instead}", "absent-feature")


def in_a_deploy(deployment: Deployment) -> Iterator[Finding]:
    yield from in_documents(deployment)
    strategy = deployment.strategy
    if any(gate.split()[0] in _MEASURED for gate in strategy.gates) and strategy.bake_s < LATE_S:
        what = f"rollout.bake is {strategy.bake_s:g} s, and Azure Monitor's figures come minutes late: a step may find too few"
        yield replace(refused(deployment, "rollout.bake", what, "write rollout.bake: 10m", "short-bake"), severity="warning")


def _given(deployment: Deployment) -> Iterator[Finding]:
    for key, example in (("workspace", "shop"), ("region", "westeurope"), ("instance", EXAMPLE)):
        if not deployment.settings.get(key):
            what = f"azure service azureml needs targets.azure.{key}"
            yield refused(deployment, f"targets.azure.{key}", what, f"write targets.azure.{key}: {example}", f"no-{key}")
    if deployment.references and not deployment.settings.get("identity"):
        what = "secrets need an identity that may read them, and an endpoint's own one is there only with its endpoint"
        fix = "write targets.azure.identity: one with the role Key Vault Secrets User on the vault"
        yield refused(deployment, "targets.azure.identity", what, fix, "no-identity")
    if deployment.settings.get("callers") == "environment":
        what = "targets.azure.callers: environment is of container-apps: an endpoint of Azure ML stands in none"
        fix = "write callers: network (the workspace's private endpoint), or delete it"
        yield refused(deployment, "targets.azure.callers", what, fix, "absent-feature")
    if not _NAME.fullmatch(deployment.project):
        what = f"{deployment.project} cannot begin the name of an endpoint of Azure ML: letters, digits and single dashes, a letter first"
        yield refused(deployment, "name", what, "write another name", "bad-name")


def _strategy(deployment: Deployment) -> Iterator[Finding]:
    feature = FEATURES[SERVICE].get(deployment.strategy.name)
    if feature is not None and feature.support == "absent":
        what = f"rollout.strategy {deployment.strategy.name} is not possible with azure service azureml: {feature.reason}"
        yield refused(deployment, "rollout.strategy", what, f"write rollout.strategy: {feature.instead}", "absent-feature")


def _serving(deployment: Deployment) -> Iterator[Finding]:
    """Callers reach one path, and Azure reads the header that a key of our own would come in."""
    serving = deployment.release.served.serving
    if serving.get("auth") or deployment.operating.get("auth"):
        what = "serve.auth is not possible with azure service azureml: Azure takes the header Authorization for its own key or token"
        yield refused(deployment, "serve.auth", what, "delete it, or use service container-apps", "absent-feature")
    protocols = serving.get("protocols")
    if protocols and _SCORE not in protocols:
        what = "azure service azureml reaches a model at /score alone, and serve.protocols does not have azureml"
        yield refused(deployment, "serve.protocols", what, "add azureml to serve.protocols", "no-route")
    if len(deployment.release.served.models) > 1:
        what = "azure service azureml reaches one model: its endpoints have one route"
        yield refused(deployment, "models", what, "give each model a project, or use service container-apps", "absent-feature")
    if deployment.request_timeout_s > LONGEST_REQUEST_S:
        what = f"serve.request_timeout is {deployment.request_timeout_s:g} s, and Azure ML waits {LONGEST_REQUEST_S} s at most"
        fix = f"write at most {LONGEST_REQUEST_S}s"
        yield refused(deployment, "serve.request_timeout", what, fix, "too-long")
