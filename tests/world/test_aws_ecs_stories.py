"""Stories of ECS while it serves: a canary that is slow, ranges and spot, secrets, and an API that does not do as it is told."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("moto", reason="no moto: pip install 'moto[server]'")
pytest.importorskip("ministack", reason="no ministack: pip install ministack")
sys.path.insert(0, str(Path(__file__).parents[1] / "targets"))

from aws_account import REGION, Account, AccountDoor, AwsService, emulators, entered
from aws_flaky import flaky
from contract import FACTS, deploy, live_id, roll_back, wanted

from mlship.errors import Exit, MlshipError
from mlship.progress import Silent
from mlship.targets.aws.door import BotoDoor, refusal
from mlship.targets.aws.ecs.target import EcsTarget
from mlship.targets.base import OPERATOR_KEY, Action, Deployment, Request, Strategy
from mlship.targets.plan import plan
from mlship.targets.rollout import World, roll_out
from mlship.targets.verify import said_release

pytestmark = pytest.mark.world
CLIENTS: dict[str, Any] = {}
DOOR = BotoDoor(REGION)
MEASURED = Strategy(
    "canary", steps=(0.5, 1.0), bake_s=2.0, min_requests=20, gates=("p95_ms < 250", "error_rate < 1%"), approve="auto"
)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    with emulators(tmp_path_factory.mktemp("aws")) as environ:
        yield environ


@pytest.fixture
def account(running: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    with entered(Account(running, clients=CLIENTS, door=DOOR), running, monkeypatch) as found:
        yield found


class Between:
    """A door that does something of its own with some calls."""

    def __init__(self, account: Account) -> None:
        self._inner = AccountDoor(account)
        self.region, self.account = self._inner.region, self._inner.account

    def call(self, service: str, operation: str, /, **said: Any) -> dict[str, Any]:
        return self._inner.call(service, operation, **said)

    def all(self, service: str, operation: str, key: str, /, **said: Any) -> list[Any]:
        return self._inner.all(service, operation, key, **said)


class Through:
    """A harness whose door is another one, and whose deployments are operated as `changes` says."""

    def __init__(self, service: AwsService, door: Any = None, **changes: Any) -> None:
        self._service, self._door, self._changes = service, door, changes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._service, name)

    def open(self) -> EcsTarget:
        return self._service.open(self._door)

    def deployment(self, version: int, broken: str = "") -> Deployment:
        made = self._service.deployment(version, broken)
        more = {**self._changes, "operating": {**made.operating, **self._changes.get("operating", {})}}
        return replace(made, **more)


def called(account: Account, times: int) -> None:
    """So many callers, on the way that callers go."""
    (front,) = account.client("elbv2").describe_load_balancers()["LoadBalancers"]
    for _ in range(times):
        account.forward(front["DNSName"], {}, "/predict")


def watched(account: Account, service: Any, version: int, strategy: Strategy, meanwhile: Any = None) -> Any:
    """A deploy while callers come: whenever the command rests, they have called."""

    def rest(seconds: float) -> None:
        if meanwhile is not None:
            meanwhile()
        called(account, 40)
        time.sleep(0.05)

    target = service.open()
    decided = plan("deploy", wanted(service, target, version, strategy=strategy), target.observe())
    return roll_out(target, decided, FACTS, World(time.time, rest, Silent()))


def test_a_canary_that_does_well_goes_on_to_all_callers(tmp_path: Path, account: Account) -> None:
    service = AwsService(tmp_path, account)
    deploy(service, 1)
    called(account, 40)
    done = watched(account, service, 2, MEASURED)
    assert done.history.live == live_id(service)
    assert any("pass" in note and "p95" in note for note in done.notes)


@pytest.mark.parametrize(
    ("fault", "said"), [("slow", "p95_ms is .*, wanted < 250"), ("errors", "error_rate is .*, wanted < 1")]
)
def test_a_canary_that_does_worse_is_taken_back_by_what_the_balancer_measured(
    tmp_path: Path, account: Account, fault: str, said: str
) -> None:
    service = AwsService(tmp_path, account)
    first = deploy(service, 1).history.live
    content = service.deployment(2).release.served.content

    def it_does_worse() -> None:
        if fault == "slow":
            account.slow[content] = 2.0
        else:
            account.broken[content] = "errors"

    with pytest.raises(MlshipError, match=said) as failed:
        watched(account, service, 2, MEASURED, it_does_worse)
    assert failed.value.exit is Exit.VERIFY_FAILED
    observed = service.open().observe()
    assert observed.history is not None and observed.history.underway is None
    assert (observed.serving, dict(observed.weights)) == (first, {first: 1.0})
    assert {copy.release for copy in account.copies.values()} == {first}
    assert len(observed.history.rejected) == 1


def test_a_service_that_is_set_back_while_callers_move_is_not_believed(tmp_path: Path, account: Account) -> None:
    """ECS says that all is well, and its primary deployment is of another release."""
    service = AwsService(tmp_path, account)
    first = deploy(service, 1).history.live

    class SetBack(Between):
        def call(self, service: str, operation: str, /, **said: Any) -> dict[str, Any]:
            answer = super().call(service, operation, **said)
            weights = str(said.get("Actions", ""))
            if operation == "modify_rule" and "'Weight': 100" in weights and not was_set_back:
                was_set_back.append(True)
                old = f"mlship-churn_{first}"
                super().call("ecs", "update_service", cluster="mlship-churn", service="mlship-churn-b", taskDefinition=old)
            return answer

    was_set_back: list[bool] = []
    with pytest.raises(MlshipError, match=f"callers reach {first}, and not r2") as failed:
        deploy(Through(service, SetBack(account)), 2)
    assert (failed.value.exit, was_set_back) == (Exit.VERIFY_FAILED, [True])
    assert live_id(service) == first
    observed = service.open().observe()
    assert observed.history is not None and observed.history.live == first and not observed.history.rejected


def test_callers_who_cannot_be_led_back_end_a_deploy_with_exit_7(tmp_path: Path, account: Account) -> None:
    """The new release does not prove itself where callers meet it, and the balancer takes no other weights any more."""
    service = AwsService(tmp_path, account)
    first = deploy(service, 1).history.live
    content = service.deployment(2).release.served.content

    class Stuck(Between):
        def call(self, service: str, operation: str, /, **said: Any) -> dict[str, Any]:
            if operation == "modify_rule" and account.broken[content]:
                raise refusal(f"{service} {operation}", {"Code": "TooManyTargets", "Message": "not now"})
            answer = super().call(service, operation, **said)
            if operation == "modify_rule":
                account.broken[content] = "answers"
            return answer

    stuck = Through(service, Stuck(account))
    with pytest.raises(MlshipError, match=r"is not live: .* and what served before could not be brought back") as failed:
        deploy(stuck, 2)
    assert (failed.value.exit, failed.value.fix) == (Exit.NOT_RESTORED, f"mlship rollback churn --to {first}")
    assert any("not restored: " in line and "TooManyTargets" in line for line in failed.value.details)
    account.broken[content] = ""
    assert deploy(service, 1).history.live == first == live_id(service), "the records still say what was live"


def test_spot_and_ranges_change_in_place_and_no_deploy_takes_tasks_away(tmp_path: Path, account: Account) -> None:
    service = AwsService(tmp_path, account)
    first = deploy(service, 1).history.live
    ranged = {
        "replicas": (2, 6),
        "operating": {"replicas": {"min": 2, "max": 6}, "scale": {"metric": "rps", "per_replica": 5.0}},
    }
    scaled = Through(service, **ranged)
    assert deploy(scaled, 1).history.live == first
    assert (tasks(account, "a"), scalable(account)) == (2, {"service/mlship-churn/mlship-churn-a": (2, 6)})
    account.client("ecs").update_service(cluster="mlship-churn", service="mlship-churn-a", desiredCount=5)  # as the load says
    account.run_tasks()
    second = deploy(scaled, 2).history.live
    assert second == live_id(service)
    assert (tasks(account, "a"), tasks(account, "b")) == (0, 5)
    assert scalable(account) == {"service/mlship-churn/mlship-churn-b": (2, 6)}, "who has no callers is left at none"
    spot = {**ranged["operating"], "cost": {"profile": "spot", "on_demand_base": 1}}
    changed = deploy(Through(service, replicas=(2, 4), operating=spot), 2)
    assert changed.history.entries[-1].action == "operate"
    told = account.client("ecs").describe_services(cluster="mlship-churn", services=["mlship-churn-b"])["services"][0]
    assert {one["capacityProvider"]: one.get("base", 0) for one in told["capacityProviderStrategy"]} == {
        "FARGATE": 1,
        "FARGATE_SPOT": 0,
    }
    assert (tasks(account, "b"), scalable(account)) == (4, {"service/mlship-churn/mlship-churn-b": (2, 4)})
    assert roll_back(Through(service, replicas=(2, 4), operating=spot)).history.live == first
    assert scalable(account) == {"service/mlship-churn/mlship-churn-a": (2, 4)}
    assert service.open().apply(Action("destroy"), None).ok
    assert (service.left(), scalable(account)) == ([], {})


def test_a_task_gets_its_secrets_and_mlship_asks_with_a_key_of_its_own(tmp_path: Path, account: Account) -> None:
    store = account.client("secretsmanager")
    store.create_secret(Name="churn/keys", SecretString="anna:one")
    service = AwsService(tmp_path, account)
    references = {"CHURN_KEYS": "secretsmanager:churn/keys"}
    pinned = dict(service.open().pinned(references))
    store.put_secret_value(SecretId="churn/keys", SecretString="anna:two")

    class Closed(Through):
        def deployment(self, version: int, broken: str = "") -> Deployment:
            made = super().deployment(version, broken)
            return replace(made, release=replace(made.release, served=replace(made.release.served, secrets=pinned)))

    closed = Closed(service, references=references, operating={"auth": True})
    live = deploy(closed, 1).history.live
    (copy,) = account.copies.values()
    assert copy.secrets["CHURN_KEYS"] == "anna:one", "the version that was the newest when it was planned"
    (front,) = account.client("elbv2").describe_load_balancers()["LoadBalancers"]
    assert account.forward(front["DNSName"], {}, "/predict")[0] == 401
    assert said_release(service.open().ask(Request("GET", "/mlship/release"))) == live
    assert len(copy.secrets[OPERATOR_KEY]) > 40 and copy.secrets[OPERATOR_KEY] not in json.dumps(
        [event["message"] for event in account.client("logs").filter_log_events(logGroupName="/mlship/churn")["events"]]
    )
    with pytest.raises(MlshipError, match="Secrets Manager has no secret churn/other in us-east-1; aws secretsmanager create"):
        service.open().pinned({"OTHER": "secretsmanager:churn/other"})
    assert service.open().apply(Action("destroy"), None).ok
    assert service.left() == []


def test_an_api_that_is_throttled_and_breaks_is_asked_again(
    tmp_path: Path, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        flaky(account.environ["AWS_ENDPOINT_URL"], 9) as (moto, did),
        flaky(account.environ["AWS_ENDPOINT_URL_ECS"], 9) as (
            ecs,
            more,
        ),
    ):
        monkeypatch.setenv("AWS_ENDPOINT_URL", moto)
        monkeypatch.setenv("AWS_ENDPOINT_URL_ECS", ecs)
        # What is made from here on leads to endpoints that end with this story.
        account.clients, account.door = dict(CLIENTS), BotoDoor(REGION)
        shaky = Account({**account.environ}, clients=account.clients, door=account.door, copies=account.copies, led=account.led)
        shaky.versions, shaky.broken = account.versions, account.broken
        service = AwsService(tmp_path, account)
        assert deploy(Through(service, AccountDoor(shaky)), 1).history.live == live_id(service)
    assert {"throttled", "broken", "unavailable"} <= {*did, *more}


@pytest.mark.parametrize(
    ("operation", "code"),
    [("create_change_set", "LimitExceededException"), ("update_service", "ServiceQuotaExceededException")],
)
def test_a_quota_that_is_hit_leaves_what_served(tmp_path: Path, account: Account, operation: str, code: str) -> None:
    class Full(Between):
        def call(self, service: str, operation: str, /, **said: Any) -> dict[str, Any]:
            if operation == full and (operation == "create_change_set" or said.get("desiredCount")):
                raise refusal(f"{service} {operation}", {"Code": code, "Message": "too many"})
            return super().call(service, operation, **said)

    full, service = operation, AwsService(tmp_path, account)
    first, second = (deploy(service, version).history.live for version in (1, 2))
    labels = {"labels": {"team": "growth"}} if operation == "create_change_set" else {}
    with pytest.raises(MlshipError, match=f"AWS refuses .*{code}.*{second} serves as before") as failed:
        deploy(Through(service, Full(account)), 3, **labels)
    assert failed.value.exit is Exit.DENIED
    observed = service.open().observe()
    assert observed.history is not None and not observed.history.rejected, "the release is not at fault"
    assert live_id(service) == second and first in observed.restorable
    assert deploy(service, 3).history.live == live_id(service)


def test_callers_of_a_release_that_was_never_committed_go_back_to_the_live_one(tmp_path: Path, account: Account) -> None:
    """A command was killed between shift and commit, and the next one finds the same release bad."""
    service = AwsService(tmp_path, account)
    first = deploy(service, 1).history.live
    target = service.open()
    deployment = wanted(service, target, 2)
    for kind in ("deliver", "stage", "shift"):
        assert target.apply(Action(kind, deployment.release.id, first), deployment).ok
    assert live_id(service) == deployment.release.id
    assert target.apply(Action("discard", deployment.release.id), deployment).ok
    assert live_id(service) == first
    assert deployment.release.id not in service.open().observe().restorable


def tasks(account: Account, slot: str) -> int:
    told = account.client("ecs").describe_services(cluster="mlship-churn", services=[f"mlship-churn-{slot}"])["services"]
    return int(told[0]["desiredCount"])


def scalable(account: Account) -> dict[str, tuple[int, int]]:
    told = account.client("application-autoscaling").describe_scalable_targets(ServiceNamespace="ecs")["ScalableTargets"]
    return {one["ResourceId"]: (one["MinCapacity"], one["MaxCapacity"]) for one in told}
