"""Stories of ECS without a balancer: one service, whose tasks ECS replaces; asked from inside its network, and from outside."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("moto", reason="no moto: pip install 'moto[server]'")
pytest.importorskip("ministack", reason="no ministack: pip install ministack")
sys.path.insert(0, str(Path(__file__).parents[1] / "targets"))
sys.path.insert(0, str(Path(__file__).parents[1] / "server"))

from aws_account import ACCOUNT, REGION, Account, AccountDoor, AwsService, emulators, entered
from contract import carry_out, deploy, live_id, roll_back, wanted
from ecs_in_place import TAKEN_BACK
from free_ports import free_port
from served import running as running_server
from served import written
from test_aws_stories import Killed, Mortal, Through, give_lease_back

from mlship.errors import Exit, MlshipError
from mlship.targets.aws.door import BotoDoor, refusal
from mlship.targets.aws.ecs.health import health_check
from mlship.targets.base import Action, Request
from mlship.targets.plan import plan

pytestmark = pytest.mark.world
CLIENTS: dict[str, Any] = {}
DOOR = BotoDoor(REGION)
ADDRESS = "http://churn.mlship-churn.internal:8080"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    with emulators(tmp_path_factory.mktemp("aws")) as environ:
        yield environ


@pytest.fixture
def account(running: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    with entered(Account(running, clients=CLIENTS, door=DOOR), running, monkeypatch) as found:
        yield found


def unbalanced(folder: Path, account: Account) -> AwsService:
    return AwsService(folder, account, balancer=False)


def test_the_whole_way_inside_the_network(tmp_path: Path, account: Account) -> None:
    service = unbalanced(tmp_path / "here", account)
    one = deploy(service, 1)
    first = one.history.live
    assert one.verification is not None and one.verification.text == "release id + 1 prediction ok"
    observed = service.open().observe()
    assert (observed.endpoint, observed.serving, observed.repair) == (ADDRESS, first, "")
    target = service.open()
    assert plan("deploy", wanted(service, target, 1), target.observe()).is_empty
    assert account.client("elbv2").describe_load_balancers()["LoadBalancers"] == []

    second = deploy(service, 2).history.live
    assert live_id(service) == second != first and {copy.release for copy in account.copies.values()} == {second}
    told = account.client("ecs").describe_services(cluster="mlship-churn", services=["mlship-churn-a", "mlship-churn-b"])
    assert [one["serviceName"] for one in told["services"]] == ["mlship-churn-a"], "there is no second service"

    there = unbalanced(tmp_path / "there", account)  # an empty disk
    assert roll_back(there).history.live == first == live_id(service)
    assert service.open().apply(Action("destroy"), None).ok
    assert service.left() == []


def test_what_nobody_here_can_ask_is_said_to_be_so(tmp_path: Path, account: Account) -> None:
    """From outside its network ECS' word is all there is: which task definition is the primary one, and who is well by its own check."""
    account.is_inside = False
    service = unbalanced(tmp_path, account)
    first = deploy(service, 1).history.live
    done = deploy(service, 2)
    assert done.verification is not None and done.verification.predictions == 0
    assert done.verification.text.startswith(
        "by the platform's own checks alone, not asked from here (something else answers at 172.31.0."
    )
    assert service.open().observe().serving == done.history.live != first
    answer = service.open().ask(Request("POST", "/predict", b"{}"))
    assert (answer.status, answer.is_unreached) == (0, True) and b"not in its network" in answer.body


def test_what_ecs_takes_back_is_the_releases_fault_and_the_old_one_serves(tmp_path: Path, account: Account) -> None:
    service = unbalanced(tmp_path, account)
    account.is_inside = False
    first = deploy(service, 1).history.live
    with pytest.raises(MlshipError, match=f"ECS took r2-.* back: {TAKEN_BACK}; {first} serves as before") as failed:
        deploy(service, 2, "unwell")
    assert failed.value.exit is Exit.VERIFY_FAILED and failed.value.details[-1] == "ready"
    observed = service.open().observe()
    assert observed.history is not None and len(observed.history.rejected) == 1
    assert (observed.serving, [copy.release for copy in observed.replicas]) == (first, [first])
    assert len(account.in_place.taken_back) == 1
    account.is_inside = True
    with pytest.raises(MlshipError, match=r"predictions.* is 0") as failed:  # well, and wrong: seen by who can ask
        deploy(service, 3, "answers")
    assert failed.value.exit is Exit.VERIFY_FAILED and live_id(service) == first


def test_a_service_that_is_set_back_in_silence_is_seen_and_put_right(tmp_path: Path, account: Account) -> None:
    service = unbalanced(tmp_path, account)
    first, second = (deploy(service, version).history.live for version in (1, 2))
    account.client("ecs").update_service(
        cluster="mlship-churn", service="mlship-churn-a", taskDefinition=f"mlship-churn_{first}"
    )
    account.run_tasks()
    target = service.open()
    observed = target.observe()
    assert observed.serving == first
    assert carry_out(target, plan("deploy", wanted(service, target, 2), observed)).history.live == second == live_id(service)


