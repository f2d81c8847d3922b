"""What `render` writes for Container Apps, judged by Microsoft's resource types and by the SDK whose models `az` fills."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parents[1] / "targets"))

from azure_contract import is_published, needs_contract, wrongs_of_request
from cloud_deployment import deployment

from mlship.targets.azure.container_apps.rendering import render
from mlship.targets.base import Deployment

pytestmark = pytest.mark.world
GROUP = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/ml"
SUBNET = f"{GROUP}/providers/Microsoft.Network/virtualNetworks/v/subnets/apps"
ENTRA = {"client_id": "c0ffee", "tenant": "7e4a47", "principals": ["anna"]}


def cases() -> dict[str, Deployment]:
    made = deployment("azure", "container-apps", region="westeurope", subnet=SUBNET)
    ranged = replace(
        made, replicas=(0, 5), operating={"scale": {"metric": "concurrency", "per_replica": 8, "down_after_s": 300}}
    )
    small = deployment("azure", "container-apps", region="westeurope", subnet=SUBNET, cpu=0.5, gib=1)
    served = replace(made.release.served, secrets={"KEYS": "4387e9"}, serving={"auth": {"api_keys": "KEYS"}})
    closed = replace(
        made, release=replace(made.release, served=served), references={"KEYS": "churn-vault/keys"}, operating={"public": True}
    )
    entra = deployment("azure", "container-apps", region="westeurope", entra=ENTRA)
    return {"made": made, "ranged": ranged, "small": small, "closed": closed, "entra": entra}


@pytest.mark.brought
@needs_contract
@pytest.mark.parametrize("name", cases())
def test_every_resource_of_the_template_is_one_that_azure_takes(name: str) -> None:
    resources = json.loads(render(cases()[name])["eject/template.json"])["resources"]
    judged = [one for one in resources if is_published("PUT", path_of(one))]
    assert {one["type"] for one in judged} >= {"Microsoft.App/containerApps", "Microsoft.App/managedEnvironments"}
    for one in judged:
        body = {key: entry for key, entry in one.items() if key not in ("type", "apiVersion", "name", "dependsOn")}
        wrongs = wrongs_of_request("PUT", path_of(one), one["apiVersion"], body)
        # the published types are Bicep's, which has no fractions; the SDK's model of cpu is a float
        assert [wrong for wrong in wrongs if not wrong.endswith("resources.cpu: 0.5 is no integer")] == []


@pytest.mark.brought
@needs_contract
def test_a_misspelt_member_is_found() -> None:
    (app,) = [
        one for one in json.loads(render(cases()["made"])["eject/template.json"])["resources"] if "containerApps" in one["type"]
    ]
    body = {"location": app["location"], "properties": {**app["properties"], "enviromentId": "x"}}
    assert wrongs_of_request("PUT", path_of(app), app["apiVersion"], body)


@pytest.mark.parametrize("name", cases())
def test_the_yaml_is_one_that_the_sdk_s_models_know_to_the_last_key(name: str) -> None:
    models = pytest.importorskip("azure.mgmt.appcontainers.models", reason="no azure-mgmt-appcontainers")
    words = yaml.safe_load(render(cases()[name])["eject/app.yaml"])
    assert unknown(models.ContainerApp(words), words, "app") == []
    words["properties"]["template"]["containers"][0]["imagee"] = "x"
    assert unknown(models.ContainerApp(words), words, "app") == ["app.properties.template.containers[0].imagee"]


def unknown(model: Any, words: Any, path: str) -> list[str]:
    """Keys of the document that no model of the SDK has."""
    if isinstance(words, list):
        return [one for number, entry in enumerate(words) for one in unknown(model[number], entry, f"{path}[{number}]")]
    fields = getattr(model, "_attr_to_rest_field", None)
    if not isinstance(words, dict) or fields is None:
        return []
    by_name = {field._rest_name: name for name, field in fields.items()}
    found = []
    for key, entry in words.items():
        if key not in by_name:
            found.append(f"{path}.{key}")
        else:
            found += unknown(getattr(model, by_name[key]), entry, f"{path}.{key}")
    return found


def path_of(resource: dict[str, Any]) -> str:
    """Its path; a name that is an expression stands for one that fits."""
    name = "mlshipnamed" if resource["name"].startswith("[") else resource["name"]
    kinds, names = resource["type"].split("/")[1:], name.split("/")
    rest = "/".join(part for pair in zip(kinds, names, strict=False) for part in pair)
    return f"{GROUP}/providers/{resource['type'].partition('/')[0]}/{rest}"
