"""cfn-lint, which nobody here wrote, finds no error in what is rendered; botocore's model finds none in the bodies."""

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
from mlship.targets.aws.ecs.releasing import (
    actions,
    bought_anew,
    let_go,
    made_movable,
    moved,
    rule,
    service,
    task_definition,
    update,
)
from mlship.targets.aws.ecs.rendering import render
from mlship.targets.aws.ecs.scaling import is_scaled, policy, scalable, scheduled
from mlship.targets.aws.ecs.traffic import by_ecs
from mlship.targets.aws.given import given
from mlship.targets.base import Deployment, Strategy

pytestmark = pytest.mark.world
ARN = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/x/73e2d6bc24d8a067"
KNOWN = {
    "Balancer": "app/ml/50dc6c495c0c9188",
    **{f"Group{slot}": "targetgroup/x/73e2d6bc24d8a067" for slot in "AB"},
    **{f"Label{slot}": "app/ml/50dc6c495c0c9188/targetgroup/x/73e2d6bc24d8a067" for slot in "AB"},
    "OperatorKey": "arn:aws:secretsmanager:us-east-1:123456789012:secret:mlship/churn/operator-AbCdEf",
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
    "InfrastructureRole": "arn:aws:iam::123456789012:role/churn-ecs",
    "Rule": "arn:aws:elasticloadbalancing:us-east-1:123456789012:listener-rule/app/ml/50dc6c495c0c9188/f2f7dc8efc522ab2/9683b2d02a6cabee",
    "ServiceDeployment": "arn:aws:ecs:us-east-1:123456789012:service-deployment/ml/mlship-churn-a/NCWGC2ZR-taawPAYrIaU5",
    "Hook": "ecs-pause-e7tK9G",
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
SIZES = ((0.25, 0.5), (1, 2), (16, 120))
SCALES: tuple[Mapping[str, Any] | None, ...] = (
    None,
    *({"metric": metric, "per_replica": 12.5, "down_after_s": 90.0} for metric in ("rps", "cpu", "concurrency")),
    {"schedule": [{"cron": "0 7 * * 1-5", "min": 3}, {"cron": "0 19 * * *", "min": 2}]},
)
STRATEGIES = (
    Strategy(),
    Strategy("canary", steps=(0.1, 1.0), bake_s=600.0),
    *(Strategy(name, steps=(0.1, 1.0)) for name in ("recreate", "rolling", "blue-green", "canary")),
    Strategy("canary", steps=(0.25, 0.5, 0.75, 1.0), bake_s=60.0),
    Strategy("blue-green", bake_s=300.0),
)
SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:churn/keys-AbCdEf"
CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/1234abcd-12ab-34cd-56ef-1234567890ab"
# what a project is beside its shape: internal, judging its callers, with TLS, on the internet
DOORS: tuple[tuple[str, Mapping[str, Any], Mapping[str, Any]], ...] = (
    ("open", {}, {}),
    ("auth", {"auth": True}, {}),
    ("tls", {"auth": True}, {"certificate": CERTIFICATE, "hosts": ("churn.internal.example",)}),
    ("public", {"auth": True, "public": True}, {"certificate": CERTIFICATE, "hosts": ("churn.example.com",)}),
)


def cases() -> Iterator[tuple[str, Deployment]]:
    """Nothing given in every architecture, purchase and range; each part alone, each missing, and all, with these in turn.

    Sizes, doors and strategies come in turn, too; of a strategy only what ECS does itself is in a template.
    """
    shapes = tuple(itertools.product(("x86_64", "arm64"), ("", "spot", "reserved"), SCALES))
    turns = zip(itertools.cycle(SIZES), itertools.cycle(DOORS), itertools.cycle(STRATEGIES), strict=False)
    again = itertools.cycle(shapes)
    chosen = [(part,) for part in PARTS] + [tuple(part for part in PARTS if part != one) for one in PARTS] + [PARTS]
    every = [*(((), shape) for shape in shapes), *((parts, next(again)) for parts in chosen)]
    for (parts, (arch, profile, scale)), ((cpu, gib), (door, more, said_of_door), strategy) in zip(every, turns, strict=False):
        names = [name for part in parts for name in part]
        said = {**{name: FULL[name] for name in names}, **({} if names else said_of_door)}
        made = deployment("aws", "ecs", arch=arch, profile=profile, cpu=cpu, gib=gib, **said)
        operating = {**made.operating, **(more if not names else {"auth": True}), **({"scale": scale} if scale else {})}
        secrets = {"CHURN_KEYS": f"{SECRET}:::EXAMPLE1-90ab-cdef-fedc-ba987EXAMPLE"} if more else {}
        served = replace(made.release.served, secrets=secrets)
        yield (
            "+".join([arch, profile or "on-demand", str(cpu), door, str(scale), strategy.name or "default", *names]),
            replace(
                made,
                environment="prod",
                labels={"team": "growth"},
                strategy=strategy,
                operating=operating,
                replicas=(1, 1) if scale is None else (2, 9),
                references=dict.fromkeys(secrets, "secretsmanager:churn/keys"),
                release=replace(made.release, served=served),
            ),
        )


def unbalanced() -> Iterator[tuple[str, Deployment]]:
    """The same without a balancer, in what of the cases can be so."""
    for name, made in cases():
        has_front = made.settings.get("listener") or made.settings.get("certificate")
        metric = (made.operating.get("scale") or {}).get("metric")
        if has_front or metric not in (None, "cpu") or "schedule" in (made.operating.get("scale") or {}):
            continue
        given_one = {"namespace": "ns-0123456789abcdef"} if made.settings.get("subnets") else {}
        settings = {**made.settings, "balancer": False, **given_one}
        yield f"no balancer {name}", replace(made, settings=settings, strategy=Strategy("rolling"))


def faults(template: str) -> list[str]:
    """Errors and warnings; cfn-lint's remarks on style are none."""
    from cfnlint.api import lint_all

    return [str(match) for match in lint_all(template) if not match.rule.id.startswith("I")]


def test_no_template_has_an_error() -> None:
    wrong: dict[str, list[str]] = {}
    seen: set[bytes] = set()
    for number, (name, made) in enumerate((*cases(), *unbalanced())):
        documents = {file: text for file, text in render(made).items() if file.startswith("eject/") and file.endswith(".json")}
        for file, text in documents.items():
            # all three of a few, of the others the one that holds everything
            if text not in seen and (number % 8 == 0 or file == "eject/template.json"):
                seen.add(text)
                found = faults(text.decode())
                wrong |= {f"{name} {file}": found} if found else {}
    assert wrong == {}
    assert len(seen) > 45


def test_no_statement_has_a_wildcard_where_aws_takes_a_name() -> None:
    """GetAuthorizationToken, and looking at balancers, AWS lets nobody narrow; the end of a secret's ARN is known to nobody, and the last
    part of that of a listener's rule is before it is made.
    """
    found = set()
    for _, made in cases():
        resources = json.loads(render(made)["eject/template.json"])["Resources"]
        for one in resources.values():
            for written in one["Properties"].get("Policies", ()):
                for statement in written["PolicyDocument"]["Statement"]:
                    assert not any("*" in action for action in statement["Action"])
                    is_look = all(action.startswith("elasticloadbalancing:Describe") for action in statement["Action"])
                    if is_look or statement["Action"] == ["ecr:GetAuthorizationToken"]:
                        assert statement["Resource"] == "*"
                        continue
                    named = json.dumps(statement["Resource"])
                    ends = statement["Action"] == ["elasticloadbalancing:ModifyRule"]
                    assert named.count("*") == ends and ('/*"' in named) == ends
                    found.update(statement["Action"])
    wanted = {"secretsmanager:GetSecretValue", "kms:Decrypt", "ecr:BatchGetImage", "logs:PutLogEvents"}
    assert wanted | {"elasticloadbalancing:ModifyRule"} <= found


def test_every_body_without_a_balancer_is_one_that_the_api_takes() -> None:
    known = {**KNOWN, "Registry": "arn:aws:servicediscovery:us-east-1:123456789012:service/srv-0123456789abcdef"}
    for _, made in unbalanced():
        has = given(made)
        aws_model.check_request("ecs", "register_task_definition", filled(task_definition(made, has), known))
        aws_model.check_request("ecs", "create_service", filled(service(made, has, "a"), known))
        aws_model.check_request("ecs", "update_service", filled(update(made, has, "a", 3), known))
        if is_scaled(made):
            aws_model.check_request("application-autoscaling", "put_scaling_policy", filled(policy(made, has, "a"), known))


def test_a_planted_mistake_is_found() -> None:
    document = json.loads(render(deployment("aws", "ecs"))["eject/template.json"])
    document["Resources"]["Service"]["Properties"]["SchedulingStrategy"] = "REPLICAS"
    assert [fault.partition(":")[0] for fault in faults(json.dumps(document))] == ["[E3030"]


def test_every_body_is_one_that_the_api_takes() -> None:
    theirs: set[str] = set()
    for _, made in cases():
        has = given(made)
        aws_model.check_request("ecs", "register_task_definition", filled(task_definition(made, has), KNOWN))
        aws_model.check_request("ecs", "create_service", filled(service(made, has, "a"), KNOWN))
        for tasks in (None, 3):
            aws_model.check_request("ecs", "update_service", filled(update(made, has, "b", tasks), KNOWN))
        if by_ecs(made, has):
            theirs.add(moved(made, "a", "b")["deploymentConfiguration"]["strategy"])
            for body in (made_movable(made, "a", "b"), moved(made, "a", "b")):
                aws_model.check_request("ecs", "update_service", filled(body, KNOWN))
            aws_model.check_request("ecs", "update_service", filled(bought_anew(made, "a"), KNOWN))
            aws_model.check_request("ecs", "continue_service_deployment", filled(let_go(), KNOWN))
        if is_scaled(made):
            aws_model.check_request("application-autoscaling", "register_scalable_target", scalable(made, has, "a"))
            aws_model.check_request("application-autoscaling", "put_scaling_policy", filled(policy(made, has, "a"), KNOWN))
            for action in scheduled(made, has, "a"):
                aws_model.check_request("application-autoscaling", "put_scheduled_action", action)
        aws_model.check_request("elbv2", "create_rule", filled(rule(made, has, {"a": 95, "b": 5}), KNOWN))
        said = {"RuleArn": ARN, "Actions": filled(actions({"a": 0, "b": 100}), KNOWN)}
        aws_model.check_request("elbv2", "modify_rule", said)
    assert theirs == {"CANARY", "LINEAR", "BLUE_GREEN"}


def test_the_model_finds_what_boto3_lets_pass() -> None:
    made = filled(service(deployment("aws", "ecs"), given(deployment("aws", "ecs")), "a"), KNOWN)
    for change, said in (
        ({"schedulingStrategy": "REPLICAS"}, "schedulingStrategy: 'REPLICAS' is none of"),
        ({"servicename": "x"}, "there is no servicename"),
        ({"desiredCount": "1"}, "desiredCount: '1' is no integer"),
    ):
        with pytest.raises(AssertionError, match=said):
            aws_model.check_request("ecs", "create_service", {**made, **change})
