"""Stories of releases whose callers ECS moves itself: it goes on, and takes itself back, whether anybody looks or not."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("moto", reason="no moto: pip install 'moto[server]'")
pytest.importorskip("ministack", reason="no ministack: pip install ministack")
sys.path.insert(0, str(Path(__file__).parents[1] / "targets"))

from aws_account import ACCOUNT, REGION, Account, AccountDoor, AwsService, emulators, entered
from contract import FACTS, live_id, roll_back, wanted

from mlship.errors import Exit, MlshipError
from mlship.progress import Silent
from mlship.releases.history import History
from mlship.targets.aws.door import BotoDoor, Door
from mlship.targets.aws.ecs.target import EcsTarget
from mlship.targets.base import Action, Strategy
from mlship.targets.plan import plan
from mlship.targets.rollout import RolledOut, World, abort, roll_out

pytestmark = pytest.mark.world
CLIENTS: dict[str, Any] = {}
DOOR = BotoDoor(REGION)
CANARY = Strategy("canary", steps=(0.1, 1.0), bake_s=600.0)
LINEAR = Strategy("canary", steps=(0.25, 0.5, 0.75, 1.0), bake_s=60.0)
BLUE_GREEN = Strategy("blue-green", bake_s=300.0)
READS = ("describe", "list", "get", "head", "simulate")
STRIDE = 5
BY_WEIGHTS = Strategy("canary", steps=(0.05, 0.5, 1.0), bake_s=60.0)


@dataclass
class Clock:
    """Whoever rests for more than a moment finds that the time has passed."""

    ahead: float = 0.0

    def now(self) -> float:
        return time.time() + self.ahead

    def rest(self, seconds: float) -> None:
        self.ahead += seconds if seconds > 1 else 0.0


class Service(AwsService):
    """A project whose machines all have the same clock."""

    clock: Clock

    def open(self, door: Door | None = None) -> EcsTarget:
        found = super().open(door)
        found._opening = replace(found._opening, clock=self.clock.now)
        return found


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    with emulators(tmp_path_factory.mktemp("aws")) as environ:
        yield environ


@pytest.fixture
def account(running: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    with entered(Account(running, clients=CLIENTS, door=DOOR), running, monkeypatch) as found:
        yield found


@pytest.fixture
def service(tmp_path: Path, account: Account) -> Service:
    made = Service(tmp_path, account)
    made.clock = Clock()
    return made


def deploy(
    service: Service,
    version: int,
    strategy: Strategy,
    broken: str = "",
    *,
    door: Door | None = None,
    rest: Callable[[float], None] | None = None,
    operating: Mapping[str, Any] | None = None,
) -> RolledOut:
    target = service.open(door)
    observed = target.observe()
    deployment = wanted(service, target, version, broken, strategy=strategy)
    changed = replace(deployment, operating={**deployment.operating, **(operating or {})})
    decided = plan("deploy", changed, observed)
    return roll_out(target, decided, FACTS, World(service.clock.now, rest or service.clock.rest, Silent()))


def test_what_does_not_prove_itself_meets_no_caller_and_leaves_nothing(service: Service, account: Account) -> None:
    first = deploy(service, 1, CANARY).history.live
    for broken in ("answers", "crash"):
        with pytest.raises(MlshipError, match="is not live") as failed:
            deploy(service, 2, CANARY, broken)
        assert failed.value.exit is Exit.VERIFY_FAILED
        sent = [operation for operation, _ in account.moving.sent]
        assert "stop_service_deployment" in sent and "continue_service_deployment" not in sent
        assert_alone(service, account, first)


@pytest.mark.parametrize("stuck", [False, True])
def test_an_alarm_has_ecs_take_its_own_release_back(service: Service, account: Account, stuck: bool) -> None:
    """What ECS cannot take back is led back by the balancer's rule: its tasks are left to ECS."""
    first = deploy(service, 1, LINEAR).history.live

    def it_fails(seconds: float) -> None:
        alarm(account, "b")
        service.clock.rest(seconds)

    account.moving.stuck = stuck
    with pytest.raises(MlshipError, match=r"ECS took r2-.* back .*alarm: mlship-churn-b-errors") as failed:
        deploy(service, 2, LINEAR, rest=it_fails)
    assert failed.value.exit is Exit.VERIFY_FAILED and "serves as before" in failed.value.what
    observed = service.open().observe()
    assert observed.history is not None and len(observed.history.rejected) == 1
    assert (observed.serving, dict(observed.weights)) == (first, {first: 1.0})
    assert {copy.release for copy in account.copies.values()} == {first} or stuck


