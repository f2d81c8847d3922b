"""Stories of azureml: a second machine, commands that are killed, late failures, silent ones, quota, and what an identity may not do."""

from __future__ import annotations

import copy
import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("azure.identity", reason="no azure-identity: pip install 'mlship[azure]'")
sys.path.insert(0, str(Path(__file__).parents[1] / "targets"))

from azure_operations import SUBSCRIPTION, refused
from azureml_account import GROUP, PLACE, WORKSPACE, AzureMlService, MlAccount, door_of, workspace
from contract import CANARY, FACTS, deploy, give_up, live_id, roll_back, wanted
from inspecting_proxy import Asked, Told

from mlship.errors import Exit, MlshipError
from mlship.home import Home
from mlship.progress import Silent
from mlship.targets.azure.azureml.site import ML_API
from mlship.targets.azure.azureml.target import services
from mlship.targets.azure.door import AzureDoor, Door
from mlship.targets.azure.refusal import Refused
from mlship.targets.base import Action, Strategy
from mlship.targets.plan import plan
from mlship.targets.rollout import Paused, RolledOut, World, roll_out

pytestmark = pytest.mark.world
DOORS: dict[int, AzureDoor] = {}
WRITES = ("PUT", "PATCH", "DELETE", "POST")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[MlAccount, Mapping[str, str]]]:
    with workspace(tmp_path_factory.mktemp("azureml")) as made:
        yield made


@pytest.fixture
def service(
    tmp_path: Path, running: tuple[MlAccount, Mapping[str, str]], monkeypatch: pytest.MonkeyPatch
) -> Iterator[AzureMlService]:
    world, environ = running
    for name, text in environ.items():
        monkeypatch.setenv(name, text)
    world.reset()
    yield AzureMlService(tmp_path, world, environ, lambda world: DOORS.setdefault(id(world), door_of(world)))


def by_the_tests_clock(service: Any, version: int, broken: str = "", **changes: Any) -> RolledOut:
    """A deploy whose watching costs no time."""
    target, clock = service.open(), service.world.clock
    decided = plan("deploy", wanted(service, target, version, broken, **changes), target.observe())
    return roll_out(target, decided, FACTS, World(clock, clock.sleep, Silent()))


class Through:
    """A target whose door is another one."""

    def __init__(self, service: AzureMlService, door: Any, **said: Any) -> None:
        self._service, self._door, self._said = service, door, said

    def __getattr__(self, name: str) -> Any:
        return getattr(self._service, name)

    def open(self) -> Any:
        return self._service.open(self._door, **self._said)


def test_a_second_machine_with_an_empty_disk_and_no_yaml_rolls_back(service: AzureMlService, tmp_path: Path) -> None:
    service.environment = "prod"
    first = deploy(service, 1).history.live
    second = deploy(service, 2).history.live
    there = Through(service, door_of(service.world), settings={}, home=Home(tmp_path / "there"))
    observed = there.open().observe()
    assert observed.history is not None and observed.history.live == second
    assert roll_back(there).history.live == first == live_id(there)
    (row,) = services(service.opening(), DOORS[id(service.world)])
    assert (row.project, row.environment, row.live, row.ready) == ("churn", "prod", first, True)


class Killed(BaseException):
    """SIGKILL: nothing of the command runs any more."""


class Mortal:
    """Dies right after its n-th change of the world, and does nothing more then, not even what gives the lease back."""

    def __init__(self, inner: Door, at: int) -> None:
        self._inner, self._at, self.changed = inner, at, 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not callable(found):
            return found

        def call(*said: Any, **named: Any) -> Any:
            if self.changed > self._at:
                raise Killed
            answer = found(*said, **named)
            if name.startswith(("write_", "delete_", "make_")) or (name == "arm" and _writes(said)):
                self.changed += 1
                if self.changed > self._at:
                    raise Killed
            return answer

        return call


def _writes(said: tuple[Any, ...]) -> bool:
    return said[0] in WRITES and not str(said[1]).endswith(("/listKeys", "/getLogs"))


@pytest.mark.parametrize("first", [0, 1, 2])
def test_a_command_that_is_killed_after_any_of_its_changes_is_simply_run_again(service: AzureMlService, first: int) -> None:
    """A third of the changes each, so that no test takes long."""
    deploy(service, 1)
    door = DOORS[id(service.world)]
    version, at, was_killed = 2, first, True
    while was_killed:
        try:
            deploy(Through(service, Mortal(door, at)), version)
        except Killed:
            lease_is_over(service.world)
        else:
            was_killed = False
        assert deploy(service, version).history.live == live_id(service)
        assert [one["name"] for one in service.world.of("deployments")] == [live_id(service)]
        version, at = version + 1, at + 3
    assert at > 5, "a deploy changes more than that"


