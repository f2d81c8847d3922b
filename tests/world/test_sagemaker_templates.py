"""cfn-lint, which nobody here wrote, finds no error in what is rendered for SageMaker; botocore's model finds none in the bodies."""

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

from mlship.targets.aws.documents import filled
from mlship.targets.aws.given import given
from mlship.targets.aws.sagemaker import releasing, scaling
from mlship.targets.aws.sagemaker.rendering import render
from mlship.targets.base import Deployment, Strategy

pytestmark = pytest.mark.world
KNOWN = {
    "ExecutionRole": "arn:aws:iam::123456789012:role/churn-start",
    "SecurityGroups": "sg-1,sg-2",
    "Image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/churn@sha256:" + "0" * 64,
}
PARTS: tuple[tuple[str, ...], ...] = (
    ("subnets",),
    ("subnets", "security_groups"),
    ("roles",),
    ("repository",),
    ("kms_key",),
    ("permissions_boundary",),
    ("subnets", "security_groups", "roles", "repository", "kms_key", "permissions_boundary"),
)
INSTANCES = ("ml.m5.large", "ml.c7g.xlarge", "ml.g5.xlarge")
STRATEGIES = (
    Strategy(),
    Strategy("rolling", bake_s=60),
    Strategy("blue-green", bake_s=600),
    Strategy("canary", steps=(0.25, 1.0), bake_s=300),
    Strategy("canary", steps=(0.25, 0.5, 0.75, 1.0), bake_s=300),
    Strategy("canary", steps=(0.05, 0.3, 1.0), bake_s=300, approve="manual"),
)
REPLICAS = ((1, 1), (4, 4), (2, 6))
SCALES: tuple[dict[str, Any], ...] = (
    {},
    {"metric": "cpu", "per_replica": 60, "schedule": [{"cron": "0 7 * * 1-5", "min": 3}, {"cron": "0 19 * * *", "min": 2}]},
    {"metric": "rps"},
)


def cases() -> Iterator[tuple[str, Deployment]]:
    """Every strategy with every range of replicas, each given part with the machines in turn."""
    machines = itertools.cycle(INSTANCES)
    parts = itertools.cycle(((), *PARTS))
    for strategy, replicas, scale in itertools.product(STRATEGIES, REPLICAS, SCALES):
        machine, names = next(machines), next(parts)
        said: dict[str, Any] = {name: FULL[name] for name in names}
        if "roles" in said:
            said["roles"] = {"execution": FULL["roles"]["execution"]}
        arch = "arm64" if "7g" in machine else "x86_64"
        made = deployment("aws", "sagemaker", arch=arch, instance=machine, replicas=replicas, **said)
        made = replace(made, environment="prod", labels={"team": "growth"}, strategy=strategy)
        if replicas[0] < replicas[1]:
            made = replace(made, operating={"scale": scale})
        yield "+".join([machine, strategy.name, str(replicas), *names]), made


def faults(template: str) -> list[str]:
    """Errors and warnings in one region, not every one has SageMaker's endpoints; cfn-lint's remarks on style are none."""
    from cfnlint.api import ManualArgs, lint

    found = lint(template, config=ManualArgs(regions=["us-east-1"]))
    return [str(match) for match in found if not match.rule.id.startswith("I")]


def test_no_template_has_an_error() -> None:
    wrong: dict[str, list[str]] = {}
    seen: set[bytes] = set()
    for number, (name, made) in enumerate(cases()):
        if number % 3:
            continue
        documents = {file: text for file, text in render(made).items() if file.startswith("eject/") and file.endswith(".json")}
        for file, text in documents.items():
            if text not in seen and (number % 9 == 0 or file == "eject/template.json"):
                seen.add(text)
                found = faults(text.decode())
                wrong |= {f"{name} {file}": found} if found else {}
    assert wrong == {}
    assert len(seen) > 15


def test_a_planted_mistake_is_found() -> None:
    document = json.loads(render(deployment("aws", "sagemaker", instance="ml.m5.large"))["eject/template.json"])
    document["Resources"]["Model"]["Properties"]["PrimaryContainer"]["Mode"] = "OneModel"
    assert [fault.partition(":")[0] for fault in faults(json.dumps(document))] == ["[E3030"]


