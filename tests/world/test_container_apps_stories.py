"""Stories of Container Apps: a second machine, a company's subscription, commands that are killed, an API that has bad days."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("azure.identity", reason="no azure-identity: pip install 'mlship[azure]'")
sys.path.insert(0, str(Path(__file__).parents[1] / "targets"))

from azure_operations import ARM, SUBSCRIPTION, refused
from container_apps_account import ADDRESS, DOMAIN, REGION, SUBNET, Account, ContainerAppsService, account
from container_apps_stores import BLOBS
from contract import CANARY, carry_out, deploy, live_id, paused_canary, roll_back, wanted
from inspecting_proxy import Asked, Told, told

from mlship.errors import Exit, MlshipError
from mlship.targets.azure.container_apps.asking import ask
from mlship.targets.azure.container_apps.target import ASLEEP, ContainerAppsTarget
from mlship.targets.azure.door import AzureDoor
from mlship.targets.azure.roles import ACR_PULL, ASSIGNMENT
from mlship.targets.base import Action, Request, Strategy
from mlship.targets.plan import plan

pytestmark = pytest.mark.world
DOOR = AzureDoor(SUBSCRIPTION, pause=lambda _: None)
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/mlship"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Account, Mapping[str, str]]]:
    with account(tmp_path_factory.mktemp("azure")) as made:
        yield made


@pytest.fixture
def environ(running: tuple[Account, Mapping[str, str]], monkeypatch: pytest.MonkeyPatch) -> Mapping[str, str]:
    for name, text in running[1].items():
        monkeypatch.setenv(name, text)
    return running[1]


@pytest.fixture
def world(running: tuple[Account, Mapping[str, str]], environ: Mapping[str, str]) -> Account:
    running[0].reset()
    return running[0]


@pytest.fixture
def service(tmp_path: Path, world: Account, environ: Mapping[str, str]) -> ContainerAppsService:
    return ContainerAppsService(tmp_path / "here", world, environ, DOOR)


def app(world: Account) -> dict[str, Any]:
    return next(one for one in world.resources.values() if one["type"] == "Microsoft.App/containerApps")


def traffic(world: Account) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = app(world)["properties"]["configuration"]["ingress"]["traffic"]
    return found


def test_a_second_machine_with_an_empty_disk_rolls_back(
    tmp_path: Path, world: Account, environ: Mapping[str, str], service: ContainerAppsService
) -> None:
    first = deploy(service, 1).history.live
    second = deploy(service, 2).history.live
    there = ContainerAppsService(tmp_path / "there", world, environ, DOOR)
    observed = there.open().observe()
    assert observed.history is not None and observed.history.live == second
    assert roll_back(there).history.live == first == live_id(service)
    assert len([one for known in world.revisions.values() for one in known]) == 2, "the kept revision serves again"


def company(world: Account) -> dict[str, str]:
    """What a company's subscription has before anybody comes with a model."""
    made: Mapping[str, tuple[str, dict[str, Any]]] = {
        "Microsoft.ContainerRegistry/registries/acmeml": ("registry", {"loginServer": "acmeml.azurecr.io"}),
        "Microsoft.ManagedIdentity/userAssignedIdentities/pulls": ("identity", {"principalId": "0"}),
        "Microsoft.App/managedEnvironments/ml": ("environment", {"vnetConfiguration": {"internal": True}}),
        "Microsoft.Storage/storageAccounts/acmemlship": ("storage", {}),
    }
    pull = f"{GROUP}/providers/Microsoft.ContainerRegistry/registries/acmeml/providers/{ASSIGNMENT}/pull"
    has = {"principalId": "0", "roleDefinitionId": f"/providers/Microsoft.Authorization/roleDefinitions/{ACR_PULL}"}
    world.resources[pull.lower()] = {"id": pull, "name": "pull", "type": ASSIGNMENT, "properties": has}
    world.resources[GROUP.lower()] = {"id": GROUP, "name": "mlship", "type": "group"}
    for rest, (_, properties) in made.items():
        kind, _, name = rest.rpartition("/")
        path = f"{GROUP}/providers/{rest}"
        said = {"location": REGION, "sku": {"name": "Basic"}} if "Registry" in kind else {"location": REGION}
        world.resources[path.lower()] = {"id": path, "name": name, "type": kind, **said, "properties": properties}
    world.resources[f"{GROUP}/providers/Microsoft.App/managedEnvironments/ml".lower()]["properties"]["appLogsConfiguration"] = {
        "destination": "log-analytics",
        "logAnalyticsConfiguration": {"customerId": "0"},
    }
    return {"subnet": "", "callers": "network"} | {key: rest.rpartition("/")[2] for rest, (key, _) in made.items()}