def lease_is_over(world: MlAccount) -> None:
    (name,) = [name for name in world.blobs if name.endswith("/lease.json")]
    raw, tag = world.blobs[name]
    world.blobs[name] = (json.dumps({**json.loads(raw), "expires": 0.0}).encode(), tag)


def test_an_api_that_is_throttled_and_flaky_is_asked_again(service: AzureMlService) -> None:
    asked = iter(range(10_000))

    def trouble(request: Asked) -> Told | None:
        if not request.host.endswith((".azure.com", ".core.windows.net")):
            return None
        number = next(asked)
        if number % 7 == 3 and request.host == "management.azure.com":
            return refused(429, "TooManyRequests", "slow down", Retry_After="5")
        return refused(503, "ServerTimeout", "not now") if number % 11 == 5 else None

    service.world.hook = trouble
    deploy(service, 1)
    assert deploy(service, 2).history.live == live_id(service)
    assert service.world.clock.slept >= 5


def test_an_identity_that_may_make_nothing_deploys_into_what_a_company_has(service: AzureMlService) -> None:
    identity = (
        f"/subscriptions/{SUBSCRIPTION}/resourceGroups/id/providers/Microsoft.ManagedIdentity/userAssignedIdentities/churn"
    )
    service.world.resources[identity.lower()] = {"id": identity, "name": "churn", "type": "identity"}
    storage = f"{PLACE}/providers/Microsoft.Storage/storageAccounts/acmemlship"
    service.world.resources[storage.lower()] = {
        "id": storage,
        "name": "acmemlship",
        "type": "Microsoft.Storage/storageAccounts",
    }
    given = {"storage": "acmemlship", "registry": "shopimages", "identity": identity, "subscription": SUBSCRIPTION}
    service.settings = {**service.settings, **given}
    service.world.hook = deny_making
    target = service.open()
    assert [found for found in target.preflight(service.deployment(1)) if found.severity == "error"] == []
    first = deploy(service, 1).history.live
    deploy(service, 2)
    assert roll_back(service).history.live == first
    (endpoint,) = service.world.of("onlineEndpoints")
    assert endpoint["identity"] == {"type": "UserAssigned", "userAssignedIdentities": {identity: {}}}
    there = Through(service, door_of(service.world), settings={})
    assert there.open().observe().serving == first


def deny_making(asked: Asked) -> Told | None:
    """What only an administrator may."""
    makes = (
        asked.method in ("PUT", "PATCH", "DELETE") and "/Microsoft.MachineLearningServices/workspaces/shop/" not in asked.path
    )
    if asked.host == "management.azure.com" and makes:
        return refused(403, "AuthorizationFailed", "not you")
    return None


def test_credentials_that_do_not_see_the_subscription_change_nothing(service: AzureMlService) -> None:
    other = "99999999-0000-0000-0000-000000000000"
    service.settings = {**service.settings, "subscription": other}
    deployment = service.deployment(1)
    with pytest.raises(
        MlshipError, match=f"AZURE_SUBSCRIPTION_ID is {SUBSCRIPTION}, and targets.azure.subscription is {other}"
    ) as no:
        service.open().preflight(deployment)
    assert no.value.exit is Exit.DENIED
    outcome = service.open().apply(Action("deliver", deployment.release.id), deployment)
    assert not outcome.ok and outcome.fault == "target"
    assert service.left() == []


def test_quota_counts_what_azure_keeps_for_upgrades(service: AzureMlService) -> None:
    """Two machines of four cores need twelve, not eight."""
    service.changes = {"replicas": (2, 2)}
    service.world.vcpus = 11
    (found,) = service.open().preflight(service.deployment(1))
    assert (
        "2 x Standard_DS3_v2 needs 12 vCPUs of standardDSv2Family, 20 % of which Azure keeps for upgrades, and 11 are left"
        in str(found)
    )
    service.world.vcpus = 12
    assert service.open().preflight(service.deployment(1)) == ()


def test_a_quota_that_is_hit_in_the_end_is_no_fault_of_the_release(service: AzureMlService) -> None:
    first = deploy(service, 1).history.live
    service.world.vcpus = 4
    with pytest.raises(MlshipError, match=r"OutOfQuota.*Not enough quota") as failed:
        deploy(service, 2)
    assert failed.value.exit is Exit.VERIFY_FAILED
    assert live_id(service) == first
    service.world.vcpus = 100
    assert deploy(service, 2).history.live == live_id(service) != first


