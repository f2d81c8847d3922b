"""What a deploy to ECS sends, and the same for CloudFormation alone."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from aws_cases import FULL
from cloud_deployment import deployment

from mlship.errors import FindingsError, MlshipError
from mlship.flows.render import of_part
from mlship.releases.release import ServedModel
from mlship.targets.aws.ecs.rendering import render
from mlship.targets.aws.scope import Scope
from mlship.targets.base import Deployment, Strategy

CASES: dict[str, dict[str, Any]] = {
    "an open account": {},
    "a company's account": dict(FULL),
    "spot on arm64": {"arch": "arm64", "profile": "spot"},
    "a given listener": {name: FULL[name] for name in ("subnets", "listener", "hosts")},
}
CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/1234abcd-12ab-34cd-56ef-1234567890ab"
LISTS = ("Subnets", "SecurityGroups")


def rendered(made: Deployment) -> dict[str, Any]:
    documents = render(made)
    return {name: json.loads(text) for name, text in documents.items() if name.endswith(".json")}


def as_called(document: Any, key: str = "") -> Any:
    """A resource's properties in the spelling of the API: the inverse of what ejecting does, written down on its own."""
    if isinstance(document, dict) and set(document) == {"Ref"}:
        name = document["Ref"].replace("AWS::", "")
        return [f"${{{name}}}"] if name in LISTS else f"${{{name}}}"
    if isinstance(document, dict):
        spelled = document if key == "options" else {name[0].lower() + name[1:]: entry for name, entry in document.items()}
        return {name: as_called(entry, name) for name, entry in spelled.items()}
    return [as_called(entry) for entry in document] if isinstance(document, list) else document


def put_in(document: Any, values: dict[str, Any]) -> Any:
    """Parameters of the service's part are what the foundation's outputs say."""
    if isinstance(document, dict) and set(document) == {"Ref"} and document["Ref"] in values:
        return values[document["Ref"]]["Value"]
    if isinstance(document, dict):
        return {name: put_in(entry, values) for name, entry in document.items()}
    return [put_in(entry, values) for entry in document] if isinstance(document, list) else document


@pytest.mark.parametrize("case", CASES)
def test_the_service_part_is_what_the_calls_say(case: str) -> None:
    documents = rendered(deployment("aws", "ecs", **CASES[case]))
    made = documents["eject/service.json"]["Resources"]
    assert as_called(made["TaskDefinition"]["Properties"]) == documents["apply/service/1-register-task-definition.json"]
    assert as_called(made["Service"]["Properties"]) == documents["apply/service/2-create-service.json"]
    rule = as_called(documents["apply/service/3-create-rule.json"])
    del rule["tags"]  # the resource has none
    assert as_called(made["Callers"]["Properties"]) == rule


@pytest.mark.parametrize("case", CASES)
def test_all_in_one_is_the_foundation_and_the_service_on_it(case: str) -> None:
    documents = rendered(deployment("aws", "ecs", **CASES[case]))
    assert documents["eject/foundation.json"] == documents["apply/foundation/template.json"]
    outputs = documents["eject/foundation.json"]["Outputs"]
    whole = documents["eject/template.json"]["Resources"]
    service = put_in(documents["eject/service.json"]["Resources"], outputs)
    network = ("Subnets", "SecurityGroups")  # joined by commas in an output, lists in a service
    placed = whole["Service"]["Properties"]["NetworkConfiguration"]["AwsvpcConfiguration"]
    service["Service"]["Properties"]["NetworkConfiguration"]["AwsvpcConfiguration"] |= {name: placed[name] for name in network}
    assert whole == {**documents["eject/foundation.json"]["Resources"], **service}


ALONE: dict[str, dict[str, Any]] = {
    "a namespace of our own": {"balancer": False},
    "a given one": {"balancer": False, "namespace": "ns-0123", "subnets": ("subnet-1",)},
}