def test_an_identity_that_may_make_nothing_deploys_into_what_a_company_has(
    tmp_path: Path, world: Account, environ: Mapping[str, str]
) -> None:
    allowed = ContainerAppsService(tmp_path, world, environ, DOOR, **company(world))

    def denied(asked: Asked) -> Told | None:
        writes = asked.host == ARM and asked.method in ("PUT", "DELETE", "POST") and "/containerApps/" not in asked.path
        return refused(403, "AuthorizationFailed", "The client does not have authorization.") if writes else None

    world.hook = denied
    assert allowed.open().preflight(allowed.deployment(1)) == ()
    (first, second) = (deploy(allowed, version).history.live for version in (1, 2))
    assert first != second == live_id(allowed)
    assert roll_back(allowed).history.live == first
    assert {one["image"].partition("/")[0] for one in app(world)["properties"]["template"]["containers"]} == {
        "acmeml.azurecr.io"
    }
    assert app(world)["tags"]["mlship.storage"] == "acmemlship", "without mlship.yaml the tags lead to the records"
    assert allowed.open().apply(Action("destroy"), None).ok
    assert {one["name"] for one in world.resources.values()} == {"mlship", "acmeml", "pulls", "ml", "acmemlship", "pull"}


def test_an_identity_of_its_own_pulls_from_a_registry_that_is_given(
    tmp_path: Path, world: Account, environ: Mapping[str, str]
) -> None:
    settings = {**company(world), "identity": "", "registry": "acmeml.azurecr.io", "region": ""}
    own = ContainerAppsService(tmp_path, world, environ, DOOR, **settings)
    assert [one.what for one in own.open().preflight(own.deployment(1)) if one.severity == "error"] == []
    assert deploy(own, 1).history.live == live_id(own)
    roles = [key for key, one in world.resources.items() if one["type"] == ASSIGNMENT and one["name"] != "pull"]
    assert len(roles) == 1 and "/registries/acmeml/" in roles[0]
    settings |= {"registry": "elsewhere.azurecr.io", "storage": ""}
    wrong = ContainerAppsService(tmp_path, world, environ, DOOR, **settings)
    found = wrong.open().preflight(wrong.deployment(1))
    assert [one.code for one in found if one.severity == "error"] == ["no-such-part", "no-region"]


def test_who_may_not_assign_roles_hears_what_to_give_instead(world: Account, service: ContainerAppsService) -> None:
    no = refused(403, "AuthorizationFailed", "The client does not have authorization.")
    world.hook = lambda asked: no if "roleAssignments" in asked.path and asked.method == "PUT" else None
    with pytest.raises(MlshipError, match="may not give the new identity the role AcrPull on mlship"):
        deploy(service, 1)


def test_roles_that_are_new_are_waited_for(world: Account, service: ContainerAppsService) -> None:
    no = refused(400, "InvalidParameterValueInContainerTemplate", "unable to pull image using Managed identity")
    tries: list[str] = []

    def not_everywhere_yet(asked: Asked) -> Told | None:
        if asked.method == "PUT" and "/containerApps/" in asked.path:
            tries.append(asked.path)
            return no if len(tries) < 4 else None
        return None

    world.hook = not_everywhere_yet
    assert deploy(service, 1).history.live == live_id(service) and len(tries) == 4


