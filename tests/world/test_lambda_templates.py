"""cfn-lint, which nobody here wrote, finds no error in what is rendered; botocore's model finds none in the bodies; both are one state."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator, Mapping
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
from mlship.targets.aws.lambdas import releasing
from mlship.targets.aws.lambdas.ejecting import version_id
from mlship.targets.aws.lambdas.naming import LIVE
from mlship.targets.aws.lambdas.rendering import render
from mlship.targets.aws.scope import Scope
from mlship.targets.base import Deployment

pytestmark = pytest.mark.world
KNOWN = {
    "LogGroup": "/mlship/churn",
    "FunctionRole": "arn:aws:iam::123456789012:role/churn",
    "OperatorKey": "arn:aws:secretsmanager:us-east-1:123456789012:secret:mlship/churn/operator-AbCdEf",
    "Image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/churn@sha256:" + "0" * 64,
}
PARTS = (("subnets", "security_groups"), ("roles",), ("repository",), ("kms_key",), ("permissions_boundary",))
SHAPES = tuple(itertools.product(("x86_64", "arm64"), (0.125, 2, 9.9), ((0, 1), (2, 40)), (False, True)))


def cases() -> Iterator[tuple[str, Deployment]]:
    """Nothing given in every shape; each part alone, each missing, and all, with the shapes in turn."""
    shapes = itertools.cycle(SHAPES)
    chosen = [(part,) for part in PARTS] + [tuple(part for part in PARTS if part != one) for one in PARTS] + [PARTS]
    for parts, shape in [*(((), shape) for shape in SHAPES), *((parts, next(shapes)) for parts in chosen)]:
        arch, gib, replicas, is_public = shape
        names = [name for part in parts for name in part]
        said: dict[str, Any] = {name: FULL[name] for name in names}
        if "roles" in said:
            said["roles"] = {"task": "churn-function"}
        made = deployment("aws", "lambda", arch=arch, gib=gib, replicas=replicas, **said)
        if is_public:
            made = with_keys(made)
        name = "+".join([arch, str(gib), str(replicas[1]), "public" if is_public else "iam", *names])
        yield name, replace(made, environment="prod", labels={"team": "growth"})


def with_keys(made: Deployment) -> Deployment:
    served = replace(made.release.served, serving={"auth": {"api_keys": "CHURN_KEYS"}})
    release = replace(made.release, served=served)
    return replace(made, release=release, operating={"public": True}, references={"CHURN_KEYS": "secretsmanager:churn/keys"})


def faults(template: str) -> list[str]:
    """Errors and warnings; cfn-lint's remarks on style are none. Not of every region: some have no URLs of functions."""
    from cfnlint.api import lint
    from cfnlint.config import ManualArgs

    found = lint(template, config=ManualArgs(regions=["us-east-1", "eu-west-1"], include_experimental=False))
    return [str(match) for match in found if not match.rule.id.startswith("I")]


def test_no_template_has_an_error() -> None:
    wrong: dict[str, list[str]] = {}
    seen: set[bytes] = set()
    for number, (name, made) in enumerate(cases()):
        for file, text in render(made).items():
            is_wanted = file == "eject/template.json" or (number % 8 == 0 and file.startswith("eject/"))
            if is_wanted and file.endswith(".json") and text not in seen:
                seen.add(text)
                found = faults(text.decode())
                wrong |= {f"{name} {file}": found} if found else {}
    assert wrong == {}
    assert len(seen) > 25


def test_a_planted_mistake_is_found() -> None:
    document = json.loads(render(deployment("aws", "lambda"))["eject/template.json"])
    document["Resources"]["Url"]["Properties"]["AuthType"] = "IAM"
    assert [fault.partition(":")[0] for fault in faults(json.dumps(document))] == ["[E3030"]


