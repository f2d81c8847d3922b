"""What cannot become another one in place is refused before anything is changed."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from aws_cases import FULL
from aws_door import FakeDoor
from cloud_deployment import deployment

from mlship.targets.aws.ecs import staying
from mlship.targets.aws.ecs.foundation import foundation
from mlship.targets.aws.given import given
from mlship.targets.aws.scope import Scope
from mlship.targets.base import Deployment

OPEN = deployment("aws", "ecs")
GIVEN = deployment("aws", "ecs", **FULL)
ALONE = deployment("aws", "ecs", balancer=False)
ZONED = deployment("aws", "ecs", balancer=False, namespace="ns-abc")
PUBLIC = replace(deployment("aws", "ecs", certificate="arn:cert", hosts=("churn.example",)), operating={"public": True})


def said(before: Deployment, after: Deployment, vpc: str = "vpc-1", spec: str = "1") -> list[str]:
    """Codes and keys. before: what the stack was made with, in vpc-1."""
    template = foundation(before, given(before))
    values = dict.fromkeys(template["Outputs"], "x") | {"Cluster": given(before).cluster or "mlship-churn"}
    made: dict[str, Any] = {
        "StackStatus": "CREATE_COMPLETE",
        "Outputs": [{"OutputKey": name, "OutputValue": text} for name, text in values.items()],
        "Parameters": [{"ParameterKey": "Vpc", "ParameterValue": "vpc-1"}],
        "Tags": [{"Key": "mlship.spec", "Value": spec}],
    }
    door = FakeDoor(
        {"cloudformation describe_stacks": {"Stacks": [made]}, "cloudformation get_template": {"TemplateBody": template}}
    )
    wanted = foundation(after, given(after))
    found = staying.findings(door, Scope("churn"), wanted, {"Vpc": vpc}, after, given(after))
    return [re.split(" is | a balancer| one", finding.what)[0] for finding in found]


@pytest.mark.parametrize(
    ("before", "after", "keys"),
    [
        (OPEN, OPEN, []),
        (GIVEN, GIVEN, []),
        (OPEN, replace(OPEN, labels={"team": "growth"}), []),
        (OPEN, PUBLIC, ["public"]),
        (OPEN, GIVEN, ["targets.aws.listener", "targets.aws.cluster"]),
        (GIVEN, OPEN, ["targets.aws.listener", "targets.aws.cluster"]),
        (ZONED, ZONED, []),
        (ALONE, ZONED, ["targets.aws.namespace"]),
        (ZONED, ALONE, ["targets.aws.namespace"]),
    ],
)
def test_another_balancer_or_cluster_is_refused(before: Deployment, after: Deployment, keys: list[str]) -> None:
    assert said(before, after) == keys


@pytest.mark.parametrize(("before", "after"), [(OPEN, ALONE), (ALONE, OPEN)])
def test_a_balancer_neither_comes_nor_goes(before: Deployment, after: Deployment) -> None:
    assert (
        said(before, after)
        == said(before, after, spec="")
        == ["mlship-churn was made with" + ("out" if before is ALONE else "")]
    )
    assert said(ALONE, ALONE) == []


def test_another_network_is_refused() -> None:
    assert said(OPEN, OPEN, vpc="vpc-2") == ["targets.aws.subnets"]


def test_an_administrators_stack_is_not_compared() -> None:
    assert said(OPEN, PUBLIC, spec="") == []