@pytest.mark.parametrize("case", ALONE)
def test_without_a_balancer_both_folders_say_the_same(case: str) -> None:
    documents = rendered(deployment("aws", "ecs", **ALONE[case]))
    made = documents["eject/service.json"]["Resources"]
    assert sorted(made) == ["Service", "TaskDefinition"]
    created, later = (documents[f"apply/service/{name}-service.json"] for name in ("2-create", "3-update"))
    assert as_called(made["TaskDefinition"]["Properties"]) == documents["apply/service/1-register-task-definition.json"]
    assert as_called(made["Service"]["Properties"]) == created
    assert created["serviceRegistries"] == [{"registryArn": "${Registry}"}] and "loadBalancers" not in created
    breaker = {"enable": True, "rollback": True}
    assert [one["deploymentConfiguration"]["deploymentCircuitBreaker"] for one in (created, later)] == [breaker, breaker]
    assert later["service"] == created["serviceName"] and later["taskDefinition"] == created["taskDefinition"]
    whole = documents["eject/template.json"]["Resources"]
    kinds = {one["Type"] for one in whole.values()}
    assert not any("LoadBalancing" in kind for kind in kinds)
    assert ("AWS::ServiceDiscovery::PrivateDnsNamespace" in kinds) == ("namespace" not in ALONE[case])
    (port,) = {one["FromPort"] for one in whole["TaskSecurityGroup"]["Properties"]["SecurityGroupIngress"]}
    assert port == 8080


@pytest.mark.parametrize(
    ("start_s", "period", "retries"), [(0.5, 1, 3), (60.0, 60, 3), (300.0, 300, 3), (355.0, 300, 6), (400.0, 300, 10)]
)
def test_a_task_asks_its_server_itself_for_as_long_as_a_start_may_take(start_s: float, period: int, retries: int) -> None:
    made = replace(deployment("aws", "ecs", balancer=False), startup_timeout_s=start_s, request_timeout_s=2.0)
    (container,) = rendered(made)["apply/service/1-register-task-definition.json"]["containerDefinitions"]
    assert container["healthCheck"] == {
        "command": ["CMD", "/proc/1/exe", "-s", "-P", "-m", "mlship.server", "health"],
        "interval": 10,
        "timeout": 10,
        "retries": retries,
        "startPeriod": period,
    }


@pytest.mark.parametrize(
    ("models", "answer_s", "timeout"), [(1, 2.0, 10), (1, 5.0, 13), (1, 30.0, 38), (3, 5.0, 23), (1, 300.0, 60)]
)
def test_a_task_may_take_as_long_for_its_samples_as_for_a_caller(models: int, answer_s: float, timeout: int) -> None:
    made = replace(deployment("aws", "ecs", balancer=False), request_timeout_s=answer_s)
    several = tuple(ServedModel(f"churn{number}", f"{number:064x}") for number in range(models))
    made = replace(made, release=replace(made.release, served=replace(made.release.served, models=several)))
    (container,) = rendered(made)["apply/service/1-register-task-definition.json"]["containerDefinitions"]
    assert container["healthCheck"]["timeout"] == timeout


def test_the_service_part_makes_no_role_no_network_and_no_policy() -> None:
    for case in CASES.values():
        made = rendered(deployment("aws", "ecs", **case))["eject/service.json"]["Resources"]
        assert {one["Type"] for one in made.values()} == {
            "AWS::ECS::TaskDefinition",
            "AWS::ECS::Service",
            "AWS::ElasticLoadBalancingV2::ListenerRule",
        }


def test_what_an_account_has_is_not_made() -> None:
    made = rendered(deployment("aws", "ecs", **FULL))["eject/foundation.json"]["Resources"]
    assert sorted(made) == ["LogGroup", "SlotA", "SlotB", "TargetGroupA", "TargetGroupB"]


def test_statements_name_their_actions_and_resources() -> None:
    """GetAuthorizationToken is the one action that AWS lets nobody narrow."""
    made = rendered(deployment("aws", "ecs"))["eject/foundation.json"]["Resources"]
    statements = [
        statement
        for one in made.values()
        for policy in one["Properties"].get("Policies", ())
        for statement in policy["PolicyDocument"]["Statement"]
    ]
    assert len(statements) == 3
    for statement in statements:
        assert not any("*" in action for action in statement["Action"])
        assert statement["Resource"] != "*" or statement["Action"] == ["ecr:GetAuthorizationToken"]