def test_every_body_is_one_that_the_api_takes() -> None:
    for _, made in cases():
        has, names = given(made), releasing.names_of(made)
        aws_model.check_request("sagemaker", "create_model", filled(releasing.model(made, has), KNOWN))
        alone = releasing.alone(made, has, "b")
        aws_model.check_request("sagemaker", "create_endpoint_config", alone.config)
        pair = releasing.pair(made, has, alone.config["ProductionVariants"][0], 3)
        aws_model.check_request("sagemaker", "create_endpoint_config", pair.config)
        aws_model.check_request("sagemaker", "create_endpoint", releasing.created(made, names.check, alone.name))
        said = releasing.updated(made, alone.name, releasing.alarms(names, "b"))
        aws_model.check_request("sagemaker", "update_endpoint", said)
        shares = releasing.weighed(names, {"a": 0.95, "b": 0.05})
        aws_model.check_request("sagemaker", "update_endpoint_weights_and_capacities", shares)
        aws_model.check_request("application-autoscaling", "register_scalable_target", scaling.scalable(made, names, "b"))
        aws_model.check_request("application-autoscaling", "put_scaling_policy", scaling.policy(made, names, "b"))
        for action in scaling.scheduled(made, names, "b"):
            aws_model.check_request("application-autoscaling", "put_scheduled_action", action)


def test_both_folders_describe_the_same_end_state() -> None:
    """Field by field: each call of `apply` is a resource of `eject`, with references in the place of what is known only then."""
    for name, made in cases():
        files = {file: json.loads(text) for file, text in render(made).items() if file.endswith(".json")}
        complete, resources = files["eject/template.json"], files["eject/template.json"]["Resources"]
        assert {**files["apply/foundation/template.json"]["Resources"], **resources} == resources, name
        model = resources["Model"]["Properties"]
        sent = files["apply/service/1-create-model.json"]
        assert model["PrimaryContainer"] == {**sent["PrimaryContainer"], "Image": {"Ref": "Image"}}, name
        assert model.get("VpcConfig", {}).get("Subnets") == sent.get("VpcConfig", {}).get("Subnets"), name
        assert {"Tags": model["Tags"], "ExecutionRoleArn": model["ExecutionRoleArn"]} == {
            "Tags": sent["Tags"],
            "ExecutionRoleArn": complete["Outputs"]["ExecutionRole"]["Value"],
        }, name
        config = resources["Config"]["Properties"]
        sent = files["apply/service/2-create-endpoint-config.json"]
        (variant,), (wanted,) = config["ProductionVariants"], sent["ProductionVariants"]
        assert variant == {**wanted, "ModelName": {"Fn::GetAtt": ["Model", "ModelName"]}}, name
        assert {**config, "ProductionVariants": 0, "EndpointConfigName": 0} == {
            **sent,
            "ProductionVariants": 0,
            "EndpointConfigName": 0,
        }, name
        endpoint = resources["Endpoint"]["Properties"]
        created = files["apply/service/3-create-endpoint.json"]
        updated = files["apply/service/4-update-endpoint.json"]
        reference = {"EndpointConfigName": {"Fn::GetAtt": ["Config", "EndpointConfigName"]}}
        assert endpoint == {**created, **updated, **reference}, name
        if "ScalableTarget" in resources:
            scaled = files["apply/service/5-register-scalable-target.json"]
            floors = resources["ScalableTarget"]["Properties"].pop("ScheduledActions", [])
            assert resources["ScalableTarget"]["Properties"] == scaled, name
            for number, floor in enumerate(floors, 1):
                assert floor.items() <= files[f"apply/service/5-put-scheduled-action-{number}.json"].items(), name
            assert len(floors) == len([file for file in files if "put-scheduled-action" in file]), name
            followed = resources["ScalingPolicy"]["Properties"]
            policy = files["apply/service/5-put-scaling-policy.json"]
            assert {**policy, **followed} == {**policy, "ScalingTargetId": {"Ref": "ScalableTarget"}}, name
