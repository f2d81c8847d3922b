"""The unmodified command against a workspace of Azure ML: the whole way of a service, each step a process of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

pytest.importorskip("azure.identity", reason="no azure-identity: pip install 'mlship[azure]'")

from approving import CAREFUL, promoted_twice_and_given_up_once
from azureml_account import GROUP, INSTANCE, REGION, WORKSPACE, MlAccount, workspace
from story import Story
from test_container_apps_command import built, machine

pytestmark = pytest.mark.world
MIRROR = '{rollout: {mirror: 10%, bake: 10m, gates: ["error_rate < 1%"]}}'
YAML = f"""\
name: churn
model: model.joblib
target: azure
targets:
  azure: {{service: azureml, region: {REGION}, resource_group: {GROUP}, workspace: {WORKSPACE}, instance: {INSTANCE}}}
environments:
  prod: {{}}
  {CAREFUL}
  none: {{scale: {{replicas: 0..2}}}}
  spot: {{cost: {{profile: spot}}}}
  open: {{serve: {{auth: {{api_keys: secret:CHURN_KEYS}}}}, secrets: {{CHURN_KEYS: {{azure: acme/churn-keys}}}}}}
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[MlAccount, Mapping[str, str]]]:
    with workspace(tmp_path_factory.mktemp("azureml")) as made:
        yield made


@pytest.fixture
def world(running: tuple[MlAccount, Mapping[str, str]]) -> MlAccount:
    """Operations that are done at the first look: a process really waits between two of them."""
    running[0].reset()
    running[0].operations.looks = 0
    return running[0]


@pytest.fixture
def here(tmp_path: Path, world: MlAccount, running: tuple[MlAccount, Mapping[str, str]]) -> Story:
    found = machine(tmp_path / "here", running[1])
    found.write("mlship.yaml", YAML)
    found.write("model.joblib", "not read here")
    return found


def placed(world: MlAccount) -> set[str]:
    return {one["name"] for one in world.of("deployments")}


def test_the_whole_way(tmp_path: Path, world: MlAccount, running: tuple[MlAccount, Mapping[str, str]], here: Story) -> None:
    first, second = built(here, world, 1), built(here, world, 2)
    said = here.refused("plan", "--env", "prod", "--image", first, exit=0)
    assert "churn/prod -> azure azureml" in said and "usually 8 to 20 min" in said
    assert not world.of("onlineEndpoints")
    one = here.mlship("deploy", "--env", "prod", "--image", first, "--yes")
    assert one["verify"]["predictions"] == 1 and one["endpoint"].startswith("https://churn-prod-")
    assert here.mlship("deploy", "--env", "prod", "--image", first, "--yes")["unchanged"] is True
    here.write("mlship.yaml", YAML.replace("  prod: {}\n", f"  prod: {MIRROR}\n"))
    said = " ".join(here.refused("plan", "--env", "prod", "--image", second, exit=0).split())
    assert "a copy of 10 % of the requests goes to r2-" in said and "and 10 min of watching" in said
    here.write("mlship.yaml", YAML)
    two = here.mlship("deploy", "--env", "prod", "--image", second, "--yes")
    assert two["release"]["content"] == second and placed(world) == {two["release"]["id"]}

    there = machine(tmp_path / "there", running[1])  # no checkout, no build, nothing but credentials
    words = ("churn", "--target", "azure", "--env", "prod")
    back = there.mlship("rollback", *words, "--yes")
    assert back["release"]["content"] == first and placed(world) == {one["release"]["id"]}
    assert there.mlship("status", *words)["serving"] == one["release"]["id"]
    assert [entry["action"] for entry in there.mlship("history", *words)["entries"]] == ["deploy", "deploy", "rollback"]
    (row,) = there.mlship("list", "--target", "azure")["services"]
    assert (row["project"], row["environment"], row["live"], row["ready"]) == ("churn", "prod", one["release"]["id"], True)
    there.mlship("destroy", *words, "--yes")
    assert there.mlship("list", "--target", "azure")["services"] == []
    assert world.ml == {} and world.scalings == {}


def test_a_canary_waits_for_a_word_and_is_promoted_or_given_up(world: MlAccount, here: Story) -> None:
    promoted_twice_and_given_up_once(here, *(built(here, world, version) for version in (1, 2, 3)))
    (endpoint,) = world.of("onlineEndpoints")
    assert placed(world) == set(endpoint["properties"]["traffic"]) and len(placed(world)) == 1


@pytest.mark.parametrize(
    ("environment", "words", "instead"),
    [
        ("none", "an online endpoint keeps one machine", "use service container-apps, or scale.replicas: 1..2"),
        ("spot", "spot is not possible with azure azureml", "use service vm, or target kubernetes"),
        ("open", "Azure takes the header Authorization for its own key or token", "use service container-apps"),
    ],
)
def test_what_azure_ml_cannot_do_is_refused_with_the_alternative(
    world: MlAccount, here: Story, environment: str, words: str, instead: str
) -> None:
    world.secrets["https://acme.vault.azure.net/secrets/churn-keys"] = ["4387e9f3d6e14c459867679a90fd0f79"]
    said = " ".join(here.refused("plan", "--env", environment, "--image", built(here, world, 1)).split())
    assert words in said and instead in said, said
    assert not [asked for asked in world.requests if asked.startswith(("PUT", "DELETE"))]


def test_render_writes_both_folders(world: MlAccount, here: Story) -> None:
    here.mlship("render", "--env", "prod", "--image", built(here, world, 1))
    written = {str(path.relative_to(here.folder)) for path in here.folder.rglob("*") if path.is_file()}
    assert any(path.endswith("apply/3-deployment.json") for path in written)
    assert any(path.endswith("eject/deployment.yml") for path in written)
