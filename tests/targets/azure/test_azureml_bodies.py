"""What is sent to Azure ML, and what is refused before anything is."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from azureml_cases import CASES, deployment

from mlship.errors import FindingsError
from mlship.releases.release import Release, Served, ServedModel
from mlship.targets.azure.azureml import bodies, scaling
from mlship.targets.azure.azureml.ejecting import seconds
from mlship.targets.azure.azureml.logs import newer
from mlship.targets.azure.azureml.measuring import measures_from
from mlship.targets.azure.azureml.rendering import render
from mlship.targets.azure.azureml.site import site_of
from mlship.targets.azure.azureml.unbuilt import in_a_deploy
from mlship.targets.azure.cloud import PUBLIC, US_GOVERNMENT
from mlship.targets.azure.resources import findings, resources
from mlship.targets.azure.scope import Scope
from mlship.targets.base import Deployment, Strategy


def said(made: Deployment) -> list[str]:
    return [str(finding) for finding in in_a_deploy(made)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"settings": {"workspace": None}}, "azure service azureml needs targets.azure.workspace"),
        ({"settings": {"region": ""}}, "write targets.azure.region: westeurope"),
        ({"settings": {"arch": "arm64"}}, "Azure ML runs images of linux/amd64 only"),
        ({"strategy": Strategy("rolling")}, "rollout.strategy rolling is not possible with azure service azureml"),
        ({"strategy": Strategy("recreate")}, "write rollout.strategy: blue-green"),
        ({"served": {"serving": {"auth": {"api_keys": True}}}}, "takes the header Authorization for its own key or token"),
        ({"served": {"serving": {"protocols": ["native"]}}}, "add azureml to serve.protocols"),
        ({"served": {"models": (ServedModel("a", "0"), ServedModel("b", "1"))}}, "reaches one model"),
        ({"request_timeout_s": 181.0}, "Azure ML waits 180 s at most"),
        ({"operating": {"public": True}}, "every request needs a key or a token of Azure"),
        (
            {"replicas": (1, 3), "operating": {"scale": {"metric": "queue"}}},
            "Azure Monitor does not count it by deployment",
        ),
        (
            {"replicas": (1, 3), "operating": {"scale": {"metric": "concurrency", "per_replica": 4.0}}},
            "write scale.metric: rps or cpu",
        ),
        ({"references": {"CHURN_KEYS": "acme/churn-keys"}}, "one with the role Key Vault Secrets User on the vault"),
        ({"settings": {"callers": "environment"}}, "write callers: network (the workspace's private endpoint)"),
        ({"project": "2churn"}, "cannot begin the name of an endpoint of Azure ML"),
        ({"strategy": Strategy("canary", gates=("p95_ms < 40",))}, "Azure Monitor's figures come minutes late"),
    ],
)
def test_what_azure_ml_cannot_do_is_said_with_what_to_do_instead(change: Mapping[str, Any], words: str) -> None:
    found = said(deployment(**change))
    assert len(found) == 1 and words in found[0], found


def test_every_shape_is_possible() -> None:
    for name, case in CASES.items():
        assert said(deployment(**case)) == [], name


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"replicas": (0, 2)},
            "scaling to zero is not possible with azure service azureml: an online endpoint keeps one machine",
        ),
        (
            {"operating": {"cost": {"profile": "spot"}}},
            "spot is not possible with azure service azureml: online endpoints have no spot",
        ),
    ],
)
def test_no_spot_and_no_scaling_to_zero(change: Mapping[str, Any], words: str) -> None:
    (found,) = findings(deployment(**change))
    assert words in found.what and "use service" in found.fix


def test_what_cannot_be_is_not_rendered() -> None:
    with pytest.raises(FindingsError, match=r"needs targets\.azure\.workspace"):
        render(deployment({"workspace": None}))


def test_a_request_and_a_start_have_the_time_that_they_need() -> None:
    slow = bodies.release(deployment(startup_timeout_s=1000.0, request_timeout_s=90.5), PUBLIC, 1)["properties"]
    assert slow["requestSettings"] == {"requestTimeout": "PT1M31S", "maxConcurrentRequestsPerInstance": 200}
    assert slow["readinessProbe"]["failureThreshold"] * seconds(slow["readinessProbe"]["period"]) == 1000
    quick = bodies.release(deployment(), PUBLIC, 1)["properties"]
    assert quick["livenessProbe"] == {
        "initialDelay": "PT10S",
        "period": "PT10S",
        "timeout": "PT2S",
        "successThreshold": 1,
        "failureThreshold": 30,
    }


@pytest.mark.parametrize(
    ("wanted", "text"), [(0, "PT0S"), (1, "PT1S"), (60, "PT1M"), (180, "PT3M"), (310, "PT5M10S"), (7261, "PT2H1M1S")]
)
def test_durations_are_written_as_azure_writes_them(wanted: int, text: str) -> None:
    assert bodies.duration(wanted) == text and seconds(text) == wanted


def test_a_secret_stands_as_the_address_of_its_version() -> None:
    made = deployment(**CASES["secrets"])
    told = bodies.release(made, US_GOVERNMENT, 1)["properties"]["environmentVariables"]
    version = "4387e9f3d6e14c459867679a90fd0f79"
    assert told["CHURN_KEYS"] == f"${{{{keyvault:https://acme.vault.usgovcloudapi.net/secrets/churn-keys/{version}}}}}"
    assert told["PORT"] == "8080" and told["MLSHIP_RELEASE"] == made.release.id


def test_the_users_variables_do_not_move_the_server() -> None:
    told = bodies.release(deployment(served={"env": {"PORT": "1", "LEVEL": "info"}}), PUBLIC, 1)["properties"]
    assert (told["environmentVariables"]["PORT"], told["environmentVariables"]["LEVEL"]) == ("8080", "info")


def test_the_endpoint_is_called_otherwise_in_every_workspace_and_fits_its_limits() -> None:
    def name(project: str = "churn", environment: str = "", **settings: Any) -> str:
        return site_of(Scope(project, environment), settings, "0-1").endpoint

    names = [name(), name(environment="prod"), name(workspace="shop"), name(workspace="shop", resource_group="ml")]
    assert len(set(names)) == 4 and all(one.startswith("churn-") for one in names)
    assert len(name("a" * 63)) == 32


def test_a_workspace_is_named_or_pathed() -> None:
    path = "/subscriptions/2/resourceGroups/team/providers/Microsoft.MachineLearningServices/workspaces/shop"
    site = site_of(Scope("churn"), {"workspace": path}, "1")
    assert site.workspace == path
    assert site.scaling("r1-000000").startswith("/subscriptions/2/resourceGroups/team/providers/Microsoft.Insights/")


def test_what_scales_it_follows_what_is_said() -> None:
    by_rps = scaling.autoscaling(deployment(**CASES["scaled by requests"]))["properties"]["profiles"][0]
    assert by_rps["capacity"] == {"minimum": "2", "maximum": "5", "default": "2"}
    up, down = (rule["metricTrigger"] for rule in by_rps["rules"])
    assert (up["metricName"], up["threshold"], down["threshold"]) == ("RequestsPerMinute", 3000, 1500)
    assert up["dividePerInstance"] and by_rps["rules"][1]["scaleAction"]["cooldown"] == "PT15M"
    unsaid = scaling.autoscaling(deployment(replicas=(1, 3)))["properties"]["profiles"][0]["rules"][0]["metricTrigger"]
    assert (unsaid["metricName"], unsaid["threshold"]) == ("CpuUtilizationPercentage", 70)


def test_what_is_rendered_is_what_is_priced() -> None:
    made = deployment(**CASES["several machines"])
    body = json.loads(render(made)["apply/3-deployment.json"])
    (machine,) = [one for one in resources(made) if one.kind == "instance"]
    assert machine.name == body["properties"]["instanceType"] and machine.billed == "scaled"
    assert body["sku"]["capacity"] == made.replicas[0]


def test_a_subscription_that_nobody_says_stands_as_a_word() -> None:
    readme = render(deployment({"subscription": None}))["eject/README.md"].decode()
    assert "/subscriptions/SUBSCRIPTION/resourceGroups/ml/" in readme


def points(metric: str, kind: str, *numbers: float) -> dict[str, Any]:
    meta = [{"name": {"value": "statuscodeclass"}, "value": kind}] if kind else []
    data = [{"timeStamp": f"2026-11-23T00:0{minute}:00Z", "average": number} for minute, number in enumerate(numbers)]
    return {"name": {"value": metric}, "timeseries": [{"metadatavalues": meta, "data": [*data, {"timeStamp": "x"}]}]}


def test_figures_are_never_better_than_azure_says() -> None:
    requests = {"value": [points("RequestsPerMinute", "2xx", 90, 100), points("RequestsPerMinute", "5xx", 10)]}
    slow = [points(f"RequestLatency_P{name}", "", first, 30) for name, first in ((50, 15), (90, 40), (95, 40), (99, 400))]
    mean = points("RequestLatency", "", 22)
    found = measures_from(requests, {"value": [*slow, mean]})
    assert found.seconds == pytest.approx(100 * 0.022 + 100 * 0.03), "and a minute without a mean is as slow as its slowest"
    assert (found.requests, found.errors, found.rps) == (200, 10, 100 / 60)
    assert found.buckets[0.02] == 50
    assert found.buckets[0.05] == pytest.approx(95 + 99)
    assert found.buckets[0.5] == pytest.approx(99 + 99)
    assert found.buckets[math.inf] == 200
    assert list(found.buckets.values()) == sorted(found.buckets.values())


def test_minutes_without_figures_are_nothing() -> None:
    assert measures_from({"value": [{"name": {"value": "RequestsPerMinute"}, "timeseries": []}]}, {}).requests == 0


@pytest.mark.parametrize(
    ("known", "told", "new"),
    [
        ([], ["a"], ["a"]),
        (["a", "b"], ["a", "b", "c"], ["c"]),
        (["a", "b", "c"], ["b", "c", "d"], ["d"]),
        (["a", "a"], ["a", "a", "a"], []),
        (["x"], ["a"], ["a"]),
    ],
)
def test_lines_that_were_shown_are_not_shown_again(known: list[str], told: list[str], new: list[str]) -> None:
    """Azure numbers no lines: where the same one comes again and again, one may be missed and none is shown twice."""
    assert newer(known, told) == new


def test_another_release_of_the_same_content_has_a_version_of_its_own() -> None:
    site = site_of(Scope("churn"), {"workspace": "shop"}, "1")
    one, other = (Release(number, Served("sha256:" + "0" * 64, ()), 0.0).id for number in (1, 2))
    assert site.version(one) != site.version(other)
    assert replace(deployment(), project="churn").release.id == one