def test_a_command_dies_and_ecs_goes_on(service: Service, account: Account, tmp_path: Path) -> None:
    """The next command, on another machine, finds that all callers moved, and commits; or that an alarm took them back, and says so."""
    first = deploy(service, 1, CANARY).history.live
    killed_after(service, account, "continue_service_deployment", 2, CANARY)
    alarm(account, "a")  # of what served before: that speaks for the new one
    account.moving.finish()
    alarm(account, "a", "OK")
    assert live_id(service) != first
    other = Service(tmp_path / "other", account)
    other.clock, other.home = service.clock, service.home
    second = deploy(other, 2, CANARY).history
    assert second.live == live_id(service) and second.underway is None
    with pytest.raises(Killed):
        deploy(service, 3, BLUE_GREEN, rest=dies)
    alarm(account, "a")
    account.moving.finish()
    alarm(account, "a", "OK")
    with pytest.raises(MlshipError, match=r"ECS took r3-.* back .*alarm: mlship-churn-a-errors") as failed:
        deploy(service, 3, BLUE_GREEN)
    assert failed.value.exit is Exit.VERIFY_FAILED
    assert_alone(service, account, second.live)


def test_a_command_that_dies_before_any_caller_moved_is_simply_run_again(service: Service, account: Account) -> None:
    """ECS waits for an hour, and takes the release back then; whoever comes in time or later gets it through."""
    deploy(service, 1, CANARY)
    for version, is_late in ((2, False), (3, True)):
        killed_after(service, account, "update_service", version, CANARY)
        account.moving.expired = is_late
        account.moving.finish()
        account.moving.expired = False
        done = deploy(service, version, CANARY).history
        assert done.live == live_id(service) and not done.rejected
    killed_after(service, account, "update_service", 4, CANARY)
    assert deploy(service, 5, BY_WEIGHTS).history.live == live_id(service), "another version leaves no orphan"
    assert {copy.release for copy in account.copies.values()} == {live_id(service)}


def test_a_command_that_is_killed_anywhere_is_simply_run_again(service: Service, account: Account) -> None:
    """After every fifth change: the others are those of the form by weights, and the ones of the test above."""
    deploy(service, 1, CANARY)
    version, at, was_killed = 2, 0, True
    while was_killed:
        try:
            deploy(service, version, CANARY, door=Mortal(account, at=at))
        except Killed:
            give_lease_back(account)
        else:
            was_killed = False
        assert deploy(service, version, CANARY).history.live == live_id(service)
        assert {copy.release for copy in account.copies.values()} == {live_id(service)}
        version, at = version + 1, at + STRIDE
    assert at > STRIDE, "a deploy changes more than that"


def test_a_release_that_ecs_moves_is_aborted(service: Service, account: Account) -> None:
    first = deploy(service, 1, CANARY).history.live
    with pytest.raises(Killed):
        deploy(service, 2, CANARY, rest=dies)
    assert set(service.open().observe().weights.values()) == {0.9, 0.1}
    give_lease_back(account)
    abort(service.open(), FACTS, World(service.clock.now, service.clock.rest, Silent()), "not wanted")
    assert_alone(service, account, first)


