"""The unmodified command against a project of Google Cloud: a canary and the way back on a Vertex endpoint, each step its own process."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("google.cloud.aiplatform_v1", reason="no google-cloud-aiplatform: pip install 'mlship[gcp]'")
pytest.importorskip("googleapiclient", reason="no google-api-python-client: pip install google-api-python-client")

from approving import given_up
from google_operations import Operations
from registry_images import image_of
from registry_parts import real_registry
from story import Story
from vertex_account import INSTANCE, PROJECT, REGION, Account, account

from mlship.home import Home
from mlship.image.record import BuildRecord, BuildRecords, RecordedModel
from mlship.oci.layout import Layout

pytestmark = pytest.mark.world
YAML = f"""\
name: churn
model: model.joblib
target: gcp
resources: {{cpu: 1, memory: 2GB}}
rollout: {{strategy: canary, steps: [10%, 100%], bake: 0s, approve: manual}}
targets: {{gcp: {{region: {REGION}, service: vertex, instance: {INSTANCE}}}}}
environments:
  prod: {{}}
  queue: {{scale: {{replicas: 1..3, metric: queue, per_replica: 5}}}}
  sealed: {{secrets: {{KEY: {{gcp: churn-key}}}}}}
  timed: {{scale: {{replicas: 1..3, schedule: [{{cron: "0 7 * * 1-5", min: 2}}]}}}}
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """Operations that have ended at the first look: a process really waits between two of them."""
    folder = tmp_path_factory.mktemp("vertex")
    with real_registry(folder / "registry") as port, account(folder, port, Operations(looks=1)) as found:
        yield found


def machine(folder: Path, world: Account) -> Story:
    """With a home of its own, and credentials; what it has besides stands in its folder."""
    folder.mkdir()
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return Story(folder, Path(sys.executable), {**kept, **world.environ, "MLSHIP_HOME": str(folder / "home")})


def built(here: Story, world: Account, version: int) -> str:
    """The content id of an image of churn, as a build would have left it."""
    home = Home(here.folder / "home")
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
def here(tmp_path: Path, world: Account) -> Story:
    world.reset()
    found = machine(tmp_path / "here", world)
    found.write("mlship.yaml", YAML)
    found.write("model.joblib", "not read here")
    return found


def test_the_whole_way(tmp_path: Path, world: Account, here: Story) -> None:
    first, second = built(here, world, 1), built(here, world, 2)
    begun = here.mlship("deploy", "--env", "prod", "--image", first, "--yes", exit=12)
    assert begun["ok"] is False
    one = here.mlship("promote", "--env", "prod", "--yes")["release"]
    here.mlship("deploy", "--env", "prod", "--image", second, "--yes", exit=12)

    elsewhere = machine(tmp_path / "there", world)  # no checkout, no build, nothing but credentials
    words = ("churn", "--target", "gcp", "--region", REGION, "--env", "prod")
    status = elsewhere.mlship("status", *words)
    assert sorted(status["weights"].values()) == [10, 90]
    assert elsewhere.mlship("promote", *words, "--yes")["release"]["content"] == second
    back = elsewhere.mlship("rollback", *words, "--yes")
    assert back["release"]["id"] == one["id"] and back["release"]["content"] == first
    endpoint = world.vertex.endpoints["mlship-churn--prod"]
    assert [one["displayName"] for one in endpoint.deployed.values()] == [back["release"]["id"]]
    given_up(here, built(here, world, 3), back["release"], "prod")
    assert [one["displayName"] for one in endpoint.deployed.values()] == [back["release"]["id"]]
    (row,) = elsewhere.mlship("list", "--target", "gcp", "--region", REGION)["services"]
    assert (row["project"], row["live"], row["ready"]) == ("churn", one["id"], True)
    assert elsewhere.mlship("logs", *words)["lines"][-1]["text"] == "ready"
    elsewhere.mlship("destroy", *words, "--yes")
    assert not world.vertex.endpoints and not world.vertex.models and not world.storage.objects
    assert list(world.storage.buckets) == [f"mlship-{PROJECT}-{REGION}"]


def test_what_cannot_be_is_refused_before_anything_is_changed(world: Account, here: Story) -> None:
    content = built(here, world, 1)
    said = here.refused("deploy", "--env", "queue", "--image", content, "--yes", exit=2)
    assert "scale.metric queue is impossible on Vertex AI" in said and "mlship.yaml" in said
    sealed = here.refused("deploy", "--env", "sealed", "--image", content, "--yes", exit=2)
    assert "not possible with the service vertex" in sealed and "use service cloud-run, or leave it out" in sealed
    timed = here.refused("deploy", "--env", "timed", "--image", content, "--yes", exit=2)
    assert "nothing of Google's changes replicas by the clock; use a range of scale.replicas, or a scheduled job" in timed
    assert not world.vertex.endpoints and not world.storage.buckets
