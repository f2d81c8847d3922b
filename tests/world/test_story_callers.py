"""The shipped server as six platforms run and call it; and images that break a rule of each, stopped with the right words."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from shop import MODEL
from story import Story

from mlship.image.record import BuildRecords
from mlship.oci.image import CONTENT_LABEL, content_id
from mlship.oci.layout import Layout

pytestmark = [pytest.mark.world, pytest.mark.engine]

PLATFORMS = {"SageMaker, Vertex AI, Azure ML": ("sagemaker", "vertex", "azureml"),
             "Cloud Run, Container Apps, ECS": ("cloud-run", "container-apps", "ecs")}  # fmt: skip
CHECKS = ("image", "time", "start", "sample", "health", "type", "body", "stop")
YAML = "name: {name}\nmodel: {{uri: price.json, framework: python, loader: till:Till, code: [till.py], sample: sample.json}}\n"
CACHES = "open('/opt/cache', 'w').write('x')"
KEYS = "TILL_KEYS"


class Till:
    """A project whose model does what ON_LOAD says. name: its own, as others use the engine."""

    def __init__(self, story: Story) -> None:
        self.story, self.name = story, f"callers-{os.getpid()}"
        self.home = Path(story.environ["MLSHIP_HOME"])
        story.write("till.py", MODEL)
        story.write("sample.json", '{"instances": [{"pieces": 1}, {"pieces": 3}]}')
        story.write("price.json", "2")
        self.configure()

    def configure(self, more: str = "") -> None:
        self.story.write("mlship.yaml", YAML.format(name=self.name) + more)

    def with_variables(self, content: str, more: Mapping[str, str]) -> str:
        """Content of an image like one that was built, with variables that its maker wrote into it."""
        layout, records = Layout(self.home / "images"), BuildRecords(self.home / "images")
        image, record = layout.find(content), records.of_content(content)
        assert record is not None
        own = {
            **image.config["config"],
            "Env": [*image.config["config"]["Env"], *(f"{key}={text}" for key, text in more.items())],
        }
        made = content_id(image.platform, [layer.diff_id for layer in image.layers], own)
        own["Labels"] = {**own["Labels"], CONTENT_LABEL: made}
        layout.tag(self.name, layout.put_image(made, image.platform, image.layers, {**image.config, "config": own}))
        records.write(replace(record, content=made, inputs=made.removeprefix("sha256:")))
        return made

    def failed(self, platform: str, *words: str) -> dict[str, Any]:
        """The only result of `test --as` that failed."""
        said = self.story.mlship("test", "--as", platform, *words, exit=5)
        assert said["verdict"] == "fail"
        [result] = [result for result in said["results"] if result["verdict"] == "fail"]
        return result


@pytest.fixture
def till(engine: Any, bare_environment: Path, story_home: Path, tmp_path: Path) -> Any:
    folder = tmp_path / "till"
    folder.mkdir()
    environ = {**os.environ, "VIRTUAL_ENV": str(bare_environment), "MLSHIP_HOME": str(story_home), KEYS: "k" * 40}
    made = Till(Story(folder, bare_environment / "bin" / "python", environ))
    yield made
    assert engine.containers.list(all=True, filters={"label": f"mlship.test={made.name}"}) == []
    assert [image.tags for image in engine.images.list() if any(made.name in tag for tag in image.tags)] == []


@pytest.mark.parametrize("titles", PLATFORMS)
def test_the_shipped_server_is_taken_by_all_six(till: Till, titles: str) -> None:
    names = PLATFORMS[titles]
    said = till.story.mlship("test", *(word for name in names for word in ("--as", name)), "--junit", "as.xml")
    wrong = [(result["name"], result["why"]) for result in said["results"] if result["verdict"] != "pass"]
    assert not wrong
    assert {(result["gate"], result["of"].split()[0]) for result in said["results"]} == {
        (check, name) for check in CHECKS for name in names
    }
    assert said["subject"].startswith(f"the image as a container of {titles}, at ")
    bodies = [result["measured"] for result in said["results"] if result["gate"] == "body"]
    assert bodies == (
        ["6.3 MB: 413", "1.5 MB: 200", "4.0 MB: 413"] if "sagemaker" in names else ["34 MB: 413", *["4.0 MB: 413"] * 2]
    )
    suite = ElementTree.parse(till.story.folder / "as.xml").getroot()
    assert (suite.get("failures"), suite.get("errors")) == ("0", "0") and int(suite.get("tests", 0)) >= len(names) * len(CHECKS)


def test_an_image_that_listens_elsewhere_is_stopped_with_where_it_does(till: Till) -> None:
    content = till.story.mlship("build")["image"]["content"]
    elsewhere = till.with_variables(content, {"PORT": "9000"})
    found = till.failed("vertex", "--image", elsewhere)
    assert found["why"] == "the server listens on 0.0.0.0:9000, and Vertex AI calls 0.0.0.0:8080 (AIP_HTTP_PORT)"
    alone = till.with_variables(content, {"MLSHIP_HOST": "127.0.0.1"})
    found = till.failed("container-apps", "--image", alone)
    assert (
        found["why"] == "the server listens on 127.0.0.1:8080, and Container Apps calls 0.0.0.0:8080 (the ingress' target port)"
    )


def test_code_and_times_that_a_platform_does_not_take_are_stopped(till: Till) -> None:
    content = till.story.mlship("build")["image"]["content"]
    slow = till.with_variables(content, {"MLSHIP_DRAIN_DELAY_S": "15"})
    found = till.failed("cloud-run", "--image", slow, "--only", "stop")
    assert found["name"] == "stop cloud-run" and "killed after 10 s" in found["measured"]
    assert "still there 10 s after SIGTERM, and Cloud Run kills it" in found["why"]

    # what is written counts as memory at Cloud Run, and nowhere else
    hoards = "[open(f'/tmp/{n}', 'wb').write(bytes(64 << 20)) for n in range(6)]"
    till.configure(f'env: {{ON_LOAD: "{hoards}"}}\nresources: {{memory: 256MB}}\n')
    found = till.failed("cloud-run", "--image", content, "--only", "start")
    assert (found["why"], found["fix"]) == ("the container ran out of memory while it started", "raise resources.memory")
    started = till.story.mlship("test", "--as", "sagemaker", "--image", content, "--only", "start")
    assert [result["verdict"] for result in started["results"]] == ["pass"]

    # code that writes where it may not: as root anywhere, in a container of ECS nowhere
    till.configure(f'env: {{ON_LOAD: "{CACHES}"}}\n')
    found = till.failed("ecs", "--image", content)
    assert found["measured"] == "ended with exit 1" and "Read-only file system: '/opt/cache'" in found["why"]
    assert found["fix"] == "write below /tmp alone"
    started = till.story.mlship("test", "--as", "sagemaker", "--image", content, "--only", "start")
    assert [result["verdict"] for result in started["results"]] == ["pass"]


def test_a_service_that_a_platform_cannot_call_is_stopped(till: Till) -> None:
    till.configure("serve: {protocols: [native]}\n")
    found = till.failed("sagemaker")
    assert (found["name"], found["fix"]) == ("start sagemaker", "add sagemaker to serve.protocols")
    assert found["why"] == "the server is ready, and GET /ping answers 404"
    till.configure(f"serve: {{auth: {{api_keys: secret:{KEYS}}}}}\nsecrets: {{{KEYS}: {{local: env}}}}\n")
    found = till.failed("azureml")
    assert found["name"] == "sample azureml" and "Azure ML keeps that to itself: nobody could call it" in found["why"]
    nowhere = {**till.story.environ, "DOCKER_HOST": f"unix://{till.story.folder}/none.sock"}
    said = replace(till.story, environ=nowhere).refused("test", "--as", "ecs", exit=13)
    assert "--as runs the image at a Docker engine: no Docker engine answers at unix://" in said
    assert "start it (systemctl start docker), or name another one with DOCKER_HOST" in said
