"""Over everything that is rendered for AWS' services: which rights the roles have, and that nothing is of one partition alone."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from aws_cases import FULL
from cloud_deployment import deployment

from mlship.targets.aws.ecs.rendering import render as render_ecs
from mlship.targets.aws.lambdas.rendering import render as render_lambda
from mlship.targets.aws.sagemaker.rendering import render as render_sagemaker
from mlship.targets.aws.sagemaker.target import address
from mlship.targets.base import Deployment

# Actions for which IAM takes no resource (Service Authorization Reference of each service; from memory, verify).
OF_EVERYTHING = {
    *("ecr:GetAuthorizationToken", "cloudwatch:PutMetricData", "ec2:DescribeDhcpOptions", "ec2:DescribeNetworkInterfaces"),
    *("ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcs", "ec2:CreateNetworkInterface"),
    *("ec2:DeleteNetworkInterface", "ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses"),
}
RENDER = {"ecs": render_ecs, "sagemaker": render_sagemaker, "lambda": render_lambda}
GIVEN: tuple[tuple[str, ...], ...] = (
    (),
    ("subnets",),
    ("kms_key",),
    ("repository",),
    ("subnets", "security_groups", "kms_key"),
)


def cases(service: str, given: Iterable[tuple[str, ...]] = GIVEN, **more: Any) -> Iterator[Deployment]:
    for names in given:
        said: dict[str, Any] = {name: FULL[name] for name in names} | more
        if service == "lambda" and "subnets" in said:
            said["security_groups"] = FULL["security_groups"]
        made = deployment("aws", service, **({"instance": "ml.m5.large"} if service == "sagemaker" else {}), **said)
        yield made
        if service != "sagemaker":
            served = replace(made.release.served, serving={"auth": {"api_keys": "KEYS"}})
            release, references = replace(made.release, served=served), {"KEYS": "secretsmanager:churn/keys"}
            yield replace(made, release=release, operating={"auth": True}, references=references)


def statements(document: Any) -> Iterator[dict[str, Any]]:
    if isinstance(document, dict):
        if "Effect" in document:
            yield document
        for entry in document.values():
            yield from statements(entry)
    elif isinstance(document, list):
        for entry in document:
            yield from statements(entry)


def as_list(said: Any) -> list[Any]:
    return said if isinstance(said, list) else [said]


@pytest.mark.parametrize("service", RENDER)
def test_every_statement_names_its_actions_and_their_resources(service: str) -> None:
    count = 0
    for made in cases(service):
        documents = [json.loads(text) for name, text in RENDER[service](made).items() if name.endswith(".json")]
        for statement in statements(documents):
            count += 1
            assert not [action for action in as_list(statement["Action"]) if "*" in action]
            if "*" in as_list(statement.get("Resource", ())):
                assert {*as_list(statement["Action"])} <= OF_EVERYTHING, statement
    assert count > 20


@pytest.mark.parametrize("service", RENDER)
def test_nothing_is_said_in_the_words_of_one_partition(service: str) -> None:
    """What the user gives has its own ARNs; principals of services are called the same everywhere."""
    said = json.dumps(dict(FULL))
    for made in cases(service, (GIVEN[0], GIVEN[-1]), region="cn-north-1"):
        for name, text in RENDER[service](made).items():
            for found in re.findall(r"arn:aws:[^\"\s]+|[\w.-]*amazonaws\.com[\w.]*|[\w.-]+\.on\.aws", text.decode()):
                is_principal = re.fullmatch(r"[a-z-]+\.amazonaws\.com", found)
                assert is_principal or found in said, f"{service} {name}: {found}"


def test_an_endpoint_s_address_is_of_its_partition() -> None:
    assert address("cn-north-1", "mlship-churn").startswith("https://runtime.sagemaker.cn-north-1.amazonaws.com.cn/endpoints/")
    assert address("us-gov-west-1", "x").startswith("https://runtime.sagemaker.us-gov-west-1.amazonaws.com/")
    assert "eu-isoe-west-1.cloud.adc-e.uk/" in address("eu-isoe-west-1", "x") and "eusc-de-east-1.amazonaws.eu/" in address(
        "eusc-de-east-1", "x"
    )
