"""What is known before anything is changed, and what AWS' refusals mean for people."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from aws_cases import FULL as EVERYTHING
from aws_door import FakeDoor
from cloud_deployment import deployment

from mlship.errors import Exit, MlshipError
from mlship.targets.aws.door import refusal
from mlship.targets.aws.ecs import network, preflight
from mlship.targets.aws.ecs.asking import unreached
from mlship.targets.aws.ecs.quotas import ON_DEMAND, SPOT
from mlship.targets.aws.ecs.unbuilt import from_inside, in_a_deploy
from mlship.targets.aws.given import Given, given
from mlship.targets.aws.lambdas import preflight as lambda_preflight
from mlship.targets.aws.preflight import guard
from mlship.targets.aws.sagemaker import preflight as sagemaker_preflight
from mlship.targets.base import Deployment, Strategy

FULL = {key: part for key, part in EVERYTHING.items() if key != "permissions_boundary"}  # all roles are given
SUBNETS = [{"SubnetId": f"subnet-{zone}", "VpcId": "vpc-1", "AvailabilityZone": zone} for zone in "ab"]
OF_FILE = {"ecs": preflight.of_file, "lambda": lambda_preflight.of_file, "sagemaker": sagemaker_preflight.of_file}
OPEN: dict[str, Any] = {
    "cloudformation describe_stacks": "ValidationError",
    "ec2 describe_vpcs": {"Vpcs": [{"VpcId": "vpc-1"}]},
    "ec2 describe_subnets": {"Subnets": SUBNETS},
    "service-quotas list_service_quotas": "AccessDeniedException",
}
THERE: dict[str, Any] = {
    **OPEN,
    "ec2 describe_security_groups": {},
    "elbv2 describe_listeners": {},
    "elbv2 describe_rules": {"Rules": []},
    "ecr describe_repositories": {},
    "iam get_role": {},
    "ecs describe_clusters": {"clusters": [{"status": "ACTIVE", "capacityProviders": ["FARGATE"]}]},
}


def said(answers: dict[str, Any], made: Deployment | None = None) -> list[str]:
    return [finding.what for finding in preflight.findings(FakeDoor(answers), made or deployment("aws", "ecs", **FULL))]


def test_an_open_account_and_a_companys_have_nothing_against_it() -> None:
    assert said(OPEN, deployment("aws", "ecs")) == []
    assert said(THERE) == []


@pytest.mark.parametrize(
    ("answers", "what"),
    [
        (
            {"iam get_role": "NoSuchEntity"},
            "targets.aws.roles.execution cannot be used: AWS refuses iam get_role (NoSuchEntity)",
        ),
        ({"ec2 describe_subnets": "InvalidSubnetID.NotFound"}, "targets.aws.subnets cannot be used: AWS refuses ec2"),
        ({"ecs describe_clusters": {"clusters": [{"status": "INACTIVE"}]}}, "there is no cluster ml"),
        ({"ecs describe_clusters": {"clusters": [{"status": "ACTIVE"}]}}, "the cluster ml has no capacity provider FARGATE"),
    ],
)
def test_a_part_that_is_not_as_it_was_named_is_found(answers: dict[str, Any], what: str) -> None:
    assert said({**THERE, **answers})[0].startswith(what)


def test_what_these_credentials_may_not_look_at_is_left_to_the_step_that_needs_it() -> None:
    assert said({**THERE, "iam get_role": "AccessDenied", "ec2 describe_security_groups": "UnauthorizedOperation"}) == []


def test_spot_needs_its_capacity_provider() -> None:
    made = deployment("aws", "ecs", profile="spot", cluster="ml")
    (found,) = preflight.findings(FakeDoor(THERE), made)
    assert found.what == "the cluster ml has no capacity provider FARGATE_SPOT"
    assert found.fix == (
        "aws ecs put-cluster-capacity-providers --capacity-providers FARGATE FARGATE_SPOT "
        "--default-capacity-provider-strategy '[]' --cluster ml --region us-east-1 adds it"
    )


def test_gates_on_the_balancers_figures_need_their_time() -> None:
    measured = replace(deployment("aws", "ecs"), strategy=Strategy("canary", gates=("p95_ms < 40",), bake_s=60))
    assert said(OPEN, measured) == [
        "rollout.bake is 60 s, and the balancer's figures come two minutes late: a step may find too few requests"
    ]
    assert said(OPEN, replace(measured, strategy=Strategy("canary", gates=("p95_ms < 40",), bake_s=300))) == []
    assert said(OPEN, replace(measured, strategy=Strategy(gates=("prediction_change < 1%",)))) == []


@pytest.mark.parametrize(
    ("replicas", "cost", "value", "expected"),
    [
        ((1, 3), {}, 6.0, []),
        (
            (1, 4),
            {},
            6.0,
            ["4 replicas need 4 vCPU, and this account's quota in us-east-1 is 6: while a release is replaced, 8 run"],
        ),
        ((1, 7), {}, 6.0, ["7 replicas need 7 vCPU, and this account's quota in us-east-1 is 6"]),
        ((1, 5), {"profile": "spot", "on_demand_base": 2}, 6.0, []),
    ],
)
def test_a_quota_that_is_too_small_is_said_before(
    replicas: tuple[int, int], cost: dict[str, Any], value: float, expected: list[str]
) -> None:
    quotas = {"Quotas": [{"QuotaName": name, "Value": value} for name in (ON_DEMAND, SPOT)]}
    made = replace(deployment("aws", "ecs", replicas=replicas), operating={"cost": cost} if cost else {})
    assert said({**OPEN, "service-quotas list_service_quotas": quotas}, made) == expected


@pytest.mark.parametrize(
    ("listener", "balancer", "expected"),
    [
        ("HTTPS", "internet-facing", []),
        ("HTTPS", "internal", ["public: true, and targets.aws.listener is of ml, which is internal"]),
        (
            "HTTP",
            "internet-facing",
            ["public: true, and targets.aws.listener speaks no TLS: the keys of callers would be read on their way"],
        ),
    ],
)
def test_a_listener_is_where_callers_come_from(listener: str, balancer: str, expected: list[str]) -> None:
    answers = {
        "elbv2 describe_listeners": {"Listeners": [{"LoadBalancerArn": "arn:lb", "Protocol": listener}]},
        "elbv2 describe_load_balancers": {"LoadBalancers": [{"LoadBalancerName": "ml", "Scheme": balancer}]},
    }
    made = replace(deployment("aws", "ecs", **FULL), operating={"public": True, "auth": True})
    assert [what for what in said({**THERE, **answers}, made) if "public" in what] == expected


def test_another_account_is_refused_with_the_way_out() -> None:
    with pytest.raises(MlshipError, match="set AWS_PROFILE to a profile of that account") as raised:
        guard(FakeDoor(), deployment("aws", "ecs", account="999999999999"))
    assert raised.value.exit is Exit.DENIED
    guard(FakeDoor(), deployment("aws", "ecs", account="123456789012"))


@pytest.mark.parametrize(
    ("answers", "given", "said"),
    [
        (
            {"ec2 describe_vpcs": {"Vpcs": []}},
            Given(),
            "123456789012 has no default network in us-east-1; name targets.aws.subnets",
        ),
        (
            {"ec2 describe_subnets": {"Subnets": SUBNETS[:1]}},
            Given(),
            "the default network vpc-1 has subnets in fewer than two zones",
        ),
        (
            {"ec2 describe_subnets": {"Subnets": [*SUBNETS, {"SubnetId": "s", "VpcId": "vpc-2", "AvailabilityZone": "a"}]}},
            Given(subnets=("subnet-a", "subnet-b", "s")),
            "targets.aws.subnets are of 2 networks; name subnets of one VPC",
        ),
        (
            {"ec2 describe_subnets": {"Subnets": SUBNETS[:1]}},
            Given(subnets=("subnet-a",)),
            "targets.aws.subnets are in one zone, and a balancer needs two; name subnets of two zones",
        ),
    ],
)
def test_a_network_that_no_balancer_can_be_in_is_refused(answers: dict[str, Any], given: Given, said: str) -> None:
    with pytest.raises(MlshipError, match=said):
        network.parameters_for(FakeDoor({**OPEN, **answers}), given)


def test_the_network_is_that_of_the_subnets_or_the_default_one() -> None:
    assert network.parameters_for(FakeDoor(OPEN), Given()) == {"Vpc": "vpc-1", "Subnets": "subnet-a,subnet-b"}
    assert network.parameters_for(FakeDoor(OPEN), Given(subnets=("subnet-a", "subnet-b"))) == {"Vpc": "vpc-1"}
    one = FakeDoor({**OPEN, "ec2 describe_subnets": {"Subnets": SUBNETS[:1]}})
    assert network.parameters_for(one, Given(subnets=("subnet-a",), listener="arn")) == {"Vpc": "vpc-1"}


@pytest.mark.parametrize(
    ("code", "exit", "fix"),
    [
        ("AccessDeniedException", Exit.DENIED, "give these credentials the right to it, or aws sso login"),
        ("ServiceQuotaExceededException", Exit.DENIED, "ask for a higher quota, or take something away"),
        ("TooManyTargetGroups", Exit.DENIED, "ask for a higher quota, or take something away"),
        ("TooManyRequestsException", Exit.UNREACHABLE, "run the same command again in a while"),
        ("RequestLimitExceeded", Exit.UNREACHABLE, "run the same command again in a while"),
        ("ThrottlingException", Exit.UNREACHABLE, "run the same command again in a while"),
        ("InvalidParameterException", Exit.USAGE, "mend what it names and run the same command again"),
    ],
)
def test_a_refusal_says_what_to_do(code: str, exit: Exit, fix: str) -> None:
    no = refusal("ecs create-service", {"Code": code, "Message": "a\nreason"})
    assert str(no).startswith(f"AWS refuses ecs create-service ({code}): a reason; {fix}")
    assert (no.exit, no.said) == (exit, code)


@pytest.mark.parametrize(
    ("status", "exit"), [(403, Exit.DENIED), (500, Exit.UNREACHABLE), (503, Exit.UNREACHABLE), (400, Exit.USAGE)]
)
def test_a_code_that_nobody_knows_is_judged_by_the_status(status: int, exit: Exit) -> None:
    assert refusal("ecs create-service", {"Code": "ServerException"}, status).exit is exit


def test_an_answer_that_a_balancer_does_not_wait_for_is_warned_of() -> None:
    slow = replace(deployment("aws", "ecs"), request_timeout_s=90.0)
    (found,) = in_a_deploy(slow)
    assert found.severity == "warning" and "a balancer answers 504 when nothing has come for 60 s" in found.what
    assert list(in_a_deploy(replace(slow, request_timeout_s=60.0))) == []


def test_a_balancer_that_a_laptop_does_not_reach_is_said_beforehand() -> None:
    made = deployment("aws", "ecs")
    (found,) = from_inside(made, given(made))
    assert found.severity == "note" and "the balancer is internal" in found.what and "service lambda" in found.fix
    assert list(from_inside(made, Given(public=True))) == [] == list(from_inside(made, Given(listener="arn:aws:...")))


def test_whoever_cannot_connect_to_an_internal_balancer_is_told_why() -> None:
    told = unreached("http://internal-mlship-churn.us-east-1.elb.amazonaws.com", "no connection within 10 s")
    assert told.is_unreached and told.body == (
        b"no connection within 10 s; the balancer is internal, and this machine has to be in its network"
    )
    assert unreached("https://churn.example.com", "no connection").body == b"no connection"


def test_what_a_key_cannot_do_beside_another_is_said_at_its_place() -> None:
    def of(service: str, **settings: Any) -> list[str]:
        made = deployment("aws", service, **settings)
        places = dict.fromkeys(("targets.aws.callers", "targets.aws.permissions_boundary", "env.PORT"), "mlship.yaml:7:3")
        served = replace(made.release.served, env={"PORT": "9"})
        made = replace(made, places=places, release=replace(made.release, served=served))
        return [f"{one.severity} {one}" for one in OF_FILE[service](made)]

    callers, port, boundary = of("ecs", **{**EVERYTHING, "callers": ("10.0.0.0/8",)})
    assert callers.startswith("error mlship.yaml:7:3  targets.aws.callers lets nobody in or keeps anybody out")
    assert boundary.startswith("warning mlship.yaml:7:3  targets.aws.permissions_boundary has no effect: it is for roles that")
    assert port.startswith("warning mlship.yaml:7:3  env.PORT has no effect: the target aws sets it itself")
    (_, boundary) = of("lambda", roles={"task": "churn"}, permissions_boundary="ml")
    assert "targets.aws.permissions_boundary has no effect" in boundary
    assert not any("boundary" in one for one in of("lambda", permissions_boundary="ml"))
    (role, *_) = of("sagemaker", instance="ml.m5.large", roles={"execution": "churn", "infrastructure": "move"})
    assert role.startswith("error SageMaker has one role: execution")