def test_a_deployment_that_fails_after_ten_minutes_of_polling_leaves_the_old_one(service: AzureMlService) -> None:
    first = deploy(service, 1).history.live
    began = service.world.clock.slept
    service.world.operations.lasts_s = 600.0
    service.world.operations.retry_after_s = 15

    def fail(asked: Asked) -> Told | None:
        if asked.method == "PUT" and "/deployments/" in asked.path:
            service.world.operations.fails = ("ResourceNotReady", "User container has crashed or terminated.")
        return None

    service.world.hook = fail
    with pytest.raises(MlshipError, match=r"ResourceNotReady.*User container has crashed"):
        deploy(service, 2)
    assert service.world.clock.slept - began >= 600
    assert live_id(service) == first
    assert [one["name"] for one in service.world.of("deployments")] == [first]
    observed = service.open().observe()
    assert observed.history is not None and len(observed.history.rejected) == 1


def test_shares_that_azure_says_it_changed_and_did_not_are_noticed(service: AzureMlService) -> None:
    first = deploy(service, 1).history.live
    service.world.lies = True
    with pytest.raises(MlshipError, match="the endpoint has other shares than it was given") as failed:
        deploy(service, 2)
    assert failed.value.exit is Exit.VERIFY_FAILED
    service.world.lies = False
    assert live_id(service) == first


def test_an_endpoint_that_somebody_led_elsewhere_is_put_right(service: AzureMlService) -> None:
    first = deploy(service, 1).history.live
    (made,) = service.world.of("deployments")
    somebody_deploys(service.world, made, "mine")
    (endpoint,) = service.world.of("onlineEndpoints")
    endpoint["properties"]["traffic"] = {"mine": 100}
    target = service.open()
    observed = target.observe()
    assert observed.repair == "the endpoint leads callers elsewhere, too"
    assert deploy(service, 1).history.live == first == live_id(service)
    assert service.open().observe().weights == {first: 1.0}
    assert {one["name"] for one in service.world.of("deployments")} == {first, "mine"}, "it is somebody else's"


def somebody_deploys(world: MlAccount, like: Mapping[str, Any], name: str) -> None:
    path = like["id"].replace(like["name"], name)
    world.ml[path.lower()] = {**copy.deepcopy(dict(like)), "id": path, "name": name, "tags": {"team": "others"}}


def test_answers_without_what_azure_fills_in_are_no_difference(service: AzureMlService) -> None:
    service.world.bare = True
    deploy(service, 1)
    target = service.open()
    assert plan("deploy", wanted(service, target, 1), target.observe()).is_empty
    operating = {"labels": {"team": "growth"}, "settings": service.settings}
    first = deploy(service, 1, operating=operating, labels={"team": "growth"}).history.live
    assert deploy(service, 2).history.live != first
    assert roll_back(service).history.live == first == live_id(service)


def test_shares_that_do_not_add_up_and_a_deployment_with_callers_are_refused(service: AzureMlService) -> None:
    """By Azure: nothing that mlship sends comes to that, and what it would say then is told."""
    first = deploy(service, 1).history.live
    door, (endpoint,) = DOORS[id(service.world)], service.world.of("onlineEndpoints")
    body = {key: endpoint[key] for key in ("location", "identity", "tags")}
    body["properties"] = {"authMode": "Key", "traffic": {first: 90}}
    with pytest.raises(Refused, match="has to be either 0 or 100") as no:
        door.arm("PUT", endpoint["id"], ML_API, body)
    assert no.value.exit is Exit.USAGE
    with pytest.raises(Refused, match="has traffic and cannot be deleted"):
        door.arm("DELETE", f"{endpoint['id']}/deployments/{first}", ML_API)
    assert live_id(service) == first


MIRRORED = Strategy(
    "canary", steps=(0.25, 1.0), bake_s=600.0, min_requests=1, gates=("error_rate < 1%", "p95_ms < 100"), mirror=0.1
)


def led(world: MlAccount) -> list[tuple[dict[str, int], dict[str, int]]]:
    """Shares and copies of all requests that lead callers, as they are sent."""
    sent: list[tuple[dict[str, int], dict[str, int]]] = []

    def see(asked: Asked) -> None:
        if asked.method == "PUT" and re.search(r"/onlineEndpoints/[^/]+$", asked.path):
            sent.append((asked.json["properties"]["traffic"], asked.json["properties"]["mirrorTraffic"]))

    world.hook = see
    return sent


