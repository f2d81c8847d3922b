"""A release goes by a plan in a file from local to staging to production at an engine, and a planted secret reaches no output."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from free_ports import free_port
from registry_parts import real_registry
from story import Story, predicted

pytestmark = [pytest.mark.world, pytest.mark.engine]

PLANTED = "hunter-two-9000"
# The model says its secret in the log, and in the error that ends its loading once it is told to.
CODE = """\
import os


class Scaled:
    def load(self, path):
        self.scale = path.read_bytes()[0]
        if self.scale == 9:
            raise RuntimeError("cannot log in with " + os.environ.get("DATABASE_URL", "nothing"))

    def predict(self, rows):
        print("asked with", os.environ.get("DATABASE_URL"), flush=True)
        return [self.scale * row["pieces"] for row in rows]
"""
YAML = """\
name: plans
model: {{uri: weights.bin, framework: python, loader: scaled:Scaled, code: [scaled.py], sample: sample.json}}
secrets: {{DATABASE_URL: {{docker: env, local: env}}}}
resources: {{memory: 256MiB}}
serve: {{startup_timeout: 20s}}
environments:
  dev: {{target: local, targets: {{local: {{port: {dev}}}}}}}
  staging: {{target: docker, targets: {{docker: {{port: {staging}}}}}}}
  prod: {{target: docker, env: {{LEVEL: warn}}, targets: {{docker: {{port: {prod}}}}}}}
"""
PLACES = {"dev": "local", "staging": "docker", "prod": "docker"}


@pytest.fixture
def shop(story: Story) -> Iterator[Story]:
    ports = {name: free_port() for name in PLACES}
    story.write("scaled.py", CODE)
    story.write("sample.json", '[{"pieces": 1}, {"pieces": 2}]')
    story.write("mlship.yaml", YAML.format(**ports))
    story = replace(story, environ={**story.environ, "DATABASE_URL": PLANTED})
    yield story
    for name, target in PLACES.items():
        subprocess.run(
            [*story.command, "destroy", "plans", "--target", target, "--env", name, "--yes"],
            env=dict(story.environ),
            check=True,
        )


def built(story: Story, scale: int, *words: str) -> str:
    (story.folder / "weights.bin").write_bytes(bytes([scale]))
    return str(story.mlship("build", *words)["image"]["content"])


def answer(endpoint: str) -> float:
    return float(predicted(endpoint, b'{"instances": [{"pieces": 1}]}')["predictions"][0])


def covered(said: str) -> str:
    assert PLANTED not in said and base64.b64encode(PLANTED.encode()).decode() not in said
    return said


def test_a_plan_is_carried_out_as_it_stands_and_the_same_image_goes_on(shop: Story, tmp_path: Path) -> None:
    with real_registry(tmp_path / "registry") as port:
        repository = f"127.0.0.1:{port}/team/plans"
        first = built(shop, 3, "--push", repository)
        _by_plan(shop, first)
        _onwards(shop, first)
        _from_a_registry(shop, first, repository, tmp_path / "elsewhere")
    _secrets_stay_secret(shop)


def _by_plan(shop: Story, content: str) -> None:
    for name in ("one.json", "two.json"):
        shop.mlship("plan", "--image", content, "--env", "dev", "--out", name)
    assert (shop.folder / "one.json").read_bytes() == (shop.folder / "two.json").read_bytes()
    live = shop.mlship("deploy", "--plan", "one.json", "--yes")
    assert live["release"]["content"] == content and answer(live["endpoint"]) == 3
    gone = covered(shop.refused("deploy", "--plan", "two.json", "--yes", exit=14))
    assert f"the world moved since the plan was made: {live['release']['id']} is live, nothing was" in gone


def _onwards(shop: Story, content: str) -> None:
    # from this machine's process to an engine: another target kind, the same image
    staged = shop.mlship("deploy", "--from", "dev", "--env", "staging", "--yes")
    assert staged["from"]["content"] == staged["release"]["content"] == content and answer(staged["endpoint"]) == 3

    # production by a plan; what is built meanwhile does not matter, what is deployed meanwhile does
    shop.mlship("plan", "--from", "staging", "--env", "prod", "--out", "prod.json")
    newer = built(shop, 4)
    live = shop.mlship("deploy", "--plan", "prod.json", "--yes")
    assert live["release"]["content"] == content and live["release"]["models"] == staged["release"]["models"]
    shop.mlship("plan", "--image", newer, "--env", "prod", "--out", "late.json")
    moved = json.loads((shop.folder / "late.json").read_text())["hosts"][0]
    assert moved["previous"] == live["release"]["id"] and moved["engine"] == shop.environ.get("DOCKER_HOST", "")
    other = shop.mlship("deploy", "--image", newer, "--env", "prod", "--yes")
    assert f"{other['release']['id']} is live" in shop.refused("deploy", "--plan", "late.json", "--yes", exit=14)
    back = shop.mlship("deploy", "--from", "staging", "--env", "prod", "--yes")
    assert back["release"]["content"] == content and answer(back["endpoint"]) == 3


def _from_a_registry(shop: Story, content: str, repository: str, home: Path) -> None:
    """A machine that has built nothing."""
    there = replace(shop, environ={**shop.environ, "MLSHIP_HOME": str(home)})
    shop.mlship("destroy", "plans", "--target", "docker", "--env", "prod", "--yes")
    assert "is neither on this machine nor in a registry" in there.refused(
        "deploy", "--from", "staging", "--env", "prod", "--yes"
    )
    plan = there.mlship("plan", "--from", "staging", "--env", "prod", "--registry", repository, "--out", "far.json")
    assert plan["from"]["fetched"] == f"{repository}:{content.removeprefix('sha256:')[:12]}"
    live = there.mlship("deploy", "--plan", "far.json", "--yes")
    assert live["release"]["content"] == content and live["verify"]["predictions"] == 2 and answer(live["endpoint"]) == 3


def _secrets_stay_secret(shop: Story) -> None:
    for name in ("dev", "prod"):
        logs = covered(shop.refused("logs", "--env", name, exit=0))
        assert "asked with ***" in logs, name
        assert "asked with ***" in covered(json.dumps(shop.mlship("logs", "--env", name)))
    (shop.folder / "weights.bin").write_bytes(bytes([9]))
    failed = covered(shop.refused("build", exit=5))
    assert "cannot log in with" in failed