def test_what_an_old_role_does_not_open_is_not_waited_for(world: Account, service: ContainerAppsService) -> None:
    said = ["SomethingElse"]

    def closed(asked: Asked) -> Told | None:
        is_app = asked.method == "PUT" and "/containerApps/" in asked.path
        return refused(400, said[0], "unable to pull image using Managed identity") if is_app else None

    world.hook = closed
    with pytest.raises(MlshipError, match="unable to pull image"):
        deploy(service, 1)
    (role,) = [one for one in world.resources.values() if "createdOn" in one.get("properties", {})]
    role["properties"]["createdOn"] = "2026-01-01T00:00:00.1234567Z"
    said[0] = "InvalidParameterValueInContainerTemplate"
    world.requests.clear()
    with pytest.raises(MlshipError, match="unable to pull image"):
        deploy(service, 1)
    assert not [asked for asked in world.requests if asked.startswith("PUT") and "roleAssignments" in asked]


def test_an_app_without_a_revision_is_made_anew(world: Account, service: ContainerAppsService) -> None:
    first = deploy(service, 1).history.live
    for known in world.revisions.values():
        known.clear()
    assert deploy(service, 1).history.live == first == live_id(service)


def test_what_an_administrator_made_needs_no_right_any_more(world: Account, service: ContainerAppsService) -> None:
    deploy(service, 1)
    usages = {"name": {"value": "ManagedEnvironmentCount"}, "currentValue": 1, "limit": 1}
    world.usages.append(usages)

    def contributor(asked: Asked) -> Told | None:
        is_asked = asked.path.endswith("/permissions")
        return told({"value": [{"actions": ["*"], "notActions": ["Microsoft.Authorization/*/Write"]}]}) if is_asked else None

    world.hook = contributor
    assert [one.what for one in service.open().preflight(service.deployment(2))] == []
    roles = [key for key in world.resources if "/roleassignments/" in key]
    world.resources.pop(roles[0])
    (found,) = service.open().preflight(service.deployment(2))
    assert found.what == "these credentials may not make Microsoft.Authorization/roleAssignments in mlship"


def test_a_release_whose_image_is_gone_is_known_before_a_rollback_begins(
    tmp_path: Path, world: Account, environ: Mapping[str, str], service: ContainerAppsService
) -> None:
    deploy(service, 1)
    deploy(service, 2)
    there = ContainerAppsService(tmp_path / "there", world, environ, DOOR)
    earlier = service.deployment(1)
    assert there.open().preflight(earlier) == ()
    gone = Told(404, {"Content-Type": "application/json"}, b'{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "no"}]}')
    world.hook = lambda asked: gone if "/manifests/" in asked.path else None
    (found,) = there.open().preflight(earlier)
    assert "is neither in mlship" in found.what and found.code == "no-image" and found.severity == "error"
    assert service.open().preflight(earlier) == (), "this machine has it, and would push it again"


def test_what_others_use_stays_when_the_project_goes(world: Account, service: ContainerAppsService) -> None:
    deploy(service, 1)
    no = refused(409, "ManagedEnvironmentHasContainerApps", "The environment has apps in it.")
    world.hook = lambda asked: no if asked.method == "DELETE" and "/managedEnvironments/" in asked.path else None
    gone = service.open().apply(Action("destroy"), None)
    assert gone.ok and "managedEnvironments mlship-churn stays" in gone.notes[0]
    assert [key.rpartition("/")[2] for key in service.left()] == ["mlship-churn"]


def test_a_registry_that_somebody_made_larger_stays_so(world: Account, service: ContainerAppsService) -> None:
    deploy(service, 1)
    (registry,) = [one for one in world.resources.values() if one["type"].endswith("/registries")]
    registry["sku"] = {"name": "Premium"}
    deploy(service, 2)
    assert registry["sku"] == {"name": "Premium"}


def test_without_a_role_for_blobs_the_account_s_keys_open_the_records(world: Account, service: ContainerAppsService) -> None:
    def no_data_role(asked: Asked) -> Told | None:
        by_key = asked.headers.get("authorization", "").startswith("SharedKey ")
        if not asked.host.endswith(BLOBS) or by_key:
            return None
        return Told(403, {"x-ms-error-code": "AuthorizationPermissionMismatch"}, b"")

    world.hook = no_data_role
    service.door = AzureDoor(SUBSCRIPTION, pause=lambda _: None)
    assert deploy(service, 1).history.live == live_id(service)


