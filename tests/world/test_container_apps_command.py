"""The unmodified command against a subscription of Azure: the whole way of a service on Container Apps, each step a process."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

pytest.importorskip("azure.identity", reason="no azure-identity: pip install 'mlship[azure]'")

from approving import CAREFUL, promoted_twice_and_given_up_once
from azure_operations import SUBSCRIPTION
from container_apps_account import REGION, SUBNET, Account, account
from registry_images import image_of
from story import Story

from mlship.home import Home
from mlship.image.record import BuildRecord, BuildRecords, RecordedModel
from mlship.oci.layout import Layout

pytestmark = pytest.mark.world
YAML = f"""\
name: churn
model: model.joblib
target: azure
resources: {{cpu: 1, memory: 2GB}}
targets: {{azure: {{region: {REGION}, subnet: {SUBNET}}}}}
environments:
  prod: {{}}
  {CAREFUL}
  elsewhere: {{targets: {{azure: {{subscription: 99999999-9999-9999-9999-999999999999}}}}}}
  nobody: {{targets: {{azure: {{callers: environment}}}}}}
  shadow: {{rollout: {{mirror: 10%, bake: 10m}}}}
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Account, Mapping[str, str]]]:
    with account(tmp_path_factory.mktemp("azure")) as made:
        yield made


@pytest.fixture
def world(running: tuple[Account, Mapping[str, str]]) -> Account:
    """Operations and copies that are ready at the first look: a process really waits between two of them."""
    running[0].reset()
    running[0].operations.looks = running[0].starts_after = 0
    return running[0]


def machine(folder: Path, environ: Mapping[str, str]) -> Story:
    """With a home of its own, and credentials; what it has besides stands in its folder."""
    folder.mkdir()
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return Story(folder, Path(sys.executable), {**kept, **environ, "MLSHIP_HOME": str(folder / "home")})


def built(there: Story, world: Account, version: int) -> str:
    """The content id of an image of churn, as a build would have left it."""
    home = Home(there.folder / "home")
    image = image_of(Layout(home.images), (100,), seed=version)
    world.versions[image.content], world.broken[image.content] = version, ""
    model = RecordedModel(
        *("churn", "sklearn", "Pipeline", "model.joblib", 13, f"{version:064x}"),
        sample=({"age": 30},),
        answers={"predictions": [version]},
        tolerance={"rtol": 1e-6, "atol": 1e-9},
    )
    record = BuildRecord(f"inputs-{version}", image.content, "churn", "linux/amd64", 0.0, "0.1.0", (model,))
    BuildRecords(home.images).write(record)
    return image.content


@pytest.fixture
def here(tmp_path: Path, world: Account, running: tuple[Account, Mapping[str, str]]) -> Story:
    found = machine(tmp_path / "here", running[1])
    found.write("mlship.yaml", YAML)
    found.write("model.joblib", "not read here")
    return found


def test_the_whole_way(tmp_path: Path, world: Account, running: tuple[Account, Mapping[str, str]], here: Story) -> None:
    first, second = built(here, world, 1), built(here, world, 2)
    one = here.mlship("deploy", "--env", "prod", "--image", first, "--yes")
    assert one["verify"]["predictions"] == 1 and one["endpoint"].startswith("https://churn-prod-")
    assert here.mlship("deploy", "--env", "prod", "--image", first, "--yes")["unchanged"] is True
    two = here.mlship("deploy", "--env", "prod", "--image", second, "--yes")
    assert two["release"]["content"] == second and live(world) == {second}

    there = machine(tmp_path / "there", running[1])  # no checkout, no build, nothing but credentials
    words = ("churn", "--target", "azure", "--env", "prod")
    back = there.mlship("rollback", *words, "--yes")
    assert back["release"]["content"] == first and live(world) == {first}
    assert there.mlship("status", *words)["serving"] == one["release"]["id"]
    assert [entry["action"] for entry in there.mlship("history", *words)["entries"]] == ["deploy", "deploy", "rollback"]
    (row,) = there.mlship("list", "--target", "azure")["services"]
    assert (row["project"], row["environment"], row["live"], row["ready"]) == ("churn", "prod", one["release"]["id"], True)
    assert [line["text"] for line in there.mlship("logs", *words)["lines"]][-1] == "ready"
    assert any(line.startswith("storage account mlship") for line in there.mlship("destroy", *words, "--yes")["stays"])
    assert there.mlship("list", "--target", "azure")["services"] == [] and live(world) == set()


def test_a_canary_waits_for_a_word_and_is_promoted_or_given_up(world: Account, here: Story) -> None:
    contents = [built(here, world, version) for version in (1, 2, 3)]
    promoted_twice_and_given_up_once(here, *contents)
    assert live(world) == {contents[1]}


def test_what_cannot_be_is_refused_before_anything_is_changed(world: Account, here: Story) -> None:
    content = built(here, world, 1)
    said = here.refused("deploy", "--env", "elsewhere", "--image", content, "--yes", exit=8)
    assert f"AZURE_SUBSCRIPTION_ID is {SUBSCRIPTION}, and targets.azure.subscription is 9999" in said
    said = here.refused("deploy", "--env", "nobody", "--image", content, "--yes", exit=2)
    assert "nobody could call it" in said and "mlship.yaml" in said
    said = " ".join(here.refused("plan", "--env", "shadow", "--image", content, exit=2).split())
    assert (
        "mlship.yaml:11:22 rollout.mirror" in said and "rollout.mirror is not possible with the service container-apps" in said
    )
    assert "use a canary with a small first step, such as rollout.steps: [1%, 25%, 100%]" in said
    assert not [asked for asked in world.requests if asked.startswith(("PUT", "PATCH", "DELETE"))]


def test_render_writes_both_folders(here: Story, world: Account) -> None:
    here.mlship("render", "--env", "prod", "--image", built(here, world, 1))
    written = {str(path.relative_to(here.folder)) for path in here.folder.rglob("*") if path.is_file()}
    assert any(path.endswith("eject/app.yaml") for path in written)
    assert any(path.endswith("apply/service/1-containerApps.json") for path in written)


def live(world: Account) -> set[str]:
    """Contents of what runs."""
    running = (one for known in world.revisions.values() for one in known.values() if one.active)
    return {world.contents[one.image.rpartition("@")[2]] for one in running}