def test_what_served_before_and_does_not_come_back_ends_with_exit_7(tmp_path: Path, account: Account) -> None:
    service = unbalanced(tmp_path, account)
    first = deploy(service, 1).history.live
    content = service.deployment(1).release.served.content
    made = wanted(service, service.open(), 2, "unwell")
    account.broken[content] = "unwell"  # whatever it stood on is gone by now
    target = service.open()
    with pytest.raises(MlshipError, match="what served before could not be brought back") as failed:
        carry_out(target, plan("deploy", made, target.observe()))
    assert failed.value.exit is Exit.NOT_RESTORED
    account.broken[content] = ""
    target = service.open()
    again = plan("deploy", wanted(service, target, 1), target.observe())
    assert carry_out(target, again).history.live == first == live_id(service)


def test_a_command_that_is_killed_after_any_of_its_changes_is_simply_run_again(tmp_path: Path, account: Account) -> None:
    service = unbalanced(tmp_path, account)
    deploy(service, 1)
    version, was_killed = 2, True
    while was_killed:
        try:
            deploy(Through(service, Mortal(AccountDoor(account), version - 2)), version)
        except Killed:
            give_lease_back(account)
        else:
            was_killed = False
        assert deploy(service, version).history.live == live_id(service)
        assert {copy.release for copy in account.copies.values()} == {live_id(service)}
        version += 1
    assert version > 6, "a deploy changes more than that"


def test_the_check_in_the_task_definition_finds_a_real_server_well(tmp_path: Path) -> None:
    """As ECS runs it: the program of process 1 again, with the container's own variables."""
    command = health_check(60.0, 2.0)["command"]
    with running_server(written(tmp_path), MLSHIP_RELEASE="r1-aaaaaa", PORT=str(free_port())) as server:
        own = Path(f"/proc/{server.process.pid}/environ").read_bytes().decode().split("\0")
        environ = dict(entry.split("=", 1) for entry in own if entry)
        argv = [str(part).replace("/proc/1/", f"/proc/{server.process.pid}/") for part in command[1:]]
        well = subprocess.run(argv, env=environ, capture_output=True, text=True, check=False)
        other = subprocess.run(
            argv, env={**environ, "MLSHIP_RELEASE": "r2-bbbbbb"}, capture_output=True, text=True, check=False
        )
    Path("/tmp/mlship-proved-r1-aaaaaa").unlink()
    assert (well.returncode, well.stdout, well.stderr) == (0, "", "")
    assert (other.returncode, other.stdout) == (1, "GET /mlship/release answers 200 r1-aaaaaa, and not r2-bbbbbb\n")


def test_a_project_with_a_balancer_does_not_become_one_without(tmp_path: Path, account: Account) -> None:
    deploy(AwsService(tmp_path, account), 1)
    service = unbalanced(tmp_path, account)
    said = [found.what for found in service.open().preflight(service.deployment(2)) if found.code == "not-in-place"]
    assert any("mlship-churn was made with a balancer, and is to be without one" in what for what in said)
    with pytest.raises(MlshipError, match="was made with a balancer"):
        deploy(service, 2)
    assert live_id(AwsService(tmp_path, account)).startswith("r1-")


class MayNotDelete(AccountDoor):
    """An identity that pushes to a registry of its company's, and deletes nothing there."""

    def call(self, service: str, operation: str, /, **said: Any) -> dict[str, Any]:
        if operation == "batch_delete_image":
            raise refusal("ecr batch-delete-image", {"Code": "AccessDeniedException", "Message": "not you"})
        return super().call(service, operation, **said)


def test_what_was_destroyed_is_deployed_again_where_nobody_may_delete_in_the_registry(tmp_path: Path, account: Account) -> None:
    """The command that destroyed it was killed after each of its changes; and a bucket that was emptied is told from that."""
    account.client("ecr").create_repository(repositoryName="team/churn")
    own, door = AwsService(tmp_path, account, balancer=False, repository="team/churn"), MayNotDelete(account)
    service, history = Through(own, door), {"Bucket": f"mlship-{ACCOUNT}-{REGION}", "Key": "mlship/churn/-/history.json"}
    first, killed = deploy(service, 1).history.live, 0
    while service.open().observe().history is not None:
        with pytest.raises(Killed):
            own.open(Mortal(door, 0)).apply(Action("destroy"), None)
        killed += 1
    assert killed > 3, "a destroy changes more than that"
    gone = service.open().apply(Action("destroy"), None)
    assert gone.ok and "which a later deploy passes over" in gone.notes[-1]
    assert service.left() == [history["Key"]]
    assert deploy(service, 1).history.live == first == live_id(service)

    account.client("s3").delete_object(**history)
    with pytest.raises(MlshipError, match="the history of churn is gone") as lost:
        service.open().observe()
    assert lost.value.code == "lost-records"
    assert service.open().apply(Action("destroy"), None).ok and service.open().observe().history is None
    account.client("s3").delete_object(**history)
    with pytest.raises(MlshipError, match="the history of churn is gone"):
        service.open().observe()
