"""The unmodified command against a project of Google Cloud: the whole way of a service on Cloud Run, each step a process of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("google.cloud.run_v2", reason="no clients of Google Cloud: pip install 'mlship[gcp]'")
pytest.importorskip("googleapiclient", reason="no discovery documents: pip install google-api-python-client")

from approving import CAREFUL, promoted_twice_and_given_up_once
from cloud_run_account import PROJECT, REGION, Loopback, World, loopback, service_of
from registry_images import image_of
from story import Story

from mlship.home import Home
from mlship.image.record import BuildRecord, BuildRecords, RecordedModel
from mlship.oci.layout import Layout

pytestmark = pytest.mark.world
YAML = f"""\
name: churn
model: model.joblib
target: gcp
resources: {{cpu: 1, memory: 2GB}}
targets: {{gcp: {{region: {REGION}}}}}
environments:
  prod: {{}}
  {CAREFUL}
  spot: {{cost: {{profile: spot}}}}
"""


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loopback]:
    with loopback(tmp_path_factory.mktemp("google")) as found:
        yield found


@pytest.fixture
def world(there: Loopback) -> World:
    """Operations that have ended at the first look: a process really waits between two of them."""
    found = there.anew()
    found.operations.looks = 1
    return found


def machine(folder: Path, there: Loopback) -> Story:
    """With a home of its own, and credentials; what it has besides stands in its folder."""
    folder.mkdir()
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return Story(folder, Path(sys.executable), {**kept, **there.environ, "MLSHIP_HOME": str(folder / "home")})


def built(here: Story, world: World, version: int) -> str:
    """The content id of an image of churn, as a build would have left it."""
    home = Home(here.folder / "home")
    image = image_of(Layout(home.images), (100,), seed=version)
    world.run.versions[image.content], world.run.broken[image.content] = version, ""
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
def here(tmp_path: Path, there: Loopback, world: World) -> Story:
    found = machine(tmp_path / "here", there)
    found.write("mlship.yaml", YAML)
    found.write("model.joblib", "not read here")
    return found


def test_the_whole_way(tmp_path: Path, there: Loopback, world: World, here: Story) -> None:
    first, second = built(here, world, 1), built(here, world, 2)
    one = here.mlship("deploy", "--env", "prod", "--image", first, "--yes")
    assert one["verify"]["predictions"] == 1 and one["endpoint"].startswith("https://mlship-churn--prod-")
    assert service_of(world).said["scaling"] == {"maxInstanceCount": 1}, "none that waits unless the file asks for it"
    assert here.mlship("deploy", "--env", "prod", "--image", first, "--yes")["unchanged"] is True
    two = here.mlship("deploy", "--env", "prod", "--image", second, "--yes")
    assert two["release"]["content"] == second and live(world) == {second}

    elsewhere = machine(tmp_path / "there", there)  # no checkout, no build, nothing but credentials
    words = ("churn", "--target", "gcp", "--region", REGION, "--env", "prod")
    back = elsewhere.mlship("rollback", *words, "--yes")
    assert back["release"]["content"] == first and live(world) == {first}
    assert elsewhere.mlship("status", *words)["serving"] == one["release"]["id"]
    assert [entry["action"] for entry in elsewhere.mlship("history", *words)["entries"]] == ["deploy", "deploy", "rollback"]
    (row,) = elsewhere.mlship("list", "--target", "gcp", "--region", REGION)["services"]
    assert (row["project"], row["environment"], row["live"], row["ready"]) == ("churn", "prod", one["release"]["id"], True)
    assert [line["text"] for line in elsewhere.mlship("logs", *words)["lines"]][-1] == "ready"
    assert f"mlship-{PROJECT}-{REGION}" in str(elsewhere.mlship("destroy", *words, "--yes")["stays"])
    assert world.run.services == {} and world.storage.objects == {}


def test_a_canary_waits_for_a_word_and_is_promoted_or_given_up(world: World, here: Story) -> None:
    contents = [built(here, world, version) for version in (1, 2, 3)]
    promoted_twice_and_given_up_once(here, *contents)
    assert live(world) == {contents[1]}


def test_what_cannot_be_is_refused_before_anything_is_changed(there: Loopback, world: World, here: Story) -> None:
    content = built(here, world, 1)
    said = here.refused("deploy", "--env", "spot", "--image", content, "--yes", exit=2)
    assert "cost.profile spot is not possible with gcp cloud-run: Cloud Run has no spot" in said and "mlship.yaml:9" in said
    assert "use service vertex, vm, or target kubernetes" in said
    assert world.run.services == {} and world.storage.buckets == {}


def test_render_writes_what_is_sent_and_what_gcloud_takes(there: Loopback, world: World, here: Story) -> None:
    here.mlship("render", "--env", "prod", "--image", built(here, world, 1))
    written = {str(path.relative_to(here.folder)) for path in here.folder.rglob("*") if path.is_file()}
    assert any(path.endswith("eject/service.yaml") for path in written)
    assert any(path.endswith("apply/service/1-create-service.json") for path in written)
    assert world.google.asked == [], "it asks nobody"


def live(world: World) -> set[str]:
    """Contents of what callers reach."""
    service = service_of(world)
    return {service.copies[one["revision"]].content for one in service.shares if one.get("percent")}
