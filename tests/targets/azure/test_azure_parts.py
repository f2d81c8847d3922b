"""What both services of Azure share: clouds, refusals, names, records."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest
from cloud_deployment import deployment

from mlship.errors import Exit, MlshipError
from mlship.releases.history import History
from mlship.releases.records import LeaseHeld, LeaseLost
from mlship.targets.azure.blobs import Blob
from mlship.targets.azure.cloud import CHINA, PUBLIC, US_GOVERNMENT, cloud_of
from mlship.targets.azure.door import Door
from mlship.targets.azure.preflight import permissions
from mlship.targets.azure.records import BlobRecords
from mlship.targets.azure.refusal import of_login, refusal, short
from mlship.targets.azure.scope import Place, Scope, assignment
from mlship.targets.base import InSharedPlace


def test_the_authority_says_which_cloud_it_is() -> None:
    assert cloud_of("", {}) is PUBLIC
    assert cloud_of("", {"AZURE_AUTHORITY_HOST": "https://login.chinacloudapi.cn/"}) is CHINA
    assert cloud_of("", {"AZURE_AUTHORITY_HOST": "login.microsoftonline.us"}) is US_GOVERNMENT
    assert cloud_of("usgov", {"AZURE_AUTHORITY_HOST": "https://login.chinacloudapi.cn"}) is US_GOVERNMENT
    with pytest.raises(
        MlshipError, match=r"AZURE_AUTHORITY_HOST is https://login[.]example, which is no cloud that mlship knows"
    ):
        cloud_of("", {"AZURE_AUTHORITY_HOST": "https://login.example"})


@pytest.mark.parametrize(
    ("status", "said", "code", "exit"),
    [
        (403, "AuthorizationFailed", "denied", Exit.DENIED),
        (401, "InvalidAuthenticationToken", "denied", Exit.DENIED),
        (400, "MaxNumberOfRegionalEnvironmentsInSubExceeded", "quota", Exit.DENIED),
        (200, "QuotaExceeded", "quota", Exit.DENIED),
        (429, "TooManyRequests", "busy", Exit.UNREACHABLE),
        (409, "ContainerAppOperationInProgress", "busy", Exit.UNREACHABLE),
        (400, "InvalidParameterValueInContainerTemplate", "azure-refused", Exit.USAGE),
    ],
)
def test_a_no_of_azure_has_its_exit_code(status: int, said: str, code: str, exit: Exit) -> None:
    no = refusal("PUT /subscriptions/0/resourceGroups/ml/providers/Microsoft.App/containerApps/churn", status, {"code": said})
    assert (no.code, no.exit, no.said) == (code, exit, said)
    assert no.what.startswith(f"Azure refuses PUT containerApps/churn ({said})")


def test_a_refusal_says_what_stands_inside_it_once() -> None:
    inner = {"code": "Inner", "message": "the image is not there"}
    no = refusal("PUT x", 400, {"code": "Failed", "message": "it failed", "details": [inner, inner]})
    assert no.what == "Azure refuses PUT x (Failed): it failed; the image is not there"
    assert short("GET /subscriptions/0/providers") == "GET /subscriptions/0/providers"
    assert refusal("GET x", 404, {"code": "ResourceNotFound"}).is_missing


def test_names_tell_projects_and_environments_apart_and_fit() -> None:
    assert Scope("churn-prod").short != Scope("churn", "prod").short
    long = Scope("a" * 40, "production").short
    assert len(long) <= 32 and "--" not in long
    stems = {Scope("a" * 40, f"{'b' * 19}{last}").stem for last in "cd"}
    assert len(stems) == 2 and all(len(stem) <= 60 for stem in stems), "a managed environment's name has 60 characters"
    assert Scope("churn", "prod").stem == "mlship-churn--prod"
    with pytest.raises(MlshipError, match="two dashes in a row"):
        Scope("churn--prod")
    place = Place("0", "ml")
    assert len(place.storage) == 24 and place.storage.isalnum()
    assert place.storage != Place("0", "other").storage
    assert place.resource("Microsoft.App/containerApps", "/whole/path") == "/whole/path"
    assert assignment("a", "b", "c") == assignment("A", "b", "c") != assignment("a", "b", "d")


def test_tags_of_mlship_go_before_labels_and_say_whose_it_is() -> None:
    scope = Scope("churn", "prod")
    tags = scope.tags("replica", {"team": "growth", "mlship.project": "other"})
    assert tags == {"mlship.env": "prod", "mlship.project": "churn", "mlship.role": "replica", "team": "growth"}
    assert scope.owns(tags) and not Scope("churn").owns(tags) and not scope.owns(None)


@dataclass
class Blobs:
    """A storage account that is a dictionary. lost: how many answers to writes are lost after they were carried out."""

    kept: dict[str, Blob] = field(default_factory=dict)
    lost: int = 0

    def read_blob(self, account: str, container: str, name: str) -> Blob | None:
        return self.kept.get(name)

    def write_blob(self, account: str, container: str, name: str, raw: bytes, before: Blob | None) -> None:
        present = self.kept.get(name)
        if (present.etag if present else "") != (before.etag if before else ""):
            raise refusal("write", 412, {"code": "ConditionNotMet"})
        self.kept[name] = Blob(raw, f"{int(present.etag) + 1}" if present else "1")
        if self.lost:
            self.lost -= 1
            raise refusal("write", 412, {"code": "ConditionNotMet"})

    def delete_blob(self, account: str, container: str, name: str) -> None:
        self.kept.pop(name, None)


def records(blobs: Any) -> BlobRecords:
    return BlobRecords(blobs, lambda: "acme", "churn/-/", lambda: None)


def test_the_lease_is_one_s_own_until_it_ends() -> None:
    blobs = Blobs()
    first, second = records(blobs), records(blobs)
    lease = first.acquire("anna", 100.0, 30.0)
    assert second.holder(110.0) == "anna"
    with pytest.raises(LeaseHeld, match="anna"):
        second.acquire("ben", 110.0, 30.0)
    assert first.renew(lease, 120.0).expires == 150.0
    second.acquire("ben", 151.0, 30.0)
    with pytest.raises(LeaseLost):
        first.renew(lease, 152.0)
    with pytest.raises(LeaseLost):
        first.confirm()
    first.release(lease)
    assert second.holder(153.0) == "ben", "who lost it gives nothing back"


def test_a_write_whose_answer_was_lost_is_known_by_its_bytes() -> None:
    blobs = Blobs(lost=1)
    lease = records(blobs).acquire("anna", 100.0, 30.0)
    assert json.loads(blobs.kept["churn/-/lease.json"].raw)["token"] == lease.token


def test_a_history_is_replaced_only_by_who_saw_the_last_one() -> None:
    blobs = Blobs()
    history = History("churn", "", "azure")
    records(blobs).commit(replace(history, generation=1), expected=0)
    with pytest.raises(LeaseLost):
        records(blobs).commit(replace(history, generation=1), expected=0)
    found = records(blobs).read()
    assert found is not None and found.generation == 1
    assert isinstance(records(blobs), InSharedPlace) and records(blobs).shared_place() == "storage account acme"
    records(blobs).destroy()
    assert records(blobs).read() is None


def test_a_newer_lease_is_not_touched() -> None:
    raw = json.dumps({"schema": 99, "mlship": "9.9", "token": "", "holder": "", "expires": 0, "ttl_s": 1}).encode()
    with pytest.raises(MlshipError, match=r"the lease was written by mlship 9[.]9"):
        records(Blobs({"churn/-/lease.json": Blob(raw, "1")})).acquire("anna", 0.0, 30.0)


class Told:
    """A door that answers one question. permissions: as Azure lists them."""

    def __init__(self, *permissions: dict[str, list[str]]) -> None:
        self.permissions = permissions

    def all(self, *_: str) -> list[dict[str, Any]]:
        return list(self.permissions)


@pytest.mark.parametrize(
    ("told", "missing"),
    [
        (({"actions": ["*"], "notActions": ["Microsoft.Authorization/*/write"]},), ["Microsoft.Authorization/roleAssignments"]),
        (({"actions": ["*/read", "Microsoft.App/*"]},), ["Microsoft.Authorization/roleAssignments"]),
        (({"actions": ["Microsoft.App/*"]}, {"actions": ["Microsoft.Authorization/roleAssignments/write"]}), []),
        ((), []),
    ],
)
def test_what_may_not_be_made_is_known_beforehand(told: tuple[Any, ...], missing: list[str]) -> None:
    kinds = ["Microsoft.App/containerApps", "Microsoft.Authorization/roleAssignments"]
    found = permissions(cast("Door", Told(*told)), Place("0", "ml"), kinds, deployment("azure", "container-apps"))
    assert [one.what.split()[5] for one in found] == missing


def test_of_ten_kinds_of_credentials_only_the_one_that_failed_is_named() -> None:
    told = (
        "DefaultAzureCredential failed to retrieve a token from the included credentials.\nAttempted credentials:\n"
        "\tEnvironmentCredential: {}\n\tAzureCliCredential: Azure CLI not found on path\nTo mitigate this issue, read more."
    )
    unset = told.format("EnvironmentCredential authentication unavailable. Environment variables are not fully configured.")
    assert of_login(unset) == "there are no credentials on this machine"
    assert of_login(told.format("AADSTS7000215: Invalid client secret")) == (
        "EnvironmentCredential: AADSTS7000215: Invalid client secret"
    )