def test_a_canary_whose_callers_get_errors_is_taken_back(world: Account, service: ContainerAppsService) -> None:
    first = deploy(service, 1).history.live
    judged = replace(CANARY, approve="auto", bake_s=0.0, min_requests=10, gates=("error_rate < 1%",))
    target = service.open()
    decided = plan("deploy", wanted(service, target, 2, strategy=judged), target.observe())

    def counted(asked: Asked) -> Told | None:
        if asked.path.endswith("/metrics"):
            many = 100.0 * (1 + len(world.metrics))
            revisions = [name for known in world.revisions.values() for name in known]
            world.metrics |= {name: (many * len(world.requests), 0.2 * many * len(world.requests)) for name in revisions}
        return None

    world.hook = counted
    with pytest.raises(MlshipError, match="error_rate") as failed:
        carry_out(target, decided)
    assert failed.value.exit is Exit.VERIFY_FAILED
    assert live_id(service) == first
    assert [one["weight"] for one in traffic(world)] == [100]


def test_callers_that_somebody_led_elsewhere_are_led_back(world: Account, service: ContainerAppsService) -> None:
    first = deploy(service, 1).history.live
    second = deploy(service, 2).history.live
    for known in world.revisions.values():
        for one in known.values():
            one.active, one.looks = first in one.name, 9
            if first in one.name:
                traffic(world)[:] = [{"revisionName": one.name, "weight": 100}]
    observed = service.open().observe()
    assert observed.serving == first and observed.repair == "its revision is not active"
    target = service.open()
    again = plan("deploy", wanted(service, target, 2), observed)
    assert not again.is_empty
    assert carry_out(target, again).history.live == second == live_id(service)


class Killed(BaseException):
    """SIGKILL: nothing of the command runs any more."""


class Mortal:
    """A door that dies right after its n-th change of the world, and does nothing more then, not even give the lease back."""

    def __init__(self, inner: AzureDoor, at: int) -> None:
        self._inner, self._left = inner, at

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def arm(self, method: str, *words: Any, **query: str) -> dict[str, Any]:
        return self._after(method != "GET", lambda: self._inner.arm(method, *words, **query))

    def write_blob(self, *words: Any) -> None:
        self._after(True, lambda: self._inner.write_blob(*words))

    def read_blob(self, *words: Any) -> Any:
        return self._after(False, lambda: self._inner.read_blob(*words))

    def _after(self, changes: bool, act: Any) -> Any:
        if self._left < 0:
            raise Killed
        done = act()
        self._left -= changes
        if self._left < 0:
            raise Killed
        return done


class Through:
    """A service whose door is another one."""

    def __init__(self, inner: ContainerAppsService, door: Any) -> None:
        self._inner, self._door = inner, door

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def open(self) -> ContainerAppsTarget:
        return self._inner.open(self._door)


def test_a_command_that_is_killed_after_any_of_its_changes_is_simply_run_again(
    world: Account, service: ContainerAppsService
) -> None:
    world.starts_after = 0
    deploy(service, 1)
    version, at, was_killed = 2, 0, True
    while was_killed:
        try:
            deploy(Through(service, Mortal(DOOR, at)), version)
        except Killed:
            give_lease_back(world)
        else:
            was_killed = False
        assert deploy(service, version).history.live == live_id(service)
        assert {one.release for known in world.revisions.values() for one in known.values() if one.active} == {live_id(service)}
        version, at = version + 1, at + 1
    assert at > 5, "a deploy changes more than that"


def give_lease_back(world: Account) -> None:
    """As if its time were over."""
    (key,) = [name for name in world.blobs if name.endswith("lease.json")]
    raw, tag = world.blobs[key]
    world.blobs[key] = (json.dumps({**json.loads(raw), "expires": 0.0}).encode(), tag)


def test_an_api_that_throttles_and_fails_now_and_then_is_asked_again(world: Account, service: ContainerAppsService) -> None:
    asked_before: dict[str, int] = {}

    def bad_day(asked: Asked) -> Told | None:
        """Each request of another form is refused once."""
        if asked.host != ARM and not asked.host.endswith(BLOBS):
            return None
        form = f"{asked.method} {asked.path}"
        asked_before[form] = asked_before.get(form, 0) + 1
        if asked_before[form] > 1:
            return None
        if asked.host == ARM and len(asked_before) % 2:
            return refused(429, "TooManyRequests", "The request is being throttled.", Retry_After="1")
        return Told(503, {"Retry-After": "1", "x-ms-error-code": "ServerBusy"}, b"")

    world.hook = bad_day
    first = deploy(service, 1).history.live
    assert deploy(service, 2).history.live == live_id(service) != first
    assert len(asked_before) > 20


