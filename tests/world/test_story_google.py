"""A model file of scikit-learn goes the whole way at both services of Google Cloud: built, pushed, and served from what was pushed."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("google.cloud.run_v2", reason="no clients of Google Cloud: pip install 'mlship[gcp]'")
pytest.importorskip("googleapiclient", reason="no discovery documents: pip install google-api-python-client")

import cloud_run_account
import vertex_account
from google_operations import Operations
from inspecting_proxy import Asked, Told
from pulled_servers import pulled_servers
from registry_parts import real_registry
from story import PRELUDE, Story

from mlship.targets.gcp.vertex.bodies import HEALTH, PREDICT

pytestmark = [
    pytest.mark.world,
    pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="Google Cloud runs images of linux/amd64 alone"),
]
TRAIN = """\
import joblib
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

random = np.random.default_rng(VERSION)
rows = random.normal(size=(60, 4))
model = make_pipeline(StandardScaler(), LogisticRegression(C=VERSION)).fit(rows, rows[:, 0] > 0)
joblib.dump(model, "model.joblib")
json.dump(rows[:3].tolist(), open("sample.json", "w"))
asked(rows[:3], model.predict(rows[:3]))
"""
YAML = f"""\
name: churn
model: {{uri: model.joblib, sample: sample.json}}
target: gcp
resources: {{cpu: 1, memory: 1GB}}
targets: {{gcp: {{region: {cloud_run_account.REGION}}}}}
environments:
  run: {{}}
  vertex: {{targets: {{gcp: {{region: {vertex_account.REGION}, service: vertex, instance: n2-standard-2}}}}}}
"""


@pytest.fixture(scope="module")
def built(laboratory: Path, story_home: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Story, list[str]]:
    """A project with two images, and their content ids: one build of each version for both services."""
    folder = tmp_path_factory.mktemp("google") / "churn"
    folder.mkdir()
    environ = {**os.environ, "VIRTUAL_ENV": str(laboratory), "MLSHIP_HOME": str(story_home)}
    story = Story(folder, laboratory / "bin" / "python", environ)
    story.write("train.py", PRELUDE + TRAIN)
    story.write("mlship.yaml", YAML)
    contents = []
    for version in (1, 2):
        story.train(version)
        contents.append(story.mlship("build", "--env", "run")["image"]["content"])
    return story, contents


def test_cloud_run_serves_what_was_pushed(built: tuple[Story, list[str]], tmp_path: Path) -> None:
    with cloud_run_account.loopback(tmp_path / "google") as there, pulled_servers(tmp_path / "servers", there.port) as servers:
        world = there.anew()
        world.operations.looks = 1  # a process really waits between two of them

        def crashes(copy: cloud_run_account.Copy) -> bool:
            ready = copy.template["containers"][0]["startupProbe"]["httpGet"]["path"]
            return not servers.start(*container(copy), ready)

        def serves(copy: cloud_run_account.Copy, asked: Asked) -> Told:
            return servers.ask(*container(copy), asked.method, asked.target, asked.body, asked.headers)

        def container(copy: cloud_run_account.Copy) -> tuple[str, dict[str, str]]:
            image = copy.template["containers"][0]["image"]
            return image, {"K_REVISION": copy.name, **{name: one["value"] for name, one in copy.environment.items()}}

        world.run.crashes, world.run.serves = crashes, serves
        goes_the_whole_way(built, there.environ, "run", cloud_run_account.REGION, tmp_path / "elsewhere")
        assert world.run.services == {} and world.storage.objects == {}


def test_vertex_serves_what_was_pushed(built: tuple[Story, list[str]], tmp_path: Path) -> None:
    with (
        real_registry(tmp_path / "registry") as port,
        vertex_account.account(tmp_path, port, Operations(looks=1)) as world,
        pulled_servers(tmp_path / "servers", port) as servers,
    ):

        def crashes(environ: Mapping[str, str]) -> bool:
            return not servers.start(*container(environ), HEALTH)

        def answers(environ: Mapping[str, str], route: str, body: bytes) -> tuple[int, bytes]:
            told = servers.ask(*container(environ), "POST", route, body, {"Content-Type": "application/json"})
            return told.status, told.body

        def container(environ: Mapping[str, str]) -> tuple[str, dict[str, str]]:
            said = {name: text for name, text in environ.items() if name not in ("CONTENT", "IMAGE")}
            return environ["IMAGE"], {**said, "AIP_PREDICT_ROUTE": PREDICT, "AIP_HEALTH_ROUTE": HEALTH}

        world.vertex.crashes, world.vertex.answers = crashes, answers
        goes_the_whole_way(built, world.environ, "vertex", vertex_account.REGION, tmp_path / "elsewhere")
        assert not world.vertex.endpoints and not world.vertex.models and not world.storage.objects


def goes_the_whole_way(
    built: tuple[Story, list[str]], google: Mapping[str, str], environment: str, region: str, elsewhere: Path
) -> None:
    """Deploy, nothing to do, a new release, and then another machine: status, verify, back, logs, destroy."""
    story, (first, second) = built
    here = replace(story, environ={**story.environ, **google})
    one = here.mlship("deploy", "--env", environment, "--image", first, "--yes")
    assert one["verify"]["predictions"] == 3
    assert here.mlship("deploy", "--env", environment, "--image", first, "--yes")["unchanged"] is True
    two = here.mlship("deploy", "--env", environment, "--image", second, "--yes")
    assert two["release"]["content"] == second and two["previous"]["id"] == one["release"]["id"]

    elsewhere.mkdir()
    bare = {name: text for name, text in here.environ.items() if name != "VIRTUAL_ENV"}
    there = replace(here, folder=elsewhere, environ={**bare, "MLSHIP_HOME": str(elsewhere / "home")})
    words = ("churn", "--target", "gcp", "--region", region, "--env", environment)
    status = there.mlship("status", "--why", *words)
    assert status["serving"] == status["release"]["id"] == two["release"]["id"]
    back = there.mlship("rollback", *words, "--yes")
    assert back["release"]["content"] == first and back["verify"]["predictions"] == 3
    assert there.mlship("verify", *words)["ok"] is True
    assert [entry["action"] for entry in there.mlship("history", *words)["entries"]] == ["deploy", "deploy", "rollback"]
    there.mlship("destroy", *words, "--yes")