def test_a_mirror_is_watched_before_the_first_caller_moves(service: AzureMlService) -> None:
    first = by_the_tests_clock(service, 1, strategy=MIRRORED).history.live
    sent, began = led(service.world), service.world.clock()
    second = by_the_tests_clock(service, 2, strategy=MIRRORED).history.live
    assert sent == [({first: 100}, {second: 10}), ({first: 75, second: 25}, {}), ({second: 100}, {})]
    assert service.world.clock() - began >= 1200
    assert live_id(service) == second and service.open().observe().notes == ()


def test_a_release_that_answers_copies_with_errors_meets_no_caller(service: AzureMlService) -> None:
    first = deploy(service, 1).history.live
    sent = led(service.world)
    with pytest.raises(MlshipError, match=rf"error_rate is \d+ %.*{first} serves as before") as failed:
        by_the_tests_clock(service, 2, "errors", strategy=MIRRORED)
    assert failed.value.exit is Exit.VERIFY_FAILED
    assert [traffic for traffic, _ in sent] == [{first: 100}, {first: 100}] and sent[-1] == ({first: 100}, {})
    assert live_id(service) == first and [one["name"] for one in service.world.of("deployments")] == [first]


def test_a_mirror_that_waits_is_shown_and_taken_back(service: AzureMlService) -> None:
    first = deploy(service, 1).history.live
    with pytest.raises(Paused, match="gets a copy of 10 % of the requests"):
        by_the_tests_clock(service, 2, strategy=replace(MIRRORED, min_requests=1000))
    observed = service.open().observe()
    assert observed.history is not None and observed.history.underway is not None
    second = observed.history.underway.release.id
    assert observed.notes == (f"10 % of the requests are copied to {second}",) and observed.weights == {first: 1.0}
    give_up(service)
    (endpoint,) = service.world.of("onlineEndpoints")
    assert (endpoint["properties"]["traffic"], endpoint["properties"]["mirrorTraffic"]) == ({first: 100}, {})
    assert [one["name"] for one in service.world.of("deployments")] == [first]


def test_a_mirror_that_is_killed_after_any_of_its_changes_goes_on(service: AzureMlService) -> None:
    deploy(service, 1)
    door, kept, at = DOORS[id(service.world)], 0, 4
    for version in range(2, 6):
        with pytest.raises(Killed):
            by_the_tests_clock(Through(service, Mortal(door, at)), version, strategy=MIRRORED)
        (endpoint,) = service.world.of("onlineEndpoints")
        kept += bool(endpoint["properties"]["mirrorTraffic"])
        lease_is_over(service.world)
        assert by_the_tests_clock(service, version, strategy=MIRRORED).history.live == live_id(service)
        (endpoint,) = service.world.of("onlineEndpoints")
        assert endpoint["properties"]["mirrorTraffic"] == {}
        at += 1
    assert kept >= 2, "it was killed while copies went to the release"


def test_the_one_mirror_that_there_can_be_is_not_taken_from_somebody_else(service: AzureMlService) -> None:
    first = deploy(service, 1).history.live
    (made,), (endpoint,) = service.world.of("deployments"), service.world.of("onlineEndpoints")
    somebody_deploys(service.world, made, "shadow")
    endpoint["properties"]["mirrorTraffic"] = {"shadow": 10}
    target = service.open()
    (found,) = target.preflight(replace(wanted(service, target, 2), strategy=MIRRORED))
    assert "10 % of the requests are copied to shadow already" in found.what
    place = f"-n {endpoint['name']} -w {WORKSPACE} -g {GROUP} --subscription {SUBSCRIPTION}"
    assert f"az ml online-endpoint update {place} --mirror-traffic" in found.fix
    with pytest.raises(MlshipError, match="copies requests to shadow already, and Azure has room for one"):
        by_the_tests_clock(service, 2, strategy=MIRRORED)
    assert live_id(service) == first


