"""What of SageMaker's endpoints is decided without AWS: who moves the callers, names, bodies, refusals, what an answer says."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import Any

import pytest
from aws_door import FakeDoor
from cloud_deployment import deployment

from mlship.errors import Exit, FindingsError
from mlship.releases.release import ServedModel
from mlship.targets.aws.door import refusal
from mlship.targets.aws.given import given
from mlship.targets.aws.sagemaker import preflight, releasing, scaling, seen, unbuilt
from mlship.targets.aws.sagemaker.asking import ask
from mlship.targets.aws.sagemaker.measuring import measured
from mlship.targets.aws.sagemaker.names import Names
from mlship.targets.aws.sagemaker.rendering import render
from mlship.targets.aws.sagemaker.seen import Endpoint, Variant
from mlship.targets.aws.sagemaker.traffic import by_weights, policy
from mlship.targets.aws.scope import Scope
from mlship.targets.base import Deployment, Request, Strategy

CANARY = Strategy("canary", steps=(0.25, 1.0), bake_s=300)


def made(**changes: Any) -> Deployment:
    return deployment("aws", "sagemaker", **{"instance": "ml.m5.large", **changes})


def shifted(strategy: Strategy, replicas: tuple[int, int] = (4, 4)) -> Deployment:
    return replace(made(replicas=replicas), strategy=strategy)


@pytest.mark.parametrize(
    ("strategy", "replicas"),
    [
        (CANARY, (1, 1)),  # a quarter of a machine
        (CANARY, (4, 8)),  # nobody knows of how many
        (replace(CANARY, steps=(0.75, 1.0)), (4, 4)),  # a canary is at most half
        (replace(CANARY, steps=(0.25, 0.75, 1.0)), (4, 4)),
        (replace(CANARY, gates=("p95_ms < 40",)), (4, 4)),  # inconclusive gates pause
        (replace(CANARY, approve="manual"), (4, 4)),
        (replace(CANARY, on_fail="pause"), (4, 4)),
        (replace(CANARY, bake_s=7200), (4, 4)),
        (Strategy("blue-green", bake_s=600, approve="manual"), (4, 4)),
    ],
)
def test_what_sagemaker_cannot_hold_or_divide_goes_by_weights(strategy: Strategy, replicas: tuple[int, int]) -> None:
    assert by_weights(shifted(strategy, replicas))
    assert policy(shifted(strategy, replicas))["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]["Type"] == "ALL_AT_ONCE"


@pytest.mark.parametrize(
    ("strategy", "kind"),
    [
        (CANARY, "CANARY"),
        (replace(CANARY, gates=("prediction_change < 10%",)), "CANARY"),
        (replace(CANARY, steps=(0.5, 1.0)), "CANARY"),
        (replace(CANARY, steps=(0.25, 0.5, 0.75, 1.0)), "LINEAR"),
        (Strategy("blue-green", bake_s=600), "ALL_AT_ONCE"),
        (Strategy(approve="manual"), "ALL_AT_ONCE"),
    ],
)
def test_one_share_and_equal_shares_are_sagemakers_own(strategy: Strategy, kind: str) -> None:
    assert not by_weights(shifted(strategy))
    told = policy(shifted(strategy))["BlueGreenUpdatePolicy"]
    assert told["TrafficRoutingConfiguration"]["Type"] == kind
    assert told["MaximumExecutionTimeoutInSeconds"] > strategy.bake_s * max(len(strategy.steps), 1)


def test_rolling_needs_two_machines() -> None:
    rolling = Strategy("rolling", bake_s=60)
    assert policy(shifted(rolling))["RollingUpdatePolicy"]["MaximumBatchSize"] == {"Type": "INSTANCE_COUNT", "Value": 1}
    assert "BlueGreenUpdatePolicy" in policy(shifted(rolling, (1, 1)))
    (note,) = unbuilt.findings(shifted(rolling, (1, 1)))
    assert note.severity == "note" and note.what.startswith("rolling takes two machines")


def test_names_fit_and_tell_their_release_and_no_other_project_s() -> None:
    churn, long = Names(Scope("churn", "prod")), Names(Scope("a" * 40, "b" * 40))
    name = churn.config("r12-7f3a9c", "a", ["said"])
    assert name.startswith("mlship-churn--prod---r12-7f3a9c-a-")
    assert (churn.release_of(name), churn.kind_of(name)) == ("r12-7f3a9c", "a")
    assert churn.release_of(churn.model("r12-7f3a9c", [])) == "r12-7f3a9c"
    for other in (Names(Scope("churn")), Names(Scope("churn", "prod-2"))):
        assert other.release_of(name) == ""
    assert len(long.config("r123456-7f3a9c", "check", [])) <= 63 and len(long.check) <= 63
    assert long.base != Names(Scope("a" * 40, "b" * 39 + "c")).base


def test_a_configuration_is_called_after_what_it_says_but_the_number_of_machines() -> None:
    has = given(made())
    assert releasing.alone(made(), has, "a").name == releasing.alone(made(replicas=(3, 3)), has, "a").name
    assert releasing.alone(made(), has, "a").name != releasing.alone(made(instance="ml.m5.xlarge"), has, "a").name


def test_types_with_storage_of_their_own_get_no_key() -> None:
    key = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    for instance, has_key in (("ml.m5.large", True), ("ml.c7g.large", True), ("ml.m5d.large", False), ("ml.g5.xlarge", False)):
        one = made(instance=instance, kms_key=key)
        assert ("KmsKeyId" in releasing.alone(one, given(one), "a").config) is has_key, instance


def test_the_type_of_the_machines_tells_their_processors() -> None:
    kinds = {"ml.m5.large": "x86_64", "ml.c7g.large": "arm64", "ml.r6gd.large": "arm64", "ml.g5.xlarge": "x86_64"}
    assert {name: releasing.architecture(made(instance=name)) for name in kinds} == kinds
    (finding,) = unbuilt.findings(made(instance="ml.c7g.large"))
    assert finding.what == "ml.c7g.large runs images of linux/arm64, and build.platforms has another one"


def served(**changes: Any) -> Deployment:
    one = made()
    return replace(one, release=replace(one.release, served=replace(one.release.served, **changes)))


def scheduled(floor: dict[str, Any], replicas: tuple[int, int]) -> Deployment:
    return replace(made(replicas=replicas), operating={"scale": {"metric": "cpu", "schedule": [floor]}})


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (served(serving={"auth": {"api_keys": "K"}}), "serve.auth is not possible"),
        (served(secrets={"KEY": "1"}), "secrets are not possible"),
        (served(serving={"protocols": ["native"]}), "serve.protocols is without sagemaker"),
        (
            served(models=(ServedModel("churn", ""), ServedModel("fraud", "")), serving={"invocations": "mlflow"}),
            "serve.invocations mlflow answers with the first model alone",
        ),
        (served(env={"LONG": "x" * 1025}), "env.LONG has 1025 characters, and SageMaker takes 1024"),
        (served(env={f"V{number}": "" for number in range(98)}), "env has 98 entries, and SageMaker takes 97"),
        (replace(made(), operating={"public": True}), "public is not possible"),
        (replace(made(), request_timeout_s=90.0), "serve.request_timeout 90 s is longer than SageMaker waits (60 s)"),
        (
            replace(made(), startup_timeout_s=7200.0),
            "serve.startup_timeout 7200 s is longer than SageMaker waits for a start (3540",
        ),
        (replace(made(replicas=(1, 2)), operating={"scale": {"metric": "queue"}}), "scale.metric queue is not possible"),
        (scheduled({"cron": "0 7 * * *", "min": 9}, (2, 8)), "scale.schedule has min 9, and scale.replicas is 2..8"),
        (replace(made(), strategy=Strategy("recreate")), "rollout.strategy recreate is not possible"),
        (made(cluster="ml"), "targets.aws.cluster means nothing"),
        (made(certificate="arn"), "targets.aws.certificate means nothing"),
        (made(roles={"execution": "e", "infrastructure": "x"}), "SageMaker has one role: execution"),
        (made(roles={"task": "x"}), "SageMaker has one role: execution"),
        (made(security_groups=("sg-1",)), "targets.aws.security_groups are of a network, and no subnet is named"),
    ],
)
def test_what_cannot_be_is_said_by_name_and_not_rendered(asked: Deployment, said: str) -> None:
    (finding,) = unbuilt.findings(asked)
    assert finding.what.startswith(said) and finding.fix
    with pytest.raises(FindingsError):
        render(asked)


def test_processors_at_work_are_counted_as_sagemaker_counts_them() -> None:
    machines = {
        "ml.m5.large": 2,
        "ml.c7g.xlarge": 4,
        "ml.g5.12xlarge": 48,
        "ml.c8g.medium": 1,
        "ml.t2.medium": 2,
        "ml.t2.2xlarge": 8,
    }
    assert {name: releasing.vcpus(made(instance=name)) for name in machines} == machines
    one = replace(made(instance="ml.c7g.xlarge", replicas=(2, 8)), operating={"scale": {"metric": "cpu", "per_replica": 60}})
    tracked = scaling.policy(one, Names(Scope("churn")), "b")["TargetTrackingScalingPolicyConfiguration"]
    assert tracked["TargetValue"] == 240 and tracked["CustomizedMetricSpecification"]["MetricName"] == "CPUUtilization"


def test_a_schedule_s_floors_are_the_same_for_cloudformation() -> None:
    documents = {
        name: json.loads(text)
        for name, text in render(scheduled({"cron": "0 7 * * 1-5", "min": 3}, (2, 8))).items()
        if name.endswith("json")
    }
    sent = documents["apply/service/5-put-scheduled-action-1.json"]
    assert (sent["Schedule"], sent["ScalableTargetAction"]) == ("cron(0 7 ? * MON-FRI *)", {"MinCapacity": 3})
    (made_by_stack,) = documents["eject/template.json"]["Resources"]["ScalableTarget"]["Properties"]["ScheduledActions"]
    assert made_by_stack.items() <= sent.items()


def test_an_update_needs_its_machines_twice() -> None:
    assert preflight.machines_needed(shifted(Strategy()), is_first=True) == 4
    assert preflight.machines_needed(shifted(Strategy()), is_first=False) == 9, (
        "those that serve, the new ones, and one that is asked"
    )
    assert preflight.machines_needed(shifted(replace(CANARY, approve="manual")), is_first=False) == 12


def invoked(**told: Any) -> FakeDoor:
    return FakeDoor({"sagemaker-runtime invoke_endpoint": told})


def test_a_prediction_says_which_release_answered() -> None:
    door = invoked(Body=io.BytesIO(b"{}"), ContentType="application/json", CustomAttributes="trace=1,mlship-release=r2-aaaaaa")
    answer = ask(door, "mlship-churn", "b", Request("POST", "/predict", b"[[1]]"))
    assert (answer.status, answer.headers["x-mlship-release"]) == (200, "r2-aaaaaa")
    assert door.asked[0][1]["TargetVariant"] == "b" and door.asked[0][1]["Body"] == b"[[1]]"
    assert "CustomAttributes" not in door.asked[0][1]
    second = invoked(Body=io.BytesIO(b"{}"), ContentType="application/json")
    ask(second, "mlship-churn", "", Request("POST", "/predict/fraud", b"[[1]]"))
    assert second.asked[0][1]["CustomAttributes"] == "mlship-model=fraud", "of several models"


def test_a_server_that_is_not_ready_is_told_by_its_own_word() -> None:
    for said, status in ((b'{"ready": true}', 200), (b'{"ready": false}', 503), (b"<html>", 503)):
        door = invoked(Body=io.BytesIO(said), ContentType="application/json")
        assert ask(door, "mlship-churn", "", Request("GET", "/readyz")).status == status
        assert door.asked[0][1]["Body"] == b'{"mlship": "release"}'


def test_a_refusal_of_the_server_keeps_its_status_and_another_path_is_not_asked() -> None:
    class Door(FakeDoor):
        def call(self, service: str, operation: str, /, **said: Any) -> dict[str, Any]:
            no = refusal("sagemaker-runtime invoke-endpoint", {"Code": "ModelError", "Message": "no"})
            no.answer = {"OriginalStatusCode": 422, "OriginalMessage": '{"error": "row 1"}'}
            raise no

    answer = ask(Door(), "mlship-churn", "", Request("POST", "/predict", b"[]"))
    assert (answer.status, answer.body) == (422, b'{"error": "row 1"}')
    assert ask(FakeDoor(), "mlship-churn", "", Request("GET", "/metrics")).status == 404
    away = ask(FakeDoor({"sagemaker-runtime invoke_endpoint": "ValidationError"}), "x", "", Request("GET", "/livez"))
    assert away.status == 0 and b"ValidationError" in away.body


def test_counts_of_a_variant_are_its_releases() -> None:
    values = {"requests": [70.0, 30.0], "errors": [1.0], "answered": [99.0], "latency": [2_000_000.0], "within50000": [90.0]}

    def told(**said: Any) -> dict[str, Any]:
        asked = [query["Id"] for query in said["MetricDataQueries"]]
        assert said["EndTime"] > said["StartTime"] and len(asked) == len(set(asked))
        return {"MetricDataResults": [{"Id": name, "Values": values.get(name, [])} for name in asked]}

    end = Endpoint("mlship-churn", "", "InService", "c", (Variant("b", "r2-aaaaaa", 1, 1, 1.0),), since=1_800_000_000.0)
    found = measured(FakeDoor({"cloudwatch get_metric_data": told}), end, 1_800_000_600.0)["r2-aaaaaa"]
    assert (found.requests, found.errors, found.seconds) == (100.0, 1.0, 2.0)
    assert found.buckets[0.05] == 90.0 and found.buckets[float("inf")] == 99.0


def test_an_endpoint_that_never_came_up_is_seen_with_the_release_that_it_was_for() -> None:
    names = Names(Scope("churn"))
    config = {
        "ProductionVariants": [{"VariantName": "a", "ModelName": names.model("r1-aaaaaa", []), "InitialInstanceCount": 1}]
    }
    told = {
        "EndpointName": "mlship-churn",
        "EndpointArn": "arn",
        "EndpointStatus": "Failed",
        "EndpointConfigName": "c",
        "FailureReason": "no ping",
    }
    door = FakeDoor({"sagemaker describe_endpoint": told, "sagemaker describe_endpoint_config": config})
    found = seen.endpoint(door, names, "mlship-churn")
    assert found is not None and found.of("r1-aaaaaa") is not None and found.reason == "no ping"
    (replica,) = seen.replicas(seen.Seen({}, found))
    assert (replica.release, replica.ready, replica.staged, replica.detail) == (
        "r1-aaaaaa",
        False,
        True,
        "failed, 0 of 0 machines",
    )
    assert seen.endpoint(FakeDoor({"sagemaker describe_endpoint": "ValidationException"}), names, "mlship-churn") is None


def test_a_quota_that_nobody_may_look_at_refuses_nothing() -> None:
    door = FakeDoor({"service-quotas list_service_quotas": "AccessDeniedException"})
    assert list(preflight.quota(door, made(), None)) == []
    assert refusal("x", {"Code": "ResourceLimitExceeded"}).exit is Exit.DENIED