def test_an_operation_that_fails_in_the_end_is_told_with_its_reason(world: Account, service: ContainerAppsService) -> None:
    def hit(asked: Asked) -> Told | None:
        if asked.method == "PUT" and "managedEnvironments" in asked.path:
            world.operations.fails = (
                "MaxNumberOfRegionalEnvironmentsInSubExceeded",
                "The subscription has 1 of 1 environments.",
            )
        return None

    world.hook = hit
    with pytest.raises(MlshipError, match="The subscription has 1 of 1 environments"):
        deploy(service, 1)
    world.reset()
    assert deploy(service, 1).history.live == live_id(service), "and the same command goes on when it is mended"


def test_a_release_whose_operation_fails_after_ten_minutes_leaves_the_old_one(
    world: Account, service: ContainerAppsService
) -> None:
    first = deploy(service, 1).history.live
    slept: list[float] = []
    service.door = AzureDoor(SUBSCRIPTION, pause=slept.append)

    def fail(asked: Asked) -> Told | None:
        if asked.method == "PATCH" and "template" in asked.json["properties"]:
            world.operations.looks, world.operations.retry_after_s = 60, 10
            world.operations.fails = ("ContainerAppOperationError", "Failed to provision the revision.")
        return None

    world.hook = fail
    with pytest.raises(MlshipError, match="Failed to provision the revision") as failed:
        deploy(service, 2)
    assert failed.value.exit is Exit.VERIFY_FAILED and sum(slept) >= 600
    world.operations.looks, world.operations.retry_after_s = 1, 1
    assert live_id(service) == first and [one["weight"] for one in traffic(world)] == [100]