def test_what_somebody_mirrors_stays_mirrored_while_shares_change(service: AzureMlService) -> None:
    """To a deployment that is not mlship's; what a person set by hand is not taken away by a change of shares."""
    first = deploy(service, 1).history.live
    (made,), (endpoint,) = service.world.of("deployments"), service.world.of("onlineEndpoints")
    somebody_deploys(service.world, made, "shadow")
    endpoint["properties"]["mirrorTraffic"] = {"shadow": 10}
    target = service.open()
    observed = target.observe()
    assert observed.notes == ("10 % of the requests are copied to shadow",)
    deployment = replace(wanted(service, target, 1), labels={"team": "growth"})
    assert target.apply(Action("operate", first), deployment).ok
    (endpoint,) = service.world.of("onlineEndpoints")
    assert endpoint["properties"]["mirrorTraffic"] == {"shadow": 10} and endpoint["tags"]["team"] == "growth"
    second = deploy(service, 2).history.live
    (endpoint,) = service.world.of("onlineEndpoints")
    assert endpoint["properties"]["mirrorTraffic"] == {"shadow": 10}
    assert {one["name"] for one in service.world.of("deployments")} == {second, "shadow"}


def test_autoscaling_changes_in_place(service: AzureMlService) -> None:
    first = deploy(service, 1).history.live
    (before,) = service.world.of("deployments")
    operating = {"labels": {}, "settings": service.settings, "replicas": {"min": 1, "max": 4}}
    assert deploy(service, 1, operating=operating, replicas=(1, 4)).history.live == first
    ((_, setting),) = service.world.scalings.items()
    assert setting["properties"]["profiles"][0]["capacity"] == {"minimum": "1", "maximum": "4", "default": "1"}
    before["sku"]["capacity"] = 3  # it was busy
    again = {**operating, "replicas": {"min": 1, "max": 5}}
    deploy(service, 1, operating=again, replicas=(1, 5))
    (after,) = service.world.of("deployments")
    assert (after["name"], after["systemData"], after["sku"]["capacity"]) == (first, before["systemData"], 3)
    second = deploy(service, 2, operating=again, replicas=(1, 5)).history.live
    (made,) = service.world.of("deployments")
    assert (made["name"], made["sku"]["capacity"]) == (second, 3), "callers find as many machines as before"
    ((path, _),) = service.world.scalings.items()
    assert path.endswith(f"-{second}")
    deploy(service, 2, operating={"labels": {}, "settings": service.settings}, replicas=(1, 1))
    assert service.world.scalings == {}


def test_an_endpoint_that_somebody_took_away_is_made_again(service: AzureMlService) -> None:
    first = deploy(service, 1).history.live
    target = service.open()
    decided = plan("deploy", wanted(service, target, 2), target.observe())
    service.world.ml = {path: one for path, one in service.world.ml.items() if "/onlineendpoints/" not in path}
    outcome = target.apply(Action("shift", decided.deployment.release.id, first), decided.deployment)
    assert not outcome.ok and "somebody took it away" in outcome.cause
    assert service.open().observe().serving == ""
    assert deploy(service, 1).history.live == first == live_id(service)


def test_a_canary_that_is_too_slow_is_taken_back(service: AzureMlService) -> None:
    first = deploy(service, 1).history.live
    service.world.slow_ms = 500.0
    gates = replace(CANARY, approve="auto", gates=("p95_ms < 100",), min_requests=1, bake_s=300.0)
    with pytest.raises(MlshipError, match="p95") as failed:
        by_the_tests_clock(service, 2, strategy=gates)
    assert failed.value.exit is Exit.VERIFY_FAILED
    assert live_id(service) == first
    assert [one["name"] for one in service.world.of("deployments")] == [first]
    service.world.slow_ms = 20.0
    assert by_the_tests_clock(service, 3, strategy=gates).history.live == live_id(service) != first


@pytest.mark.parametrize("auth", ["aml_token", "aad_token"])
def test_callers_come_with_a_token_where_the_endpoint_wants_one(service: AzureMlService, auth: str) -> None:
    service.settings = {**service.settings, "auth": auth}
    assert deploy(service, 1).history.live == live_id(service)
    (endpoint,) = service.world.of("onlineEndpoints")
    assert endpoint["properties"]["authMode"] == {"aml_token": "AMLToken", "aad_token": "AADToken"}[auth]
    assert ("https://ml.azure.com" in service.world.login.audiences) or auth == "aml_token"


def test_secrets_are_pinned_to_the_version_that_is_the_newest(service: AzureMlService) -> None:
    service.world.secrets["https://acme.vault.azure.net/secrets/churn-keys"] = ["a" * 32, "b" * 32]
    assert service.open().pinned({"CHURN_KEYS": "acme/churn-keys"}) == {"CHURN_KEYS": "b" * 32}
    with pytest.raises(MlshipError, match="Key Vault has no secret acme/other"):
        service.open().pinned({"CHURN_KEYS": "acme/other"})


