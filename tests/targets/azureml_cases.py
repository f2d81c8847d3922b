"""Deployments of every shape that Azure ML takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mlship.releases.release import Release, Served
from mlship.targets.base import Deployment, Strategy

SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
IDENTITY = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/ml/providers/Microsoft.ManagedIdentity/userAssignedIdentities/churn"
SETTINGS: Mapping[str, Any] = {
    "service": "azureml",
    "subscription": SUBSCRIPTION,
    "resource_group": "ml",
    "workspace": "shop",
    "region": "westeurope",
    "instance": "Standard_F4s_v2",
}


def deployment(
    settings: Mapping[str, Any] | None = None, served: Mapping[str, Any] | None = None, **changes: Any
) -> Deployment:
    said = {**SETTINGS, **(settings or {})}
    release = Release(1, Served(**{"content": "sha256:" + "0" * 64, "models": (), **(served or {})}), 0.0)
    made = Deployment("churn", "", "azure", "azureml", release, said, {})
    return replace(made, **changes)


CASES: Mapping[str, dict[str, Any]] = {
    "plain": {},
    "token": {"settings": {"auth": "aml_token"}},
    "entra": {"settings": {"auth": "aad_token"}, "environment": "prod"},
    "identity": {"settings": {"identity": IDENTITY}},
    "scaled by cpu": {"replicas": (1, 5), "operating": {"scale": {"metric": "cpu", "per_replica": 60.0}}},
    "scaled by requests": {"replicas": (2, 5), "operating": {"scale": {"metric": "rps", "down_after_s": 900.0}}},
    "several machines": {"replicas": (3, 3)},
    "private": {"settings": {"callers": "network"}},
    "mirrored": {"strategy": Strategy("canary", steps=(0.25, 1.0), bake_s=600.0, mirror=0.1)},
    "strange texts": {
        "labels": {"team": "no", "a: b": "[resourceId('x')]", "${Image}": 'quote " and \\ and {{ }} and \u2028'},
        "served": {"env": {"LEVEL": "on", "NUMBER": "1e3", "EMPTY": ""}},
    },
    "secrets": {
        "settings": {"identity": IDENTITY},
        "references": {"CHURN_KEYS": "acme/churn-keys"},
        "served": {"secrets": {"CHURN_KEYS": "4387e9f3d6e14c459867679a90fd0f79"}},
    },
    "slow": {"startup_timeout_s": 1800.0, "request_timeout_s": 180.0},
}
