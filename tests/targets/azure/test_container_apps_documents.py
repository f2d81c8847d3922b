"""What a release on Container Apps sends, and what it cannot be."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

import pytest
import yaml
from cloud_deployment import deployment

from mlship.errors import FindingsError, MlshipError
from mlship.releases.records import LeaseLost
from mlship.targets.azure.container_apps.foundation import parts
from mlship.targets.azure.container_apps.given import given
from mlship.targets.azure.container_apps.releasing import app, secrets, shares, suffix, template
from mlship.targets.azure.container_apps.rendering import render
from mlship.targets.azure.container_apps.running import App
from mlship.targets.azure.container_apps.seen import Revision
from mlship.targets.azure.door import Door
from mlship.targets.azure.filling import Variable, covers, filled
from mlship.targets.azure.scope import Place, Scope
from mlship.targets.azure.waiting import Waiting
from mlship.targets.base import Answer, Deployment, Strategy

SUBNET = "/subscriptions/0/resourceGroups/net/providers/Microsoft.Network/virtualNetworks/v/subnets/apps"
ENTRA = {"client_id": "c0ffee", "tenant": "7e4a47", "audience": None, "principals": ["anna"]}
FULL = {"environment": "ml", "identity": "pulls", "registry": "acme.azurecr.io", "logs": None, "callers": "network"}


def made(**settings: Any) -> Deployment:
    found: Deployment = deployment("azure", "container-apps", **{"region": "westeurope", "subnet": SUBNET, **settings})
    return replace(found, environment="prod", labels={"team": "[growth]"})


def closed() -> Deployment:
    """With secrets of the vault, and callers that the server judges."""
    found = made()
    served = replace(found.release.served, secrets={"CHURN_KEYS": "4387e9"}, serving={"auth": {"api_keys": "CHURN_KEYS"}})
    references = {"CHURN_KEYS": "churn-vault/keys"}
    return replace(found, release=replace(found.release, served=served), references=references, operating={"public": True})


OWN_IDENTITY = {**FULL, "identity": None, "region": None}
CASES = {
    "made": made(),
    "given": made(subnet=None, **FULL),
    "own identity": made(subnet=None, **OWN_IDENTITY),
    "entra": made(subnet=None, entra=ENTRA),
    "closed": closed(),
}


@pytest.mark.parametrize("name", CASES)
def test_both_folders_describe_the_same_end_state(name: str) -> None:
    """Each body of apply/ stands in the template with expressions, and in the YAML with words, in the place of what is known then."""
    rendered = render(CASES[name])
    applied = {
        path: json.loads(body)
        for path, body in rendered.items()
        if re.match(r"apply/(foundation|service/1)", path)  # 2 and 3 are a later release's
    }
    opens = applied.pop("apply/service/1-open.json", {"properties": {"configuration": {"ingress": {}}}})
    ingress = applied["apply/service/1-containerApps.json"]["properties"]["configuration"]["ingress"]
    ingress |= opens["properties"]["configuration"]["ingress"]
    ejected = json.loads(rendered["eject/template.json"])["resources"]
    assert len(ejected) == len(applied)
    for (path, body), resource in zip(sorted(applied.items(), key=_order), ejected, strict=True):
        own = {key: entry for key, entry in resource.items() if key not in ("type", "apiVersion", "name", "dependsOn", "scope")}
        assert _blind(own) == _blind(body), path
    words = yaml.safe_load(rendered["eject/app.yaml"])
    assert _blind({key: entry for key, entry in words.items() if key not in ("type", "name")}) == _blind(
        applied["apply/service/1-containerApps.json"]
    )


def _order(item: tuple[str, Any]) -> tuple[str, int, int]:
    """As they are sent: the app before who may call it."""
    folder, _, file = item[0].rpartition("/")
    return folder, int(file.partition("-")[0]), -file.count("containerApps")


def _blind(document: Any) -> Any:
    """What is filled in later is the same, whatever it is written as."""
    if isinstance(document, Mapping):
        return {_blind(key): _blind(entry) for key, entry in document.items()}
    if isinstance(document, list):
        return [_blind(entry) for entry in document]
    if not isinstance(document, str):
        return document
    if document.startswith("[["):
        return document[1:]
    is_filled = re.fullmatch(
        r"\$\{[\w-]+\}|\[.+\([^\]]*\).*\]|https://\S+/secrets/\S+|[a-z]+\.azurecr\.io", document, re.DOTALL
    )
    return "*" if is_filled else document


def test_a_user_s_text_is_no_expression_of_the_template() -> None:
    rendered = render(made())
    assert json.loads(rendered["eject/template.json"])["resources"][-1]["tags"]["team"] == "[[growth]"
    assert yaml.safe_load(rendered["eject/app.yaml"])["tags"]["team"] == "[growth]"


def test_what_is_given_is_not_made() -> None:
    assert [part.kind.rpartition("/")[2] for part in parts(made(), given(made()))] == [
        "registries",
        "userAssignedIdentities",
        "roleAssignments",
        "workspaces",
        "managedEnvironments",
    ]
    company = CASES["given"]
    assert list(parts(company, given(company))) == []


def test_a_revision_is_named_by_its_release_and_what_is_not_in_it() -> None:
    one, more = made(), replace(made(), replicas=(1, 3))
    assert suffix(one, given(one)).startswith("r1-") and suffix(one, given(one)) == suffix(made(), given(made()))
    assert suffix(one, given(one)) != suffix(more, given(more))
    labelled = replace(one, labels={"team": "other"})
    assert suffix(labelled, given(labelled)) == suffix(one, given(one)), "labels make no revision"


def test_a_long_start_is_waited_for_by_the_startup_probe_alone() -> None:
    slow = replace(made(), startup_timeout_s=2400.0)
    startup, readiness, liveness = template(slow, given(slow))["containers"][0]["probes"]
    assert (startup["failureThreshold"], startup["periodSeconds"]) == (10, 240)
    assert readiness["periodSeconds"] * readiness["failureThreshold"] < 60 > liveness["periodSeconds"]
    with pytest.raises(FindingsError, match="waits at most 2400 s for a start; write at most 40m"):
        render(replace(made(), startup_timeout_s=2401.0))


@pytest.mark.parametrize(
    ("operating", "rule"),
    [
        ({}, {"name": "load", "http": {"metadata": {"concurrentRequests": "10"}}}),
        ({"metric": "concurrency", "per_replica": 8}, {"name": "load", "http": {"metadata": {"concurrentRequests": "8"}}}),
        (
            {"metric": "cpu", "per_replica": 60},
            {"name": "load", "custom": {"type": "cpu", "metadata": {"type": "Utilization", "value": "60"}}},
        ),
    ],
)
def test_a_range_of_copies_has_a_rule(operating: Mapping[str, Any], rule: Mapping[str, Any]) -> None:
    ranged = replace(made(), replicas=(1, 5), operating={"scale": {**operating, "down_after_s": 60.0}})
    scale = template(ranged, given(ranged))["scale"]
    assert scale == {"minReplicas": 1, "maxReplicas": 5, "cooldownPeriod": 60, "rules": [rule]}


def test_secrets_are_references_to_versions_and_each_version_has_its_name() -> None:
    first, second = closed(), closed()
    second = replace(
        second, release=replace(second.release, served=replace(second.release.served, secrets={"CHURN_KEYS": "99aa"}))
    )
    (one, operator), (other, _) = secrets(first), secrets(second)
    assert one["keyVaultUrl"] == "${Secret_CHURN_KEYS}" and one["name"] != other["name"]
    assert operator == {"name": "mlship-operator", "value": "${OperatorKey}"}
    env = {entry["name"]: entry.get("secretRef") for entry in template(first, given(first))["containers"][0]["env"]}
    assert env["CHURN_KEYS"] == one["name"] and env["MLSHIP_OPERATOR_KEY"] == "mlship-operator"
    address = "https://churn-vault.vault.azure.net/secrets/keys/4387e9"
    assert address in render(first)["eject/app.yaml"].decode()


@pytest.mark.parametrize(
    ("wanted", "is_external"), [(made(), True), (made(subnet=None, entra=ENTRA), True), (made(callers="environment"), False)]
)
def test_callers_come_from_where_it_is_said(wanted: Deployment, is_external: bool) -> None:
    assert app(wanted, given(wanted))["properties"]["configuration"]["ingress"]["external"] is is_external


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (made(subnet=None), "nobody could call it"),
        (made(environment="ml"), "targets.azure.environment is there already, and targets.azure.subnet"),
        (made(subnet="apps"), "targets.azure.subnet is apps, which is no whole path"),
        (made(subnet=None, callers="network"), "targets.azure.callers is network, and nothing says which"),
        (made(subnet=None, entra={"client_id": "x"}), "targets.azure.entra has no client_id and tenant"),
        (
            made(region=None),
            "nothing says in which region of Azure it is to be; say --region westeurope, or targets.azure.region",
        ),
        (replace(made(), strategy=Strategy("canary", steps=(0.005, 1.0))), "rollout.steps has 0.5 %"),
        (replace(made(), strategy=Strategy("canary", gates=("p95_ms < 40",))), "Azure Monitor has no latencies of a revision"),
        (replace(made(), replicas=(1, 3), operating={"scale": {"metric": "queue"}}), "does not scale by queue"),
        (replace(made(), replicas=(0, 3), operating={"scale": {"metric": "cpu"}}), "cannot start the first copy"),
    ],
)
def test_what_it_cannot_be_is_refused_before_anything_is_asked(wanted: Deployment, said: str) -> None:
    with pytest.raises(FindingsError) as refused:
        render(wanted)
    assert said in str(refused.value)


def test_a_missing_region_is_said_once_and_an_environment_that_is_given_has_one() -> None:
    with pytest.raises(FindingsError) as refused:
        render(made(region=None))
    assert str(refused.value).count("region of Azure") == 1 and "price" not in str(refused.value)
    assert "eject/template.json" in render(made(subnet=None, region=None, **FULL))


def test_what_azure_fills_in_or_leaves_out_is_no_difference() -> None:
    wanted = {"a": Variable("A"), "off": False, "list": [{"name": "x", "weight": 0}], "region": "westeurope"}
    assert covers({"a": "anything", "list": [{"name": "x", "more": 1}], "region": "WestEurope"}, wanted)
    assert not covers({"a": "anything", "off": True, "list": [{"name": "x"}], "region": "westeurope"}, wanted)
    assert not covers({"off": False, "list": [], "region": "westeurope"}, wanted)
    assert covers([{"name": "D4", "more": 1}, {"name": "Consumption"}], [{"name": "Consumption"}])
    assert covers({"location": "West Europe"}, {"location": "westeurope"})
    assert not covers({"location": "West Europe", "tags": {"team": "a b"}}, {"location": "westeurope", "tags": {"team": "ab"}})
    assert filled({Variable("A"): [Variable("A"), "${A}"]}, {"A": "known"}) == {"known": ["known", "${A}"]}


@pytest.mark.parametrize("registry", ["acme.azurecr.io", "acme", "/subscriptions/0/resourceGroups/my.group/providers/R/r/acme"])
def test_a_new_identity_may_pull_from_a_registry_that_is_given(registry: str) -> None:
    template = json.loads(render(made(subnet=None, **{**OWN_IDENTITY, "registry": registry}))["eject/template.json"])
    (role,) = [one for one in template["resources"] if one["type"].endswith("/roleAssignments")]
    assert "acme'" in role["scope"] and "registryName" not in json.dumps(template)
    (own,) = [one for one in template["resources"] if one["type"].endswith("/containerApps")]
    assert [one for one in own["dependsOn"] if one.startswith("[extensionResourceId(")], "the role comes before the app"
    assert role["dependsOn"] == ["[resourceId('Microsoft.ManagedIdentity/userAssignedIdentities', 'mlship-churn--prod')]"]


def test_a_later_release_has_the_identity_that_is_named_now() -> None:
    written = render(made(subnet=None, **FULL))
    first, later = (json.loads(written[f"apply/service/{name}.json"]) for name in ("1-containerApps", "2-next-release"))
    assert later["identity"] == first["identity"] == {"type": "UserAssigned", "userAssignedIdentities": {"${Identity}": {}}}


def test_shares_that_do_not_add_up_are_refused() -> None:
    scope = Scope("churn")
    assert [one["weight"] for one in shares(scope, [("r2-000000-aaaa", 25, "staged"), ("r1-000000-aaaa", 75, "live")])] == [
        25,
        75,
    ]
    for weights in ((25, 70), (120, -20)):
        wanted = [("r2-000000-aaaa", weights[0], "staged"), ("r1-000000-aaaa", weights[1], "live")]
        with pytest.raises(MlshipError, match="shares of the callers do not add up to 100 %"):
            shares(scope, wanted)


def test_an_app_whose_callers_entra_judges_is_closed_until_it_does() -> None:
    rendered = {path: json.loads(body) for path, body in render(CASES["entra"]).items() if path.startswith("apply/service/1")}
    external = {
        path: body["properties"].get("configuration", {}).get("ingress", {}).get("external") for path, body in rendered.items()
    }
    assert external == {
        "apply/service/1-containerApps.json": False,
        "apply/service/1-authConfigs.json": None,
        "apply/service/1-open.json": True,
    }


def test_who_has_lost_the_lease_changes_nothing_any_more() -> None:
    """A revision takes minutes, in which somebody else may have begun."""

    def lost() -> None:
        raise LeaseLost

    class Untouched:
        def arm(self, *_: object) -> None:
            pytest.fail("it was changed")

    door, waiting = cast("Door", Untouched()), Waiting(lambda: 0.0, lambda _: None)
    place = Place("0", "ml")
    app = App(door, lambda: place, Scope("churn", "prod"), waiting, lambda *_: Answer(200), lost)
    revision = Revision("r1-a", "r1-a", True, 0, "", "Provisioned", "Healthy", "Running", "", 0.0, "host", "image")
    changes: tuple[Callable[[], None], ...] = (
        lambda: app.send("PATCH", {}, {}),
        lambda: app.delete(),
        lambda: app.activate(revision),
        lambda: app.deactivate(revision),
    )
    for change in changes:
        with pytest.raises(LeaseLost):
            change()
