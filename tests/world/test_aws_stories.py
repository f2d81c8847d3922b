"""Stories of the target `aws` against emulators that others wrote: a second machine, a company's account, commands that are killed."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("moto", reason="no moto: pip install 'moto[server]'")
pytest.importorskip("ministack", reason="no ministack: pip install ministack")
sys.path.insert(0, str(Path(__file__).parents[1] / "targets"))

import ecr_standin
from aws_account import ACCOUNT, REGION, Account, AccountDoor, AwsService, emulators, entered
from contract import carry_out, deploy, live_id, roll_back, wanted

from mlship.errors import Exit, MlshipError
from mlship.targets.aws.door import BotoDoor, refusal
from mlship.targets.aws.ecs import network
from mlship.targets.aws.ecs.rendering import render
from mlship.targets.aws.ecs.target import EcsTarget
from mlship.targets.aws.given import given
from mlship.targets.base import Action
from mlship.targets.plan import plan

pytestmark = pytest.mark.world
CLIENTS: dict[str, Any] = {}
DOOR = BotoDoor(REGION)
READS = ("describe", "list", "get", "head", "batch_get", "filter")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    with emulators(tmp_path_factory.mktemp("aws")) as environ:
        yield environ


@pytest.fixture
def account(running: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    with entered(Account(running, clients=CLIENTS, door=DOOR), running, monkeypatch) as found:
        yield found


class Through:
    """A target whose door is another one."""

    def __init__(self, service: AwsService, door: Any) -> None:
        self._service, self._door = service, door

    def __getattr__(self, name: str) -> Any:
        return getattr(self._service, name)

    def open(self) -> EcsTarget:
        return self._service.open(self._door)


class Denied:
    """An identity that may not make roles, networks and stacks."""

    def __init__(self, inner: AccountDoor) -> None:
        self._inner, self.region, self.account = inner, inner.region, inner.account

    def call(self, service: str, operation: str, /, **said: Any) -> dict[str, Any]:
        may_not = service in ("iam", "ec2", "cloudformation") and not operation.startswith(READS)
        if may_not or service == "iam":
            raise refusal(f"{service} {operation}", {"Code": "AccessDenied", "Message": "not you"})
        return self._inner.call(service, operation, **said)

    def all(self, service: str, operation: str, key: str, /, **said: Any) -> list[Any]:
        return self._inner.all(service, operation, key, **said)


class Killed(BaseException):
    """SIGKILL: nothing of the command runs any more."""


class Mortal:
    """Dies right after its n-th change of the world, and does nothing more then, not even what gives the lease back."""

    def __init__(self, inner: AccountDoor, at: int) -> None:
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


def test_a_second_machine_with_an_empty_disk_rolls_back(tmp_path: Path, account: Account) -> None:
    here = AwsService(tmp_path / "here", account, environment="prod")
    first = deploy(here, 1).history.live
    second = deploy(here, 2).history.live
    there = AwsService(tmp_path / "there", account, environment="prod")
    observed = there.open().observe()
    assert observed.history is not None and observed.history.live == second
    done = roll_back(there)
    assert done.history.live == first == live_id(here)


def test_an_identity_that_may_make_nothing_deploys_into_what_a_company_has(tmp_path: Path, account: Account) -> None:
    made = company(account)
    service = AwsService(tmp_path, account, **made)
    administrator_applies(account, service)
    allowed = Through(service, Denied(AccountDoor(account)))
    (first, second) = (deploy(allowed, version).history.live for version in (1, 2))
    assert first != second == live_id(allowed)
    assert roll_back(allowed).history.live == first
    told = account.client("ecs").describe_services(cluster=made["cluster"], services=["mlship-churn-a"])["services"]
    placed = told[0]["networkConfiguration"]["awsvpcConfiguration"]
    assert placed == {
        "subnets": list(made["subnets"]),
        "securityGroups": list(made["security_groups"]),
        "assignPublicIp": "DISABLED",
    }
    gone = allowed.open().apply(Action("destroy"), None)
    assert gone.ok and gone.notes[0].startswith("not the stack mlship-churn, which was applied without mlship")
    assert account._services() == [] and allowed.open().observe().history is None
    assert deploy(allowed, 2).history.live == live_id(allowed), "the foundation stands as it did"


def test_rules_go_to_another_priority_together_and_never_over_somebody_elses(tmp_path: Path, account: Account) -> None:
    made, elb = company(account), account.client("elbv2")
    given_parts = {key: made[key] for key in ("listener", "hosts", "subnets")}
    action = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}
    other = [{"Field": "path-pattern", "Values": ["/other"]}]
    elb.create_rule(ListenerArn=made["listener"], Priority=104, Conditions=other, Actions=[action])

    def standing() -> list[str]:
        return sorted(one["Priority"] for one in elb.describe_rules(ListenerArn=made["listener"])["Rules"])

    def at(priority: int) -> AwsService:
        return AwsService(tmp_path, account, **given_parts, priority=priority)

    first = deploy(at(100), 1).history.live
    said = [found.what for found in at(101).open().preflight(at(101).deployment(1)) if found.code == "rules-move"]
    assert said and "from priority 100, 101, 102 to 101, 102, 103" in said[0]
    assert deploy(at(101), 1).history.generation == 2 and live_id(at(101)) == first
    assert standing() == ["101", "102", "103", "104", "default"]
    target = at(101).open()
    assert plan("deploy", wanted(at(101), target, 1), target.observe()).is_empty

    wrong = [found.what for found in at(102).open().preflight(at(102).deployment(1)) if found.severity == "error"]
    assert wrong == ["targets.aws.listener has another rule at priority 104, and this project's are 102 and the next two"]
    with pytest.raises(MlshipError, match="PriorityInUse"):  # of a rule that came after the plan
        deploy(at(102), 1)
    assert standing() == ["101", "102", "103", "104", "default"] and live_id(at(101)) == first


def test_parts_that_are_not_there_are_all_named_before_anything_is_changed(tmp_path: Path, account: Account) -> None:
    made = company(account)
    wrong = {"cluster": "nobody", "repository": "nothing", "security_groups": ("sg-00000000000000000",)}
    service = AwsService(tmp_path, account, **{**made, **wrong})
    said = [finding.what for finding in service.open().preflight(service.deployment(1))]
    assert [what.split(":")[0] for what in said if "cannot be used" in what] == [
        "targets.aws.roles.execution cannot be used",
        "targets.aws.roles.task cannot be used",
        "targets.aws.security_groups cannot be used",
        "targets.aws.repository cannot be used",
    ]
    assert "there is no cluster nobody" in said
    assert service.left() == ["ml-1.us-east-1.elb.amazonaws.com"]


def test_a_release_whose_image_somebody_took_away_is_not_said_to_be_restorable(tmp_path: Path, account: Account) -> None:
    service = AwsService(tmp_path, account)
    first, second = (deploy(service, version).history.live for version in (1, 2))
    content = service.deployment(1).release.served.content
    ecr_standin.take_away(account.environ["ECR_DATA_PLANE"], "mlship/churn", content.replace(":", "-"))
    observed = service.open().observe()
    assert (observed.restorable, observed.lost) == ({second}, {first: "its image is not in the registry any more"})


def test_credentials_of_another_account_change_nothing(tmp_path: Path, account: Account) -> None:
    service = AwsService(tmp_path, account, account="999999999999")
    deployment = service.deployment(1)
    with pytest.raises(
        MlshipError, match=f"these credentials are of the account {ACCOUNT}, and targets.aws.account is 999999999999"
    ) as no:
        service.open().preflight(deployment)
    assert no.value.exit is Exit.DENIED
    outcome = service.open().apply(Action("deliver", deployment.release.id), deployment)
    assert not outcome.ok and outcome.fault == "target"
    assert service.left() == []


def test_a_service_that_somebody_set_back_is_put_right(tmp_path: Path, account: Account) -> None:
    """ECS, or a person, may have a service run another task definition without a word to us."""
    service = AwsService(tmp_path, account)
    first = deploy(service, 1).history.live
    second = deploy(service, 2).history.live
    ecs = account.client("ecs")
    ecs.update_service(cluster="mlship-churn", service="mlship-churn-b", taskDefinition=f"mlship-churn_{first}")
    account.run_tasks()
    observed = service.open().observe()
    assert observed.serving == first
    target = service.open()
    again = plan("deploy", wanted(service, target, 2), observed)
    assert [action.kind for action in again.actions] == ["deliver", "stage", "shift", "discard"]
    assert carry_out(target, again).history.live == second == live_id(service)


@pytest.mark.parametrize("first", [0, 1, 2])
def test_a_command_that_is_killed_after_any_of_its_changes_is_simply_run_again(
    tmp_path: Path, account: Account, first: int
) -> None:
    """A third of the changes each, so that no test takes long."""
    service = AwsService(tmp_path, account)
    deploy(service, 1)
    version, at, was_killed = 2, first, True
    while was_killed:
        door = Mortal(AccountDoor(account), at)
        try:
            deploy(Through(service, door), version)
        except Killed:
            give_lease_back(account)
        else:
            was_killed = False
        assert deploy(service, version).history.live == live_id(service)
        assert {copy.release for copy in account.copies.values()} == {live_id(service)}
        version, at = version + 1, at + 3
    assert at > 6, "a deploy changes more than that"


def give_lease_back(account: Account) -> None:
    """As if its time were over."""
    place = {"Bucket": f"mlship-{ACCOUNT}-{REGION}", "Key": "mlship/churn/-/lease.json"}
    with_lease = account.client("s3").get_object(**place)["Body"].read()
    account.client("s3").put_object(**place, Body=json.dumps({**json.loads(with_lease), "expires": 0.0}).encode())


def company(account: Account) -> dict[str, Any]:
    """What a company's account has before anybody comes with a model."""
    ec2, elb = account.client("ec2"), account.client("elbv2")
    vpc = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    subnets = tuple(
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.1.{number}.0/24", AvailabilityZone=f"{REGION}{zone}")["Subnet"]["SubnetId"]
        for number, zone in enumerate("ab")
    )
    group = ec2.create_security_group(GroupName="tasks", Description="tasks", VpcId=vpc)["GroupId"]
    front = elb.create_load_balancer(Name="ml", Subnets=list(subnets), Scheme="internal")["LoadBalancers"][0]
    action = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}
    listener = elb.create_listener(LoadBalancerArn=front["LoadBalancerArn"], Protocol="HTTP", Port=80, DefaultActions=[action])
    account.hosts["churn.internal.example"] = front["DNSName"]
    account.client("ecs").create_cluster(clusterName="ml", capacityProviders=["FARGATE", "FARGATE_SPOT"])
    account.client("ecr").create_repository(repositoryName="team/churn")
    account.client("s3").create_bucket(Bucket="acme-mlship")
    return {
        "subnets": subnets,
        "security_groups": (group,),
        "roles": {"task": "churn-task", "execution": "churn-start"},
        "cluster": "ml",
        "listener": listener["Listeners"][0]["ListenerArn"],
        "hosts": ("churn.internal.example",),
        "repository": "team/churn",
        "bucket": "acme-mlship",
        "account": ACCOUNT,
    }


def administrator_applies(account: Account, service: AwsService) -> None:
    """What `render --part foundation` wrote, by CloudFormation alone."""
    deployment = replace(service.deployment(1))
    template = render(deployment)["eject/foundation.json"].decode()
    said = network.parameters_for(AccountDoor(account), given(deployment))
    parameters = [{"ParameterKey": name, "ParameterValue": text} for name, text in said.items()]
    account.client("cloudformation").create_stack(StackName="mlship-churn", TemplateBody=template, Parameters=parameters)