def test_the_names_of_a_network_are_made_known_before_anything_is_asked(
    world: Account, service: ContainerAppsService, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.knows = lambda host: False
    (found,) = [one for one in service.open().preflight(service.deployment(1)) if one.code == "no-names"]
    place = f"-g mlship --subscription {SUBSCRIPTION}"
    assert f"DOMAIN=$(az containerapp env show -n mlship-churn {place} -o tsv --query properties.defaultDomain)" in found.fix
    assert f'&& az network private-dns zone create -n "$DOMAIN" {place} &&' in found.fix
    with pytest.raises(MlshipError, match="nobody here knows the names of its apps yet; nothing served before") as failed:
        deploy(service, 1)
    network = SUBNET.partition("/subnets/")[0]
    assert failed.value.details == (
        f"az network private-dns zone create -n {DOMAIN} {place}",
        f"az network private-dns link vnet create --zone-name {DOMAIN} -n mlship-churn --virtual-network {network}"
        f" --registration-enabled false {place}",
        f"az network private-dns record-set a add-record --zone-name {DOMAIN} -n '*' --ipv4-address {ADDRESS} {place}",
    )
    assert not [asked for asked in world.requests if asked.startswith("PUT") and "/containerApps/" in asked]
    service.knows, world.requests[:] = lambda host: host.endswith(DOMAIN), []
    assert deploy(service, 1).history.live == live_id(service)
    assert not [asked for asked in world.requests if asked.startswith("PUT") and "/managedEnvironments/" in asked]
    history = service.open().observe().history
    assert history is not None and not history.rejected
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    assert ask(DOMAIN, Request("GET", "/mlship/release"), {}).is_unreached, "and what has no way there blames no release"


def test_what_is_missing_is_all_named_before_anything_is_changed(
    tmp_path: Path, world: Account, environ: Mapping[str, str], service: ContainerAppsService
) -> None:
    world.unregistered.add("Microsoft.App")
    world.usages.append({"name": {"value": "ManagedEnvironmentCount"}, "currentValue": 15, "limit": 15})
    found = {finding.code: finding for finding in service.open().preflight(service.deployment(1))}
    assert found["unregistered"].fix == f"az provider register --namespace Microsoft.App --subscription {SUBSCRIPTION}"
    assert "15 of 15 environments" in found["quota"].what
    assert found["no-names"].severity == "warning" and "az network private-dns zone create" in found["no-names"].fix
    world.delegations = []
    found = {finding.code: finding for finding in service.open().preflight(service.deployment(1))}
    assert found["not-delegated"].what == "the subnet apps is not delegated to Microsoft.App/environments"
    wrong = {"environment": "nobody", "identity": "none", "registry": "nothing", "logs": "no"}
    given = ContainerAppsService(tmp_path, world, environ, DOOR, **{**wrong, "subnet": "", "callers": "network"})
    missing = [finding.what for finding in given.open().preflight(given.deployment(1)) if finding.code == "no-such-part"]
    assert [what.split()[0] for what in missing] == [f"targets.azure.{key}" for key in wrong]
    assert not [asked for asked in world.requests if asked.startswith(("PUT", "PATCH", "DELETE"))]


def test_an_open_environment_is_not_taken_for_a_network(tmp_path: Path, world: Account, environ: Mapping[str, str]) -> None:
    given = ContainerAppsService(tmp_path, world, environ, DOOR, **company(world))
    world.resources[f"{GROUP}/providers/Microsoft.App/managedEnvironments/ml".lower()]["properties"]["vnetConfiguration"] = {}
    (found,) = [one for one in given.open().preflight(given.deployment(1)) if one.severity == "error"]
    assert "the environment ml is open to the internet" in found.what


def test_another_range_of_copies_is_another_revision_of_the_same_release(world: Account, service: ContainerAppsService) -> None:
    first = deploy(service, 1)
    operating = {**first.history.operating, "replicas": {"min": 2, "max": 4}}
    done = deploy(service, 1, operating=operating, replicas=(2, 4))
    assert done.history.live == first.history.live == live_id(service) and done.history.generation == 2
    active = [one for known in world.revisions.values() for one in known.values() if one.active]
    assert [(one.template["scale"]["minReplicas"], one.template["scale"]["maxReplicas"]) for one in active] == [(2, 4)]
    assert len(service.open().observe().replicas) == 2
    second = deploy(service, 2, operating=operating, replicas=(2, 4)).history.live
    assert roll_back(service).history.live == first.history.live != second


def test_looking_at_an_app_that_sleeps_does_not_wake_it(world: Account, service: ContainerAppsService) -> None:
    service.extra = {"replicas": (0, 3)}
    live = deploy(service, 1).history.live
    for known in world.revisions.values():
        for one in known.values():
            one.asleep = True
    world.requests.clear()
    observed = service.open().observe()
    assert observed.serving == live and observed.replicas == () and observed.notes == (ASLEEP,) and not observed.repair
    assert [(line.release, line.text) for line in service.open().logs(live)] == [(live, "went to sleep")]
    assert not [asked for asked in world.requests if DOMAIN in asked]
    assert live_id(service) == live, "a caller wakes it"


def test_with_entra_nobody_gets_in_without_a_token(tmp_path: Path, world: Account, environ: Mapping[str, str]) -> None:
    entra = {"client_id": "c0ffee", "tenant": "7e4a47", "principals": ("anna",)}
    service = ContainerAppsService(tmp_path, world, environ, DOOR, subnet="", entra=entra)
    opened: list[bool] = []

    def seen(asked: Asked) -> Told | None:
        is_judged = any(key.endswith("/authconfigs/current") for key in world.resources)
        if asked.method in ("PUT", "PATCH") and "/containerApps/" in asked.path and "authConfigs" not in asked.path:
            ingress = asked.json["properties"]["configuration"].get("ingress", {})
            opened.append(bool(ingress.get("external")) and not is_judged)
        return None

    world.hook = seen
    live = deploy(service, 1).history.live
    assert opened and not any(opened), "it is never open to all"
    host = app(world)["properties"]["configuration"]["ingress"]["fqdn"]
    asked = Asked("GET", host, "/mlship/release", {}, {})
    assert world.answer(asked).status == 401
    assert live_id(service) == live
    assert "api://c0ffee" in world.login.audiences


def test_releases_keep_their_versions_of_secrets_and_mlship_has_a_key_of_its_own(
    world: Account, service: ContainerAppsService
) -> None:
    url = "https://churn-vault.vault.azure.net/secrets/keys"
    references = {"CHURN_KEYS": "churn-vault/keys"}
    world.secrets[url] = ["4387e9"]
    newest = dict(service.open().pinned(references))
    assert newest == {"CHURN_KEYS": "4387e9"}
    service.extra = {"references": references}
    service.served = {"secrets": newest, "serving": {"auth": {"api_keys": "CHURN_KEYS"}}}
    first = deploy(service, 1).history.live
    world.secrets[url].append("99aa")
    service.served = {**service.served, "secrets": dict(service.open().pinned(references))}
    assert deploy(service, 1).history.live != first, "another version of a secret is another release"
    said = app(world)["properties"]["configuration"]["secrets"]
    assert sorted(one.get("keyVaultUrl", "").rpartition("/")[2] for one in said) == ["", "4387e9", "99aa"]
    assert service.open().ask(Request("GET", "/mlship/release", key="nobody's")).status == 401
    assert roll_back(service).history.live == first == live_id(service)
    with pytest.raises(MlshipError, match="Key Vault has no secret churn-vault/other; az keyvault secret set"):
        service.open().pinned({"OTHER": "churn-vault/other"})


def test_a_disabled_version_of_a_kept_release_does_not_stand_in_the_way(world: Account, service: ContainerAppsService) -> None:
    """Azure reads every secret of the app again with each change; who rotates keys disables the old one."""
    url, references = "https://churn-vault.vault.azure.net/secrets/keys", {"CHURN_KEYS": "churn-vault/keys"}
    service.extra = {"references": references}
    releases = []
    for number, version in enumerate(("aaa1", "bbb2"), 1):
        world.secrets[url] = [*world.secrets.get(url, []), version]
        service.served = {"secrets": dict(service.open().pinned(references))}
        releases.append(deploy(service, number).history.live)
    world.disabled.add(f"{url}/aaa1")
    service.served = {"secrets": {"CHURN_KEYS": "aaa1"}}
    (found,) = [one for one in service.open().preflight(service.deployment(1)) if one.code == "missing-secret"]
    assert found.severity == "error" and f"{url}/aaa1, which Key Vault does not give any more" in found.what
    world.secrets[url].append("ccc3")
    service.served = {"secrets": dict(service.open().pinned(references))}
    done = deploy(service, 3)
    assert done.history.live == live_id(service)
    assert f"{releases[0]} cannot be served again: Key Vault does not give {url}/aaa1 any more" in done.notes
    observed = service.open().observe()
    assert releases[0] not in observed.restorable and "no more" in observed.lost[releases[0]]
    assert roll_back(service).history.live == releases[1] == live_id(service)
    world.disabled.add(f"{url}/bbb2")
    (found,) = [one for one in service.open().preflight(service.deployment(3)) if one.code == "disabled-secret"]
    assert found.severity == "warning" and f"--id {url}/bbb2 --enabled true" in found.fix


def test_a_canary_is_reached_by_its_label_and_measured_by_its_revision(world: Account, service: ContainerAppsService) -> None:
    first = deploy(service, 1).history.live
    second = paused_canary(service)
    asked = service.open().ask(Request("GET", "/mlship/release", of="staged"))
    assert json.loads(asked.body)["release"] == second
    labels = {one["revisionName"].partition("--")[2][:9]: one.get("label") for one in traffic(world)}
    assert labels == {first: "live", second: "staged"}
    world.metrics = {name: (90.0, 10.0) for known in world.revisions.values() for name in known}
    measured = service.open().measure()
    assert {release: (one.requests, one.errors) for release, one in measured.items()} == {
        first: (100.0, 10.0),
        second: (100.0, 10.0),
    }


def test_latencies_are_refused_as_gates(service: ContainerAppsService) -> None:
    for metric in ("p50_ms", "p90_ms", "p95_ms", "p99_ms", "mean_ms"):
        strategy = Strategy("canary", steps=(0.5, 1.0), gates=(f"{metric} < 40", "error_rate < 1%"))
        (found,) = service.open().preflight(replace(service.deployment(1), strategy=strategy))
        assert found.severity == "error" and metric in found.what and "use service azureml" in found.fix
