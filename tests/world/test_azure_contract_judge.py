"""The judge of what is sent to Azure finds what Azure would refuse, in requests and in answers, and nothing in what is right."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from azure_contract import address, is_published, needs_contract, wrongs_of_answer, wrongs_of_request

pytestmark = [pytest.mark.world, pytest.mark.brought, needs_contract]
Change = Callable[[dict[str, Any]], Any]
GROUP = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/ml/providers"
ENDPOINT = f"{GROUP}/Microsoft.MachineLearningServices/workspaces/shop/onlineEndpoints/churn"
DEPLOYMENT = f"{ENDPOINT}/deployments/r1-7f3a9c"
ENVIRONMENT = f"{GROUP}/Microsoft.MachineLearningServices/workspaces/shop/environments/churn/versions/1"
SCALING = f"{GROUP}/Microsoft.Insights/autoscalesettings/churn"
ML, INSIGHTS = "2024-10-01", "2022-10-01"


def endpoint() -> dict[str, Any]:
    return {
        "location": "westus2",
        "identity": {"type": "SystemAssigned"},
        "properties": {"authMode": "Key", "traffic": {"r1-7f3a9c": 100}},
    }


def deployment() -> dict[str, Any]:
    return {
        "location": "westus2",
        "sku": {"name": "Default", "capacity": 1},
        "properties": {
            "endpointComputeType": "Managed",
            "instanceType": "Standard_DS3_v2",
            "environmentVariables": {"PORT": "8080"},
            "scaleSettings": {"scaleType": "Default"},
        },
    }


def environment() -> dict[str, Any]:
    return {"properties": {"image": "x", "inferenceConfig": {"livenessRoute": {"port": 8080, "path": "/livez"}}}}


def test_a_path_says_what_it_is_of() -> None:
    asked = address("POST", ENDPOINT + "/listKeys")
    kind = "Microsoft.MachineLearningServices/workspaces/onlineEndpoints"
    assert (asked.kind, asked.names, asked.action, asked.is_list) == (kind, ("shop", "churn"), "listKeys", False)
    asked = address("GET", ENDPOINT + "/deployments")
    assert (asked.kind, asked.names, asked.is_list) == (f"{kind}/deployments", ("shop", "churn"), True)
    assert is_published("POST", ENDPOINT + "/listkeys")
    assert not is_published("GET", f"{GROUP}/Microsoft.Authorization/roleAssignments")


def test_what_is_right_has_nothing_against_it() -> None:
    assert wrongs_of_request("PUT", ENDPOINT, ML, endpoint()) == []
    assert wrongs_of_request("PUT", DEPLOYMENT, ML, deployment()) == []
    assert wrongs_of_request("PUT", ENVIRONMENT, ML, environment()) == []
    assert wrongs_of_request("PATCH", ENDPOINT, ML, {"tags": {"team": "growth"}}) == []
    assert wrongs_of_request("POST", DEPLOYMENT + "/getLogs", ML, {"tail": 100}) == []
    assert wrongs_of_request("DELETE", DEPLOYMENT, ML, None) == []


def put(of: str, **said: Any) -> Change:
    """`properties.traffic` is in the `properties`."""

    def change(body: dict[str, Any]) -> None:
        *path, last = of.split(".")
        for name in path:
            body = body[name]
        body.pop(last) if said.get("gone") else body.__setitem__(last, said["to"])

    return change


PLANTED: Mapping[str, tuple[str, Callable[[], dict[str, Any]], Change, str]] = {
    "an unknown member": (ENDPOINT, endpoint, put("properties.auth", to="Key"), "there is no auth"),
    "an unknown member of the resource": (DEPLOYMENT, deployment, put("Sku", to={}), "there is no Sku"),
    "a required member left out": (ENDPOINT, endpoint, put("properties.authMode", gone=True), "authMode is missing"),
    "a location left out": (DEPLOYMENT, deployment, put("location", gone=True), "location is missing"),
    "a member that only Azure says": (ENDPOINT, endpoint, put("properties.scoringUri", to="x"), "scoringUri is read-only"),
    "a word of no enum": (ENDPOINT, endpoint, put("properties.authMode", to="key"), "'key' is none of ['AMLToken'"),
    "a form that there is not": (
        DEPLOYMENT,
        deployment,
        put("properties.endpointComputeType", to="managed"),
        "endpointComputeType 'managed' is none of ['Kubernetes', 'Managed']",
    ),
    "a member of another form": (
        DEPLOYMENT,
        deployment,
        put("properties.scaleSettings.minInstances", to=1),
        "there is no minInstances",
    ),
    "text for a number": (DEPLOYMENT, deployment, put("sku.capacity", to="1"), "'1' is no integer"),
    "true for a number": (DEPLOYMENT, deployment, put("sku.capacity", to=True), "True is no integer"),
    "a number for text": (DEPLOYMENT, deployment, put("properties.environmentVariables.PORT", to=8080), "8080 is no string"),
    "text of no length": (
        ENVIRONMENT,
        environment,
        put("properties.inferenceConfig.livenessRoute.path", to=""),
        "0 is not within 1..None",
    ),
    "text of another pattern": (
        ENVIRONMENT,
        environment,
        put("properties.inferenceConfig.livenessRoute.path", to="/"),
        "'/' does not match",
    ),
    "an object for a list": (ENDPOINT, endpoint, put("properties.traffic", to=[]), "[] is no object"),
    "another name than the path's": (ENDPOINT, endpoint, put("name", to="other"), "'other' is not the path's churn"),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_mistake_in_a_request_is_found(planted: str) -> None:
    path, make, change, said = PLANTED[planted]
    body = make()
    change(body)
    found = wrongs_of_request("PUT", path, ML, body)
    assert any(said in wrong for wrong in found), found


def test_a_name_in_the_path_is_held_to_its_pattern() -> None:
    found = wrongs_of_request("PUT", ENDPOINT + ".prod", ML, endpoint())
    assert len(found) == 1 and "'churn.prod' does not match" in found[0]


def test_too_many_entries_are_found() -> None:
    profile = {"name": "p", "capacity": {"minimum": "1", "maximum": "2", "default": "1"}, "rules": []}
    body = {"location": "westus2", "properties": {"profiles": [profile] * 21}}
    (wrong,) = wrongs_of_request("PUT", SCALING, INSIGHTS, body)
    assert "21 is not within None..20" in wrong


def test_a_version_that_is_not_published_is_a_failure_that_names_the_others() -> None:
    with pytest.raises(AssertionError, match=r"no Microsoft.*onlineEndpoints of 2019-01-01; versions: .*2024-10-01"):
        wrongs_of_request("PUT", ENDPOINT, "2019-01-01", endpoint())


def answer() -> dict[str, Any]:
    kind = "Microsoft.MachineLearningServices/workspaces/onlineEndpoints"
    return {**endpoint(), "id": ENDPOINT, "name": "churn", "type": kind}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (put("id", gone=True), "id is missing"),
        (put("properties.keys", to={"primaryKey": "x"}), "keys is write-only"),
        (put("properties.provisioningState", to="Ready"), "'Ready' is none of"),
        (put("identity.principalId", to="me"), "2 is not within 36..36"),
        (put("type", to="endpoint"), "'endpoint' is not 'Microsoft.Mach"),
    ],
)
def test_a_planted_mistake_in_an_answer_is_found(change: Change, said: str) -> None:
    body = answer()
    assert wrongs_of_answer("GET", ENDPOINT, ML, 200, body) == []
    change(body)
    alone = wrongs_of_answer("GET", ENDPOINT, ML, 200, body)
    listed = wrongs_of_answer("GET", ENDPOINT.rpartition("/")[0], ML, 200, {"value": [answer(), body]})
    assert any(said in wrong for wrong in alone) and any(said in wrong for wrong in listed)


def test_answers_have_azures_forms() -> None:
    assert wrongs_of_answer("PUT", ENDPOINT, ML, 404, {"error": {"code": "NotFound", "message": "no"}}) == []
    assert wrongs_of_answer("PUT", ENDPOINT, ML, 404, {"message": "no"}) != []
    assert wrongs_of_answer("DELETE", ENDPOINT, ML, 202, None) == []
    assert wrongs_of_answer("GET", ENDPOINT, ML, 200, None) != []
    assert wrongs_of_answer("GET", ENDPOINT.rpartition("/")[0], ML, 200, [answer()]) != []
    assert wrongs_of_answer("POST", ENDPOINT + "/listKeys", ML, 200, {"key": "x"}) != []
    assert wrongs_of_answer("POST", ENDPOINT + "/listKeys", ML, 200, {"primaryKey": "x", "secondaryKey": "y"}) == []