def test_a_value_of_the_user_that_looks_like_a_variable_stays_as_it_is() -> None:
    made = deployment("aws", "ecs")
    served = replace(made.release.served, env={"HOME_OF": "${Region}", "PORT": "1"})
    documents = rendered(replace(made, release=replace(made.release, served=served)))
    (container,) = documents["eject/template.json"]["Resources"]["TaskDefinition"]["Properties"]["ContainerDefinitions"]
    said = {one["Name"]: one["Value"] for one in container["Environment"]}
    assert (said["HOME_OF"], said["PORT"]) == ("${Region}", "8080")


def test_spot_stands_on_a_base_that_is_none() -> None:
    made = replace(deployment("aws", "ecs"), operating={"cost": {"profile": "spot", "on_demand_base": 2}})
    service = rendered(made)["apply/service/2-create-service.json"]
    assert service["capacityProviderStrategy"] == [
        {"capacityProvider": "FARGATE", "base": 2, "weight": 0},
        {"capacityProvider": "FARGATE_SPOT", "weight": 1},
    ]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"cpu": 64}, "Fargate has nothing of 64 vCPU 2 GiB; the largest is 16 vCPU 120 GiB"),
        ({"listener": "arn:x"}, "targets.aws.listener is one that others may use.*write targets.aws.hosts"),
        ({"roles": {"tasks": "x"}}, "ECS has no role tasks; name them task, execution and infrastructure"),
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(MlshipError, match=said):
        render(deployment("aws", **{"service": "ecs", **changes}))


@pytest.mark.parametrize(
    ("operating", "settings", "said"),
    [
        (
            {"scale": {"metric": "queue"}},
            {},
            "scale.metric queue is not possible with aws service ecs: only the servers know it, and AWS asks none of them; "
            "write scale.metric: concurrency",
        ),
        *(
            ({"scale": {"schedule": [{"cron": cron, "min": least}]}}, {}, wrong)
            for cron, least, wrong in (
                ("0 7 * *", 2, "scale.schedule 0 7 .*: it has five fields"),
                ("*/5 7 * * *", 2, "is none of .*; mend it"),
                ("0 7 1 * 1", 2, "a day of the month and one of the week; AWS takes only one"),
                ("0 7 * * *", 9, "scale.schedule has min 9, and scale.replicas is 1..4"),
            )
        ),
        ({"public": True}, {}, "public: true without TLS: the keys of callers would be read on their way; write .*certificate"),
        (
            {"public": True},
            {"certificate": CERTIFICATE, "hosts": ("churn.example.com",), "subnets": FULL["subnets"]},
            "a balancer for the internet needs public ones; name targets.aws.listener of an internet-facing balancer",
        ),
        ({}, {"certificate": CERTIFICATE}, "nothing says by which one callers come; write targets.aws.hosts"),
        (
            {},
            {"certificate": CERTIFICATE, **{name: FULL[name] for name in ("listener", "hosts")}},
            "targets.aws.listener names another; leave it out: the listener has its own",
        ),
    ],
)
def test_what_it_cannot_do_is_refused_and_not_left_out(operating: dict[str, Any], settings: dict[str, Any], said: str) -> None:
    made = deployment("aws", "ecs", replicas=(1, 4), **settings)
    with pytest.raises(FindingsError) as raised:
        render(replace(made, operating=operating))
    (finding,) = raised.value.findings
    assert re.search(said, str(finding))