def test_logs_and_reasons_are_told(service: AzureMlService) -> None:
    first = deploy(service, 1).history.live
    target = service.open()
    assert [line.text for line in target.logs(first, lines=1)] == ["ready"]
    (why,) = target.why()
    assert (why.release, why.state, why.log[-1]) == (first, "succeeded", "ready")


def test_what_is_missing_is_all_named_before_anything_is_changed(service: AzureMlService) -> None:
    service.settings = {**service.settings, "registry": "nothing", "identity": "nobody", "instance": "Standard_DS9_v9"}
    service.world.unregistered = {"Microsoft.ContainerRegistry"}
    service.world.denied.append("Microsoft.MachineLearningServices/workspaces/environments/*")
    told = [found.what for found in service.open().preflight(service.deployment(1))]
    assert told == [
        f"the provider Microsoft.ContainerRegistry is NotRegistered in the subscription {SUBSCRIPTION}",
        "these credentials may not make Microsoft.MachineLearningServices/workspaces/environments/versions in ml",
        "there is no registry nothing",
        "there is no managed identity nobody",
        "Azure ML has no Standard_DS9_v9 in westeurope",
    ]
    (shop,) = [one for one in service.world.resources.values() if one["name"] == "shop"]
    shop["properties"]["publicNetworkAccess"] = "Disabled"
    (private,) = [found for found in service.open().preflight(service.deployment(1)) if found.code == "open-endpoint"]
    assert private.what.startswith("the workspace shop has no public access") and "callers: network" in private.fix
    service.settings = {**service.settings, "workspace": "nowhere"}
    told = [found.what for found in service.open().preflight(service.deployment(1))]
    assert told[-1] == "there is no workspace nowhere in the resource group ml"
    assert service.left() == []


def test_callers_of_a_network_come_by_the_private_endpoint(service: AzureMlService) -> None:
    (shop,) = [one for one in service.world.resources.values() if one["name"] == "shop"]
    shop["properties"]["publicNetworkAccess"] = "Disabled"
    service.settings = {**service.settings, "callers": "network"}
    (found,) = service.open().preflight(service.deployment(1))
    assert (found.code, found.severity) == ("nobody-can-call", "error")
    shop["properties"]["privateEndpointConnections"] = [{"id": f"{shop['id']}/privateEndpointConnections/in"}]
    (found,) = service.open().preflight(service.deployment(1))
    assert (found.code, found.severity) == ("inside-alone", "warning")
    first = deploy(service, 1).history.live
    (endpoint,) = service.world.of("onlineEndpoints")
    assert endpoint["properties"]["publicNetworkAccess"] == "Disabled"
    shop["properties"]["publicNetworkAccess"] = "Enabled"
    service.settings = {name: text for name, text in service.settings.items() if name != "callers"}
    operating = {"labels": {}, "settings": service.settings}
    assert deploy(service, 1, operating=operating).history.live == first, "who may come changes in place"
    (endpoint,) = service.world.of("onlineEndpoints")
    assert endpoint["properties"]["publicNetworkAccess"] == "Enabled"


def test_images_go_with_the_releases_that_had_them(service: AzureMlService) -> None:
    first = deploy(service, 1).history.live
    second = deploy(service, 2).history.live
    removed: set[str] = set()
    service.world.hook = lambda asked: (
        removed.add(asked.path) if asked.method == "DELETE" and asked.host.endswith(".azurecr.io") else None
    )
    history = service.open().observe().history
    assert history is not None
    assert service.open().apply(Action("retire", subjects=(first,)), None).notes == ()
    (path,) = removed
    assert service.world.contents[path.rpartition("/")[2]] == history.find(first).served.content
    assert service.open().observe().serving == second


def test_images_that_may_not_be_removed_stay_and_that_is_said(service: AzureMlService) -> None:
    first = deploy(service, 1).history.live
    deploy(service, 2)
    service.world.hook = deny_removing
    (note,) = service.open().apply(Action("retire", subjects=(first,)), None).notes
    assert note.startswith("images of mlship/churn stay in the registry")
    assert service.open().apply(Action("destroy"), None).ok
    assert service.left() == []


def deny_removing(asked: Asked) -> Told | None:
    is_image = asked.host.endswith(".azurecr.io") and asked.method == "DELETE"
    return (
        Told(403, {"Content-Type": "application/json"}, b'{"errors": [{"code": "DENIED", "message": "no"}]}')
        if is_image
        else None
    )
