"""cfn-lint, which nobody here wrote, finds no error in what is rendered; botocore's model finds none in the bodies."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("cfnlint", reason="no cfn-lint: pip install cfn-lint")
sys.path.insert(0, str(Path(__file__).parents[1] / "targets"))

import aws_model
from aws_cases import FULL
from cloud_deployment import deployment

from mlship.targets.aws.ecs.releasing import actions, filled, rule, service, task_definition, update
from mlship.targets.aws.ecs.rendering import render
from mlship.targets.aws.given import given
from mlship.targets.base import Deployment

pytestmark = pytest.mark.world
ARN = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/x/73e2d6bc24d8a067"
KNOWN = {
    "Cluster": "ml",
    "Listener": FULL["listener"],
    "TargetGroupA": ARN,
    "TargetGroupB": ARN,
    "LogGroup": "/mlship/churn",
    "ExecutionRole": "arn:aws:iam::123456789012:role/churn-start",
    "TaskRole": "arn:aws:iam::123456789012:role/churn-task",
    "Subnets": "subnet-1,subnet-2",
    "SecurityGroups": "sg-1",
    "Image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/churn@sha256:" + "0" * 64,
    "Region": "us-east-1",
    "TaskDefinition": "mlship-churn_r1-7f3a9c",
}


PARTS: tuple[tuple[str, ...], ...] = (
    ("subnets",),
    ("security_groups",),
    ("roles",),
    ("cluster",),
    ("listener", "hosts"),
    ("repository",),
    ("kms_key",),
    ("permissions_boundary",),
)
SHAPES = tuple(itertools.product(("x86_64", "arm64"), ("", "spot", "reserved"), ((0.25, 0.5), (1, 2), (16, 120))))


def cases() -> Iterator[tuple[str, Deployment]]:
    """Nothing given in every architecture and purchase; each part alone, each part missing, and all, with the shapes in turn."""
    shapes = itertools.cycle(SHAPES)
    chosen = [(part,) for part in PARTS] + [tuple(part for part in PARTS if part != one) for one in PARTS] + [PARTS]
    for parts, shape in [*(((), shape) for shape in SHAPES[::3]), *((parts, next(shapes)) for parts in chosen)]:
        arch, profile, (cpu, gib) = shape
        names = [name for part in parts for name in part]
        said: dict[str, Any] = {name: FULL[name] for name in names}
        made = deployment("aws", "ecs", arch=arch, profile=profile, cpu=cpu, gib=gib, **said)
        yield (
            "+".join([arch, profile or "on-demand", str(cpu), *names]),
            replace(made, environment="prod", labels={"team": "growth"}),
        )


def faults(template: str) -> list[str]:
    """Errors and warnings; cfn-lint's remarks on style are none."""
    from cfnlint.api import lint_all

    return [str(match) for match in lint_all(template) if not match.rule.id.startswith("I")]


def test_no_template_has_an_error() -> None:
    wrong: dict[str, list[str]] = {}
    seen: set[bytes] = set()
    for number, (name, made) in enumerate(cases()):
        documents = {file: text for file, text in render(made).items() if file.startswith("eject/") and file.endswith(".json")}
        for file, text in documents.items():
            # all three of a few, of the others the one that holds everything
            if text not in seen and (number % 8 == 0 or file == "eject/template.json"):
                seen.add(text)
                found = faults(text.decode())
                wrong |= {f"{name} {file}": found} if found else {}
    assert wrong == {}
    assert len(seen) > 25


def test_a_planted_mistake_is_found() -> None:
    document = json.loads(render(deployment("aws", "ecs"))["eject/template.json"])
    document["Resources"]["Service"]["Properties"]["SchedulingStrategy"] = "REPLICAS"
    assert [fault.partition(":")[0] for fault in faults(json.dumps(document))] == ["[E3030"]


def test_every_body_is_one_that_the_api_takes() -> None:
    for _, made in cases():
        has = given(made)
        aws_model.check_request("ecs", "register_task_definition", filled(task_definition(made, has), KNOWN))
        aws_model.check_request("ecs", "create_service", filled(service(made, has, "a"), KNOWN))
        aws_model.check_request("ecs", "update_service", filled(update(made, "b"), KNOWN))
        aws_model.check_request("elbv2", "create_rule", filled(rule(made, has, {"a": 95, "b": 5}), KNOWN))
        said = {"RuleArn": ARN, "Actions": filled(actions({"a": 0, "b": 100}), KNOWN)}
        aws_model.check_request("elbv2", "modify_rule", said)


def test_the_model_finds_what_boto3_lets_pass() -> None:
    made = filled(service(deployment("aws", "ecs"), given(deployment("aws", "ecs")), "a"), KNOWN)
    for change, said in (
        ({"schedulingStrategy": "REPLICAS"}, "schedulingStrategy: 'REPLICAS' is none of"),
        ({"servicename": "x"}, "there is no servicename"),
        ({"desiredCount": "1"}, "desiredCount: '1' is no integer"),
    ):
        with pytest.raises(AssertionError, match=said):
            aws_model.check_request("ecs", "create_service", {**made, **change})