def test_a_project_goes_from_one_form_to_the_other_and_back(service: Service, account: Account, tmp_path: Path) -> None:
    first = deploy(service, 1, CANARY).history.live
    assert account.moving.sent == [], "nobody called before, so there is nobody to move"
    second = deploy(service, 2, LINEAR).history.live
    assert_alone(service, account, second)
    sent = [operation for operation, _ in account.moving.sent]
    assert sent.count("continue_service_deployment") == 1 and "stop_service_deployment" not in sent
    other = Service(tmp_path / "other", account)
    other.clock = service.clock
    assert roll_back(other).history.live == first == live_id(service)
    assert_alone(service, account, first)
    third = deploy(service, 3, BY_WEIGHTS).history.live
    fourth = deploy(service, 4, BLUE_GREEN)
    assert fourth.history.live == live_id(service)
    fifth = deploy(service, 5, BY_WEIGHTS)
    assert fifth.history.live == live_id(service) and {second, third} <= {one.id for one in fifth.history.releases}
    sixth = deploy(service, 6, CANARY)
    spot = {"cost": {"profile": "spot", "on_demand_base": 1}, "labels": {"team": "growth"}}
    changed = deploy(service, 6, CANARY, operating=spot)
    assert changed.history.entries[-1].action == "operate" and live_id(service) == sixth.history.live
    told = service.open().observe()
    assert not told.repair and {copy.release for copy in account.copies.values()} == {sixth.history.live}
    forms = [said["deploymentConfiguration"]["strategy"] for said in begun(account)]
    assert forms == ["LINEAR", "BLUE_GREEN", "CANARY", "BLUE_GREEN"]
    assert service.open().apply(Action("destroy"), None).ok
    assert service.left() == []


class Killed(BaseException):
    """SIGKILL: nothing of the command runs any more."""


class Mortal(AccountDoor):
    """Dies right after a call of this name, or after its n-th change of the world, and does nothing more then."""

    def __init__(self, account: Account, operation: str = "", at: int = -1) -> None:
        super().__init__(account)
        self._operation, self._at, self._changed, self._is_dead = operation, at, 0, False

    def call(self, service: str, operation: str, /, **said: Any) -> dict[str, Any]:
        if self._is_dead:
            raise Killed
        answer = super().call(service, operation, **said)
        self._is_dead = operation == self._operation
        if not operation.startswith(READS):
            self._is_dead = self._is_dead or self._changed == self._at
            self._changed += 1
        if self._is_dead:
            raise Killed
        return answer

    def all(self, service: str, operation: str, key: str, /, **said: Any) -> list[Any]:
        if self._is_dead:
            raise Killed
        return super().all(service, operation, key, **said)


def dies(_: float) -> None:
    raise Killed


def killed_after(service: Service, account: Account, operation: str, version: int, strategy: Strategy) -> None:
    with pytest.raises(Killed):
        deploy(service, version, strategy, door=Mortal(account, operation))
    give_lease_back(account)


def give_lease_back(account: Account) -> None:
    """As if its time were over."""
    place = {"Bucket": f"mlship-{ACCOUNT}-{REGION}", "Key": "mlship/churn/-/lease.json"}
    with_lease = account.client("s3").get_object(**place)["Body"].read()
    account.client("s3").put_object(**place, Body=json.dumps({**json.loads(with_lease), "expires": 0.0}).encode())


def alarm(account: Account, slot: str, state: str = "ALARM") -> None:
    named = f"mlship-churn-{slot}-errors"
    account.client("cloudwatch").set_alarm_state(AlarmName=named, StateValue=state, StateReason="as the test says")


def begun(account: Account) -> list[Mapping[str, Any]]:
    """What ECS was told to move."""
    told = [
        said for operation, said in account.moving.sent if operation == "update_service" and "deploymentConfiguration" in said
    ]
    return [said for said in told if said["deploymentConfiguration"]["strategy"] != "ROLLING"]


def assert_alone(service: Service, account: Account, live: str) -> History:
    """The release serves, nothing else does, and nothing is under way."""
    observed = service.open().observe()
    assert observed.history is not None and observed.history.underway is None
    assert (observed.history.live, observed.serving, dict(observed.weights)) == (live, live, {live: 1.0})
    assert {copy.release for copy in account.copies.values()} == {live}
    return observed.history