@pytest.mark.parametrize("steps", [(0.1, 1.0), (0.25, 0.5, 0.75, 1.0), ()])
def test_what_ecs_moves_itself_is_the_same_for_cloudformation(steps: tuple[float, ...]) -> None:
    strategy = Strategy("canary" if steps else "blue-green", steps=steps, bake_s=300.0)
    files = render(replace(deployment("aws", "ecs"), strategy=strategy))
    documents = {name: json.loads(text) for name, text in files.items() if name.endswith(".json")}
    ready, later = (documents[f"apply/service/{number}-update-service.json"] for number in (4, 5))
    (held,) = later["deploymentConfiguration"].pop("lifecycleHooks")
    assert (held["targetType"], held["timeoutConfiguration"]["action"]) == ("PAUSE", "ROLLBACK")
    assert documents["apply/service/6-continue-service-deployment.json"]["action"] == "CONTINUE"
    first = documents["apply/service/2-create-service.json"]
    for name in ("template", "service"):
        placed = as_called(documents[f"eject/{name}.json"]["Resources"]["Service"]["Properties"])
        between = placed["loadBalancers"][0].pop("advancedConfiguration")
        wanted = dict(ready["loadBalancers"][0]["advancedConfiguration"])
        assert between.pop("productionListenerRule") == "${Callers}" and wanted.pop("productionListenerRule") == "${Rule}"
        assert str(between.pop("roleArn")).count("InfrastructureRole") == 1 == wanted.pop("roleArn").count("InfrastructureRole")
        assert between == wanted
        placed["networkConfiguration"] = first["networkConfiguration"]  # in one template it names the group itself
        names = placed["deploymentConfiguration"]["alarms"]["alarmNames"]
        placed["deploymentConfiguration"]["alarms"]["alarmNames"] = names[1:]  # the first release is in slot a
        assert placed == {**first, "deploymentConfiguration": later["deploymentConfiguration"]}
    resources = documents["eject/foundation.json"]["Resources"].values()
    alarms = [one["Properties"]["AlarmName"] for one in resources if one["Type"] == "AWS::CloudWatch::Alarm"]
    assert alarms == names == ["mlship-churn-a-errors", "mlship-churn-b-errors"]
    assert "service/6-*.json           ContinueServiceDeployment" in files["eject/README"].decode()


