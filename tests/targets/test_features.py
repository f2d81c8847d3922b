"""Nothing that a file asks for is ignored silently."""

from __future__ import annotations

from mlship.targets.base import Feature
from mlship.targets.features import findings, support

FEATURES = {
    "env": Feature("native"),
    "resources": Feature("emulated", "one process limit for all workers"),
    "spot": Feature("absent", "its API has no spot", "service ecs"),
    "labels": Feature("absent"),
}


def test_absent_is_refused_with_reason_and_alternative_and_emulated_is_said() -> None:
    used = {"env": "m:1 env", "resources.memory": "m:2 resources.memory", "spot": "m:3 spot", "labels": "m:4", "gates": "m:5"}
    assert [(found.severity, str(found)) for found in findings(used, "sagemaker", FEATURES)] == [
        ("error", "m:5  gates means nothing to the service sagemaker; leave it out"),
        ("error", "m:4  labels is not possible with the service sagemaker; leave it out"),
        ("note", "m:2 resources.memory  resources.memory is emulated: one process limit for all workers"),
        (
            "error",
            "m:3 spot  spot is not possible with the service sagemaker: its API has no spot; use service ecs, or leave it out",
        ),
    ]


def test_a_key_is_supported_as_its_nearest_parent_is() -> None:
    assert support("resources.memory", FEATURES) == FEATURES["resources"]
    assert support("scale.replicas", FEATURES) is None