def test_roles_name_resources_and_the_service_part_makes_none() -> None:
    for _, made in cases():
        rendered = {name: json.loads(text) for name, text in render(made).items() if name.endswith(".json")}
        for resource in rendered["eject/template.json"]["Resources"].values():
            for policy in resource["Properties"].get("Policies", ()):
                for statement in policy["PolicyDocument"]["Statement"]:
                    assert all("*" not in action for action in statement["Action"])
                    assert statement["Resource"] != "*" or all(action.startswith("ec2:") for action in statement["Action"])
        kinds = {resource["Type"].split("::")[1] for resource in rendered["eject/service.json"]["Resources"].values()}
        assert kinds == {"Lambda"}


def test_every_body_is_one_that_the_api_takes() -> None:
    for _, made in cases():
        has, scope = given(made), Scope(made.project, made.environment)
        bodies: list[tuple[str, Mapping[str, Any]]] = [
            ("create_function", releasing.create_function(made, has)),
            ("update_function_configuration", releasing.update_configuration(made, has)),
            ("update_function_code", releasing.update_code(made, has)),
            ("publish_version", releasing.publish_version(made)),
            ("create_alias", releasing.alias(scope, LIVE, "7", {"8": 0.05})),
            ("update_alias", releasing.alias(scope, LIVE, "8", {})),
            ("create_function_url_config", releasing.url_config(scope, public=releasing.is_public(made))),
            *(("add_permission", one) for one in releasing.permissions(scope, public=releasing.is_public(made))),
        ]
        for operation, body in bodies:
            aws_model.check_request("lambda", operation, filled(body, KNOWN))


def test_both_folders_say_the_same_function() -> None:
    """Field by field: what the calls say, in CloudFormation's spelling, and nothing beside it."""
    for _, made in cases():
        rendered = {name: json.loads(text) for name, text in render(made).items() if name.endswith(".json")}
        resources = rendered["eject/template.json"]["Resources"]
        created = rendered["apply/service/1-create-function.json"]
        function = resources["Function"]["Properties"]
        plain = ("Description", "Timeout", "MemorySize", "EphemeralStorage", "PackageType", "Architectures", "FunctionName")
        assert {key: function[key] for key in plain} == {key: created[key] for key in plain}
        assert {one["Key"]: one["Value"] for one in function["Tags"]} == created["Tags"]
        assert function.get("VpcConfig") == created.get("VpcConfig")
        assert function.get("KmsKeyArn") == created.get("KMSKeyArn")
        told = {key: text for key, text in created["Environment"]["Variables"].items() if not text.startswith("${")}
        assert told.items() <= function["Environment"]["Variables"].items()
        cap = rendered.get("apply/service/7-put-function-concurrency.json", {})
        assert function.get("ReservedConcurrentExecutions") == cap.get("ReservedConcurrentExecutions")
        beside = {"VpcConfig", "KmsKeyArn", "KMSKeyArn", "ReservedConcurrentExecutions"}
        assert set(function) - beside == set(created) - beside - {"Publish"}
        version = resources[version_id(made.release.id)]["Properties"]
        assert version["Description"] == rendered["apply/service/4-publish-version.json"]["Description"]
        assert resources["Live"]["Properties"]["Name"] == rendered["apply/service/5-create-alias.json"]["Name"] == LIVE
        url = rendered["apply/service/6-create-function-url-config.json"]
        assert {key: resources["Url"]["Properties"][key] for key in ("AuthType", "InvokeMode", "Qualifier")} == {
            key: url[key] for key in ("AuthType", "InvokeMode", "Qualifier")
        }
        permissions = [one["Properties"] for one in resources.values() if one["Type"] == "AWS::Lambda::Permission"]
        said = [body for name, body in rendered.items() if "add-permission" in name]
        assert [one["Action"] for one in permissions] == [one["Action"] for one in said]
        assert rendered["apply/foundation/template.json"] == rendered["eject/foundation.json"]
        stands_on = rendered["eject/foundation.json"]["Resources"]
        assert {name: resources[name] for name in stands_on} == stands_on