def test_scaled_tasks_are_no_part_of_the_stack() -> None:
    """A change of the stack would set back what autoscaling has made of them."""
    made = replace(deployment("aws", "ecs", replicas=(2, 8)), operating={"scale": {"metric": "cpu"}})
    documents = rendered(made)
    whole = documents["eject/template.json"]["Resources"]
    assert "DesiredCount" not in whole["Service"]["Properties"]
    assert documents["apply/service/2-create-service.json"]["desiredCount"] == 2
    for resource, file in (("Scaling", "4-register-scalable-target"), ("ScalingPolicy", "5-put-scaling-policy")):
        said = documents[f"apply/service/{file}.json"]
        said.pop("Tags", None)
        assert whole[resource]["Properties"] == said
    tracked = whole["ScalingPolicy"]["Properties"]["TargetTrackingScalingPolicyConfiguration"]
    assert tracked["PredefinedMetricSpecification"] == {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"}
    assert (tracked["TargetValue"], tracked["ScaleInCooldown"]) == (70.0, 300)


def test_floors_are_the_same_for_cloudformation() -> None:
    floors = [{"cron": "0 7 * * 1-5", "min": 3}, {"cron": "0 19 1,15 * *", "min": 2}]
    made = replace(deployment("aws", "ecs", replicas=(2, 8)), operating={"scale": {"schedule": floors}})
    documents = rendered(made)
    own = ("ScheduledActionName", "Schedule", "Timezone", "ScalableTargetAction")
    said = [documents[f"apply/service/{number}-put-scheduled-action.json"] for number in (6, 7)]
    assert documents["eject/template.json"]["Resources"]["Scaling"]["Properties"]["ScheduledActions"] == [
        {key: one[key] for key in own} for one in said
    ]
    assert [one["Schedule"] for one in said] == ["cron(0 7 ? * MON-FRI *)", "cron(0 19 1,15 * ? *)"]


def test_requests_at_once_are_their_rate_times_what_each_takes() -> None:
    made = replace(
        deployment("aws", "ecs", replicas=(2, 8)), operating={"scale": {"metric": "concurrency", "per_replica": 4.0}}
    )
    policy = rendered(made)["apply/service/5-put-scaling-policy.json"]["TargetTrackingScalingPolicyConfiguration"]
    requests, seconds, product = policy["CustomizedMetricSpecification"]["Metrics"]
    assert (policy["TargetValue"], product["Expression"]) == (4.0, "FILL(requests, 0) * FILL(seconds, 0) / 60")
    assert [(one["MetricStat"]["Metric"]["MetricName"], one["MetricStat"]["Stat"]) for one in (requests, seconds)] == [
        ("RequestCountPerTarget", "Sum"),
        ("TargetResponseTime", "Average"),
    ]


def test_a_public_balancer_speaks_tls_and_sends_everybody_there() -> None:
    said = {"certificate": CERTIFICATE, "hosts": ("churn.example.com",)}
    made = rendered(replace(deployment("aws", "ecs", **said), operating={"public": True, "auth": True}))
    whole = made["eject/template.json"]["Resources"]
    assert whole["Balancer"]["Properties"]["Scheme"] == "internet-facing"
    listener, redirect = whole["Listener"]["Properties"], whole["Redirect"]["Properties"]
    assert (listener["Port"], listener["Certificates"]) == (443, [{"CertificateArn": CERTIFICATE}])
    assert redirect["DefaultActions"][0]["RedirectConfig"] == {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}
    ports = [one["FromPort"] for one in whole["BalancerSecurityGroup"]["Properties"]["SecurityGroupIngress"]]
    assert ports == [80, 443]


def test_a_task_reads_its_secrets_by_version_and_its_role_may_read_exactly_those() -> None:
    served = deployment("aws", "ecs").release.served
    version = "arn:aws:secretsmanager:us-east-1:123456789012:secret:churn/keys-AbCdEf:::0a1b2c"
    release = replace(deployment("aws", "ecs").release, served=replace(served, secrets={"CHURN_KEYS": version}))
    references = {"CHURN_KEYS": "secretsmanager:churn/keys"}
    made = replace(deployment("aws", "ecs"), release=release, references=references, operating={"auth": True})
    documents = rendered(made)
    (container,) = documents["apply/service/1-register-task-definition.json"]["containerDefinitions"]
    assert container["secrets"] == [
        {"name": "CHURN_KEYS", "valueFrom": version},
        {"name": "MLSHIP_OPERATOR_KEY", "valueFrom": "${OperatorKey}"},
    ]
    role = documents["eject/foundation.json"]["Resources"]["ExecutionRole"]["Properties"]
    read = role["Policies"][0]["PolicyDocument"]["Statement"][-1]
    assert read["Action"] == ["secretsmanager:GetSecretValue"]
    assert read["Resource"] == [
        {"Fn::Sub": "arn:${AWS::Partition}:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:churn/keys-??????"},
        {"Ref": "OperatorKey"},
    ]


def test_the_root_file_system_is_read_only_beside_a_folder_for_files() -> None:
    (container,) = rendered(deployment("aws", "ecs"))["apply/service/1-register-task-definition.json"]["containerDefinitions"]
    assert container["readonlyRootFilesystem"] is True
    assert [one["containerPath"] for one in container["linuxParameters"]["tmpfs"]] == ["/tmp"]


def test_the_readme_names_every_parameter() -> None:
    for case in CASES.values():
        documents = render(deployment("aws", "ecs", **case))
        asked = json.loads(documents["eject/template.json"])["Parameters"]
        (line,) = [line for line in documents["eject/README"].decode().splitlines() if "--parameter-overrides" in line]
        assert re.findall(r"(\w+)=", line) == list(asked)
        assert "deploy --region us-east-1 --template-file" in documents["eject/README"].decode()


def test_names_tell_projects_and_environments_apart() -> None:
    assert Scope("churn", "prod").stem == "mlship-churn--prod" != Scope("churn-prod").stem
    with pytest.raises(MlshipError, match="churn--prod has two dashes in a row"):
        Scope("churn--prod")
    longest = Scope("a" * 40, "b" * 20)
    assert longest.short("a") != Scope("a" * 40, "c" * 20).short("a")
    assert "--" not in Scope("churn", "prod").short("a")  # no target group is called so
    assert max(len(longest.short(end)) for end in ("a", "b", "lb")) <= 32
    assert longest.release_of(longest.family("r1-7f3a9c")) == "r1-7f3a9c"
    assert longest.release_of(Scope("churn").family("r1-7f3a9c")) == ""


def test_a_part_is_chosen_by_name() -> None:
    documents = render(deployment("aws", "ecs"))
    assert sorted(of_part(documents, "foundation", "aws")) == ["apply/foundation/template.json", "eject/foundation.json"]
    assert [name.split("/")[0] for name in sorted(of_part(documents, "service", "aws"))] == ["apply", "apply", "apply", "eject"]
    assert of_part(documents, "", "aws") == documents
    with pytest.raises(MlshipError, match="what is rendered for docker has no part foundation; leave --part out"):
        of_part({"apply/service.json": b"", "eject/compose.json": b""}, "foundation", "docker")
