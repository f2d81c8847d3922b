"""The shipped server as Lambda runs it: the real container at the engine, the runtime API in a container beside it; planted faults."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from story import Story
from test_story_callers import CACHES, KEYS, Till

pytestmark = [pytest.mark.world, pytest.mark.engine]
CHECKS = {"image", "time", "start", "sample", "type", "body", "direct"}


@pytest.fixture
def till(engine: Any, bare_environment: Path, story_home: Path, tmp_path: Path) -> Any:
    folder = tmp_path / "till"
    folder.mkdir()
    environ = {**os.environ, "VIRTUAL_ENV": str(bare_environment), "MLSHIP_HOME": str(story_home), KEYS: "k" * 40}
    made = Till(Story(folder, bare_environment / "bin" / "python", environ))
    made.name = f"lambda-{os.getpid()}"
    made.configure()
    yield made
    assert engine.containers.list(all=True, filters={"label": f"mlship.test={made.name}"}) == []


def test_the_shipped_server_answers_lambdas_events(till: Till) -> None:
    said = till.story.mlship("test", "--as", "lambda")
    wrong = [(result["name"], result["why"]) for result in said["results"] if result["verdict"] != "pass"]
    assert not wrong
    assert {result["gate"] for result in said["results"]} == CHECKS
    assert [result["measured"] for result in said["results"] if result["gate"] == "body"] == ["6.3 MB: 413"]
    not_asked = [entry["gate"] for entry in said["not_asked"]]
    assert [name for name in not_asked if name.startswith(("health", "stop"))] == ["health lambda", "stop lambda"]


def test_what_lambda_does_not_take_is_stopped(till: Till) -> None:
    content = till.story.mlship("build")["image"]["content"]
    till.configure(f'env: {{ON_LOAD: "{CACHES}"}}\n')
    found = till.failed("lambda", "--image", content)
    assert found["name"] == "start lambda" and "Read-only file system: '/opt/cache'" in found["why"]
    assert found["fix"] == "write below /tmp alone"

    till.configure("env: {ON_LOAD: \"__import__('time').sleep(12)\"}\n")
    late = till.failed("lambda", "--image", content)
    assert late["name"] == "start lambda" and "INIT is over after 10 s" in late["why"]


def test_keys_of_the_service_are_asked_for_in_events_too(till: Till) -> None:
    till.configure(f"serve: {{auth: {{api_keys: secret:{KEYS}}}}}\nsecrets: {{{KEYS}: {{local: env}}}}\n")
    said = till.story.mlship("test", "--as", "lambda", "--only", "sample", "--only", "direct")
    assert {(result["gate"], result["verdict"]) for result in said["results"]} == {("sample", "pass"), ("direct", "pass")}
    assert [result["measured"] for result in said["results"] if result["gate"] == "direct"] == ["refused"]
