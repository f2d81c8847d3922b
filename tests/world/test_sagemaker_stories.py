"""Stories of SageMaker's endpoints: updates set back without a word, its own shifting, a company's account, killed and refused commands."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("moto", reason="no moto: pip install 'moto[server]'")
sys.path.insert(0, str(Path(__file__).parents[1] / "targets"))

from contract import CANARY, carry_out, deploy, give_up, go_on, live_id, paused_canary, roll_back, wanted
from sagemaker_account import INSTANCE, SagemakerAccount, SagemakerDoor, SagemakerService
from sagemaker_parts import ACCOUNT, REGION, moto_and_registry

from mlship.errors import Exit, MlshipError
from mlship.targets.aws.door import BotoDoor, refusal
from mlship.targets.aws.sagemaker.rendering import render
from mlship.targets.aws.sagemaker.target import SagemakerTarget
from mlship.targets.base import Action, Strategy
from mlship.targets.plan import plan
from mlship.targets.rollout import Paused

pytestmark = pytest.mark.world
CLIENTS: dict[str, Any] = {}
DOOR = BotoDoor(REGION)
READS = ("describe", "list", "get", "head", "batch_get", "filter", "invoke")
ONE_SHARE = Strategy("canary", steps=(0.25, 1.0))
EQUAL_SHARES = Strategy("canary", steps=(0.25, 0.5, 0.75, 1.0))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    with moto_and_registry(tmp_path_factory.mktemp("sagemaker")) as environ:
        yield environ


@pytest.fixture
def account(running: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> SagemakerAccount:
    for name, text in running.items():
        monkeypatch.setenv(name, text)
    found = SagemakerAccount(running, clients=CLIENTS, door=DOOR)
    found.reset()
    return found


class Through:
    """A target whose door is another one."""

    def __init__(self, service: SagemakerService, door: Any) -> None:
        self._service, self._door = service, door

    def __getattr__(self, name: str) -> Any:
        return getattr(self._service, name)

    def open(self) -> SagemakerTarget:
        return self._service.open(self._door)


class Denied:
    """An identity that may not make roles, networks and stacks."""

    def __init__(self, inner: SagemakerDoor) -> None:
        self._inner, self.region, self.account = inner, inner.region, inner.account

    def call(self, service: str, operation: str, /, **said: Any) -> dict[str, Any]:
        may_not = service in ("ec2", "cloudformation") and not operation.startswith(READS)
        if may_not or service == "iam":
            raise refusal(f"{service} {operation}", {"Code": "AccessDenied", "Message": "not you"})
        return self._inner.call(service, operation, **said)

    def all(self, service: str, operation: str, key: str, /, **said: Any) -> list[Any]:
        return self._inner.all(service, operation, key, **said)


class Killed(BaseException):
    """SIGKILL: nothing of the command runs any more."""


class Mortal:
    """Dies right after its n-th change of the world, and does nothing more then, not even what gives the lease back."""

    def __init__(self, inner: SagemakerDoor, at: int) -> None:
        self._inner, self.region, self.account, self._at = inner, inner.region, inner.account, at
        self.changed = 0

    def call(self, service: str, operation: str, /, **said: Any) -> dict[str, Any]:
        if self.changed > self._at:
            raise Killed
        answer = self._inner.call(service, operation, **said)
        if not operation.startswith(READS):
            self.changed += 1
            if self.changed > self._at:
                raise Killed
        return answer

    def all(self, service: str, operation: str, key: str, /, **said: Any) -> list[Any]:
        if self.changed > self._at:
            raise Killed
        return self._inner.all(service, operation, key, **said)


class Busy:
    """Throttled at every third look at the endpoint, for longer than the SDK tries again."""

    def __init__(self, inner: SagemakerDoor) -> None:
        self._inner, self.region, self.account, self.looks = inner, inner.region, inner.account, 0

    def call(self, service: str, operation: str, /, **said: Any) -> dict[str, Any]:
        self.looks += operation == "describe_endpoint"
        updating = any(one.status in ("Updating", "Creating") for one in self._inner.world.endpoints.values())
        if operation == "describe_endpoint" and updating and self.looks % 3 == 0:
            raise refusal("sagemaker describe-endpoint", {"Code": "ThrottlingException", "Message": "Rate exceeded"})
        return self._inner.call(service, operation, **said)

    def all(self, service: str, operation: str, key: str, /, **said: Any) -> list[Any]:
        return self._inner.all(service, operation, key, **said)


class DiesAfter(Mortal):
    """After its first call of that name."""

    def __init__(self, inner: SagemakerDoor, operation: str) -> None:
        super().__init__(inner, sys.maxsize)
        self._last = operation

    def call(self, service: str, operation: str, /, **said: Any) -> dict[str, Any]:
        answer = super().call(service, operation, **said)
        if operation == self._last:
            self._at = -1
            raise Killed
        return answer


def updates(account: SagemakerAccount) -> list[dict[str, Any]]:
    return [said for operation, said in account.sent if operation == "update_endpoint"]


def only(account: SagemakerAccount, release: str) -> None:
    """One endpoint, one variant, that release, all callers."""
    (one,) = account.endpoints.values()
    assert [(variant.release, variant.weight) for variant in one.variants] == [(release, 1.0)]


def test_an_update_that_sagemaker_sets_back_without_a_word_is_noticed(tmp_path: Path, account: SagemakerAccount) -> None:
    service = SagemakerService(tmp_path, account)
    first = deploy(service, 1).history.live
    target = service.open()
    decided = plan("deploy", wanted(service, target, 2), target.observe())
    release = decided.deployment.release.id
    for action in decided.actions[:2]:
        assert target.apply(action, decided.deployment).ok
    account.set_back = {name for name in (f"mlship-churn---{release}-a-",) for name in _names(account, name, decided)}
    with pytest.raises(MlshipError, match="SageMaker set mlship-churn back") as failed:
        carry_out(service.open(), plan("deploy", decided.deployment, service.open().observe()))
    assert failed.value.exit is Exit.VERIFY_FAILED
    assert f"{first} serves as before" in str(failed.value)
    assert account.endpoints["mlship-churn"].status == "InService", "that is all that its status says"
    assert live_id(service) == first
    only(account, first)


def _names(account: SagemakerAccount, start: str, decided: Any) -> list[str]:
    """The configuration that the shift will want."""
    from mlship.targets.aws.given import given
    from mlship.targets.aws.sagemaker import releasing

    name = releasing.alone(decided.deployment, given(decided.deployment), "a").name
    assert name.startswith(start)
    return [name]


@pytest.mark.parametrize(
    ("strategy", "routing"),
    [
        (ONE_SHARE, {"Type": "CANARY", "WaitIntervalInSeconds": 0, "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 25}}),
        (
            EQUAL_SHARES,
            {"Type": "LINEAR", "WaitIntervalInSeconds": 0, "LinearStepSize": {"Type": "CAPACITY_PERCENT", "Value": 25}},
        ),
    ],
)
def test_steps_that_are_one_share_or_equal_shares_are_sagemakers_own(
    tmp_path: Path, account: SagemakerAccount, strategy: Strategy, routing: dict[str, Any]
) -> None:
    service = SagemakerService(tmp_path, account)
    deploy(service, 1, replicas=(4, 4))
    second = deploy(service, 2, replicas=(4, 4), strategy=strategy).history.live
    (update,) = updates(account)
    assert update["DeploymentConfig"]["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"] == routing
    assert update["DeploymentConfig"]["AutoRollbackConfiguration"] == {"Alarms": [{"AlarmName": "mlship-churn---a-errors"}]}
    assert live_id(service) == second
    only(account, second)


def test_an_alarm_takes_a_canary_of_sagemakers_own_back(tmp_path: Path, account: SagemakerAccount) -> None:
    service = SagemakerService(tmp_path, account)
    first = deploy(service, 1, replicas=(4, 4)).history.live
    account.client("cloudwatch").set_alarm_state(
        AlarmName="mlship-churn---a-errors", StateValue="ALARM", StateReason="callers got 5xx"
    )
    with pytest.raises(MlshipError, match="SageMaker set mlship-churn back") as failed:
        deploy(service, 2, replicas=(4, 4), strategy=ONE_SHARE)
    assert failed.value.exit is Exit.VERIFY_FAILED
    observed = service.open().observe()
    assert observed.history is not None and observed.history.live == first == live_id(service)
    assert len(observed.history.rejected) == 1
    only(account, first)


def test_a_canary_of_sagemakers_own_that_is_left_alone_is_taken_back_from_another_machine(
    tmp_path: Path, account: SagemakerAccount
) -> None:
    here, there = (SagemakerService(tmp_path / name, account) for name in ("here", "there"))
    first = deploy(here, 1, replicas=(4, 4)).history.live
    with pytest.raises(Killed):
        deploy(Through(here, DiesAfter(SagemakerDoor(account), "update_endpoint")), 2, replicas=(4, 4), strategy=ONE_SHARE)
    give_lease_back(account)
    assert account.endpoints["mlship-churn"].status == "Updating", "SageMaker goes on with it alone"
    assert give_up(there, "nobody likes it").history.live == first == live_id(there)
    only(account, first)
    assert account.endpoints["mlship-churn"].config.startswith(f"mlship-churn---{first}-a-")
    assert len(updates(account)) == 1, "SageMaker itself went back"
    third = deploy(there, 3, replicas=(4, 4), strategy=ONE_SHARE).history.live
    only(account, third)


def test_looks_that_are_throttled_while_an_endpoint_comes_up_end_nothing(tmp_path: Path, account: SagemakerAccount) -> None:
    service = SagemakerService(tmp_path, account)
    door = Busy(SagemakerDoor(account))
    first, second = (deploy(Through(service, door), version).history.live for version in (1, 2))
    assert first != second == live_id(service)
    assert door.looks > 10


def test_a_canary_whose_measured_gate_fails_goes_back_by_weights(tmp_path: Path, account: SagemakerAccount) -> None:
    service = SagemakerService(tmp_path, account)
    first = deploy(service, 1).history.live
    account.counts = {"b": {"requests": 100.0, "errors": 9.0, "answered": 100.0}}
    strategy = replace(CANARY, approve="auto", gates=("error_rate < 1%",), min_requests=50)
    with pytest.raises(MlshipError, match="error_rate is 9 %") as failed:
        deploy(service, 2, strategy=strategy)
    assert failed.value.exit is Exit.VERIFY_FAILED
    assert live_id(service) == first
    only(account, first)
    weights = [said for operation, said in account.sent if operation == "update_endpoint_weights_and_capacities"]
    assert [one["DesiredWeight"] for one in weights[-1]["DesiredWeightsAndCapacities"]] == [1.0, 0.0]


def test_a_second_machine_with_an_empty_disk_rolls_back_with_one_update(tmp_path: Path, account: SagemakerAccount) -> None:
    here = SagemakerService(tmp_path / "here", account, environment="prod")
    first = deploy(here, 1).history.live
    second = deploy(here, 2).history.live
    there = SagemakerService(tmp_path / "there", account, environment="prod")
    observed = there.open().observe()
    assert observed.history is not None and observed.history.live == second
    account.sent.clear()
    assert roll_back(there).history.live == first == live_id(here)
    changes = [operation for operation, _ in account.sent if not operation.startswith(READS)]
    assert changes == ["update_endpoint"]
    only(account, first)


def test_an_identity_that_may_make_nothing_deploys_into_what_a_company_has(tmp_path: Path, account: SagemakerAccount) -> None:
    ec2 = account.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.1.0.0/24")["Subnet"]["SubnetId"]
    group = ec2.create_security_group(GroupName="machines", Description="machines", VpcId=vpc)["GroupId"]
    account.client("ecr").create_repository(repositoryName="team/churn")
    account.client("s3").create_bucket(Bucket="acme-mlship")
    given: dict[str, Any] = {
        "subnets": (subnet,),
        "security_groups": (group,),
        "roles": {"execution": "churn-start"},
        "repository": "team/churn",
        "bucket": "acme-mlship",
        "account": ACCOUNT,
    }
    service = SagemakerService(tmp_path, account, **given)
    template = render(service.deployment(1))["eject/foundation.json"].decode()
    kinds = {one["Type"] for one in json.loads(template)["Resources"].values()}
    assert kinds == {"AWS::Logs::LogGroup", "AWS::CloudWatch::Alarm"}, "no role, no network"
    account.client("cloudformation").create_stack(StackName="mlship-churn", TemplateBody=template)
    for alarm in json.loads(template)["Resources"].values():
        if alarm["Type"] == "AWS::CloudWatch::Alarm":
            account.client("cloudwatch").put_metric_alarm(**alarm["Properties"])
    allowed = Through(service, Denied(SagemakerDoor(account)))
    first, second = (deploy(allowed, version).history.live for version in (1, 2))
    assert first != second == live_id(allowed)
    assert roll_back(allowed).history.live == first
    (model, _) = account.client("sagemaker").list_models()["Models"]
    told = account.client("sagemaker").describe_model(ModelName=model["ModelName"])
    assert told["VpcConfig"] == {"Subnets": [subnet], "SecurityGroupIds": [group]}
    assert told["ExecutionRoleArn"] == f"arn:aws:iam::{ACCOUNT}:role/churn-start"


def test_an_endpoint_of_somebody_else_is_neither_changed_nor_taken_away(tmp_path: Path, account: SagemakerAccount) -> None:
    service = SagemakerService(tmp_path, account)
    first = deploy(service, 1).history.live
    (one,) = account.endpoints.values()
    account.client("sagemaker").delete_tags(ResourceArn=one.arn, TagKeys=["mlship.project"])
    with pytest.raises(MlshipError, match="the endpoint mlship-churn is there already, and not mlship's: it is not tagged"):
        deploy(service, 2)
    gone = service.open().apply(Action("destroy"), None)
    assert not gone.ok and "not mlship's" in gone.cause
    only(account, first)


def test_a_quota_that_is_too_small_is_said_before_and_leaves_what_serves(tmp_path: Path, account: SagemakerAccount) -> None:
    service = SagemakerService(tmp_path, account)
    first = deploy(service, 1, replicas=(2, 2)).history.live
    account.quota = 3
    wanted_too_many = replace(service.deployment(2), replicas=(2, 2))
    said = [finding.what for finding in service.open().preflight(wanted_too_many) if finding.code == "quota"]
    assert said == [
        f"a release takes 5 machines while it takes over, and this account may have 3 {INSTANCE} for endpoint usage"
    ]
    with pytest.raises(MlshipError, match="ResourceLimitExceeded"):
        deploy(service, 2, replicas=(2, 2))
    observed = service.open().observe()
    assert observed.history is not None and observed.history.live == first == live_id(service)
    assert observed.history.rejected == {}, "that is not the release's fault"
    only(account, first)


def test_credentials_of_another_account_change_nothing(tmp_path: Path, account: SagemakerAccount) -> None:
    service = SagemakerService(tmp_path, account, account="999999999999")
    deployment = service.deployment(1)
    with pytest.raises(MlshipError, match="of the account 123456789012") as no:
        service.open().preflight(deployment)
    assert no.value.exit is Exit.DENIED
    outcome = service.open().apply(Action("deliver", deployment.release.id), deployment)
    assert not outcome.ok and outcome.fault == "target"
    assert service.left() == []


def test_autoscaling_is_changed_in_place_and_stays_through_releases(tmp_path: Path, account: SagemakerAccount) -> None:
    service = SagemakerService(tmp_path, account)
    first = deploy(service, 1, replicas=(1, 3)).history.live
    assert bounds(account) == {"endpoint/mlship-churn/variant/a": (1, 3)}
    again = {"labels": {}, "settings": service.settings, "replicas": {"min": 2, "max": 5}}
    done = deploy(service, 1, replicas=(2, 5), operating=again)
    assert (done.history.live, done.history.generation) == (first, 2)
    assert bounds(account) == {"endpoint/mlship-churn/variant/a": (2, 5)}
    (one,) = account.endpoints.values()
    assert one.variants[0].count == 2
    one.variants[0].count = 4  # autoscaling added machines
    canary = replace(CANARY, steps=(0.1, 0.5, 1.0), approve="auto")
    second = deploy(service, 2, replicas=(2, 5), operating=again, strategy=canary).history.live
    assert bounds(account) == {"endpoint/mlship-churn/variant/b": (2, 5)}
    only(account, second)
    by_hours = {**again, "scale": {"metric": "cpu", "per_replica": 60, "schedule": [{"cron": "0 7 * * *", "min": 3}]}}
    assert deploy(service, 2, replicas=(2, 5), operating=by_hours).history.live == second, "in place, too"
    assert policies(account) == [("CPUUtilization", 120.0)] and floors(account) == ["cron(0 7 * * ? *)"]
    account.client("application-autoscaling").register_scalable_target(**AT_SEVEN)
    third = deploy(service, 3, replicas=(2, 5), operating=by_hours, strategy=canary).history.live
    only(account, third)
    assert bounds(account) == {"endpoint/mlship-churn/variant/a": (3, 5)}, "a release keeps the floor of the hour"
    deploy(service, 3, replicas=(2, 5), operating=again)
    assert floors(account) == [] and policies(account)[0][0] != "CPUUtilization"
    fixed = {**again, "replicas": {"min": 2, "max": 2}}
    deploy(service, 3, replicas=(2, 2), operating=fixed)
    assert bounds(account) == {}


# What the schedule does at seven o'clock.
AT_SEVEN = {
    "ServiceNamespace": "sagemaker",
    "ResourceId": "endpoint/mlship-churn/variant/b",
    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    "MinCapacity": 3,
    "MaxCapacity": 5,
}


def policies(account: SagemakerAccount) -> list[tuple[str, float]]:
    """Of what is registered: moto keeps those of what is not any more."""
    told = account.client("application-autoscaling").describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"]
    tracked = [one["TargetTrackingScalingPolicyConfiguration"] for one in told if one["ResourceId"] in bounds(account)]
    return [(one.get("CustomizedMetricSpecification", {}).get("MetricName", ""), one["TargetValue"]) for one in tracked]


def floors(account: SagemakerAccount) -> list[str]:
    told = account.client("application-autoscaling").describe_scheduled_actions(ServiceNamespace="sagemaker")
    return [one["Schedule"] for one in told["ScheduledActions"] if one["ResourceId"] in bounds(account)]


def bounds(account: SagemakerAccount) -> dict[str, tuple[int, int]]:
    told = account.client("application-autoscaling").describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    return {one["ResourceId"]: (one["MinCapacity"], one["MaxCapacity"]) for one in told}


def test_a_release_gets_the_machines_that_it_asks_for_and_those_that_its_callers_need(
    tmp_path: Path, account: SagemakerAccount
) -> None:
    service = SagemakerService(tmp_path, account)
    deploy(service, 1)
    deploy(service, 2, replicas=(3, 3))
    (one,) = account.endpoints.values()
    assert [variant.count for variant in one.variants] == [3], "an update keeps what was there"
    one.variants[0].count = 6  # autoscaling added machines
    with pytest.raises(Paused):
        deploy(service, 3, replicas=(1, 8), strategy=CANARY)
    assert [(variant.count, variant.weight) for variant in one.variants] == [(6, 0.5), (3, 0.5)]
    go_on(service)
    assert [(variant.count, variant.weight) for variant in one.variants] == [(6, 1.0)]


def test_machines_of_another_type_are_an_update_in_place(tmp_path: Path, account: SagemakerAccount) -> None:
    service = SagemakerService(tmp_path, account)
    first = deploy(service, 1, replicas=(1, 2)).history.live
    service.settings = {**service.settings, "instance": "ml.m5.xlarge"}
    done = deploy(service, 1, replicas=(1, 2))
    assert (done.history.live, done.history.generation) == (first, 2)
    (one,) = account.endpoints.values()
    assert one.variants[0].told["InstanceType"] == "ml.m5.xlarge"
    assert bounds(account) == {"endpoint/mlship-churn/variant/a": (1, 2)}


def test_machines_of_another_type_that_are_not_to_be_had_leave_what_serves(tmp_path: Path, account: SagemakerAccount) -> None:
    service = SagemakerService(tmp_path, account)
    first = deploy(service, 1, replicas=(1, 2)).history.live
    account.quota = 1
    service.settings = {**service.settings, "instance": "ml.m5.xlarge"}
    with pytest.raises(MlshipError, match=f"ResourceLimitExceeded.*{first} serves as before") as failed:
        deploy(service, 1, replicas=(1, 2))
    assert failed.value.exit is Exit.DENIED
    assert live_id(service) == first
    only(account, first)
    assert bounds(account) == {"endpoint/mlship-churn/variant/a": (1, 2)}, "autoscaling had left for the update"


def test_an_aborted_canary_of_a_company_goes_on_from_another_machine(tmp_path: Path, account: SagemakerAccount) -> None:
    here, there = (SagemakerService(tmp_path / name, account) for name in ("here", "there"))
    first = deploy(here, 1).history.live
    second = paused_canary(here)
    assert give_up(there, "nobody likes it").history.live == first
    only(account, first)
    third = paused_canary(here, 3)
    assert go_on(there, full=True).history.live == third != second
    only(account, third)


def test_a_native_canary_beside_which_a_person_is_asked_goes_by_weights(tmp_path: Path, account: SagemakerAccount) -> None:
    service = SagemakerService(tmp_path, account)
    deploy(service, 1, replicas=(4, 4))
    with pytest.raises(Paused):
        deploy(service, 2, replicas=(4, 4), strategy=replace(ONE_SHARE, approve="manual"))
    (one,) = account.endpoints.values()
    assert [variant.weight for variant in one.variants] == [0.75, 0.25]
    assert all("DeploymentConfig" not in said for said in updates(account))


def test_a_first_release_that_a_person_has_to_approve_meets_no_caller_before(tmp_path: Path, account: SagemakerAccount) -> None:
    service = SagemakerService(tmp_path, account)
    with pytest.raises(Paused):
        deploy(service, 1, strategy=Strategy(approve="manual"))
    assert list(account.endpoints) == ["mlship-churn---check"]
    assert service.open().observe().serving == ""
    only(account, go_on(service).history.live)
    assert list(account.endpoints) == ["mlship-churn"]


def test_a_release_whose_model_is_gone_is_not_offered_for_a_rollback(tmp_path: Path, account: SagemakerAccount) -> None:
    service = SagemakerService(tmp_path, account)
    first = deploy(service, 1).history.live
    second = deploy(service, 2).history.live
    sagemaker = account.client("sagemaker")
    (model,) = [one["ModelName"] for one in sagemaker.list_models()["Models"] if first in one["ModelName"]]
    sagemaker.delete_model(ModelName=model)
    observed = service.open().observe()
    assert observed.restorable == {second}
    assert observed.lost == {first: "its model is not there any more"}


@pytest.mark.parametrize("first", [0, 1, 2, 3])
def test_a_command_that_is_killed_after_any_of_its_changes_is_simply_run_again(
    tmp_path: Path, account: SagemakerAccount, first: int
) -> None:
    """A quarter of the changes each; by SageMaker's own shifting and by weights in turn."""
    service = SagemakerService(tmp_path, account)
    deploy(service, 1)
    version, at, alive = 2, first, 0
    while alive < 2:
        strategy = replace(CANARY, steps=(0.5, 1.0), approve="auto") if version % 2 else Strategy()
        try:
            deploy(Through(service, Mortal(SagemakerDoor(account), at)), version, strategy=strategy)
        except Killed:
            give_lease_back(account)
        else:
            alive += 1
        done = deploy(service, version, strategy=strategy)
        assert done.history.live == live_id(service)
        only(account, done.history.live)
        version, at = version + 1, at + 4
    assert at > 10, "a deploy changes more than that"


def give_lease_back(account: SagemakerAccount) -> None:
    """As if its time were over."""
    place = {"Bucket": f"mlship-{ACCOUNT}-{REGION}", "Key": "mlship/churn/-/lease.json"}
    with_lease = account.client("s3").get_object(**place)["Body"].read()
    account.client("s3").put_object(**place, Body=json.dumps({**json.loads(with_lease), "expires": 0.0}).encode())


def test_callers_of_a_release_that_was_never_committed_go_back_to_the_live_one(
    tmp_path: Path, account: SagemakerAccount
) -> None:
    """A command was killed between shift and commit, and the next one finds the same release bad."""
    service = SagemakerService(tmp_path, account)
    first = deploy(service, 1).history.live
    target = service.open()
    deployment = wanted(service, target, 2)
    for kind in ("deliver", "stage", "shift"):
        assert target.apply(Action(kind, deployment.release.id, first), deployment).ok
    assert live_id(service) == deployment.release.id
    assert target.apply(Action("discard", deployment.release.id), deployment).ok
    assert live_id(service) == first
    assert deployment.release.id not in service.open().observe().restorable
