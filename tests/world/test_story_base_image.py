"""A base that somebody else made, from a real registry: a model goes the whole way on it, and what does not fit is refused."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from foreign_base import push_files, push_slim
from free_ports import free_port
from registry_parts import real_registry
from story import PRELUDE, Story
from test_story_formats import SAVED, TRAIN

pytestmark = [pytest.mark.world, pytest.mark.engine]


@dataclass
class Shelf:
    """A registry that can be switched off. slim: the image in it."""

    host: str
    switch: ExitStack

    @property
    def slim(self) -> str:
        return f"{self.host}/team/python:3.11-slim"


@pytest.fixture(scope="module")
def shelf(engine: object, story_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    with ExitStack() as switch:
        made = Shelf(f"127.0.0.1:{switch.enter_context(real_registry(tmp_path_factory.mktemp('registry')))}", switch)
        push_slim(tmp_path_factory.mktemp("slim"), story_home, made.slim)
        yield made


@pytest.fixture
def project(story: Story) -> Story:
    story.write("train.py", PRELUDE + TRAIN.format(save=SAVED["model.pkl"]))
    story.train()
    story.mlship("init", "--model", "model.pkl", "--name", f"on-image-{free_port()}", "--target", "docker")
    return story


def on(project: Story, base: str, more: str = "") -> None:
    told = (project.folder / "mlship.yaml").read_text().partition("\nbuild:")[0].rstrip()
    project.write("mlship.yaml", f'{told}\nbuild: {{base: "{base}"{more}}}\n')


def test_what_does_not_fit_is_refused_before_anything_is_made(project: Story, shelf: Shelf, tmp_path: Path) -> None:
    on(project, shelf.slim, ', python: "3.12"')
    said = project.refused("build")
    assert "has Python 3.11 (/usr/local/bin/python3.11), and the model needs 3.12" in said
    assert "take a tag of it with Python 3.12" in said
    on(project, shelf.slim)
    assert "--builder docker on a base image is not yet built" in project.refused("build", "--builder", "docker")
    on(project, shelf.slim, ", packages: [libgomp1]")
    assert "RUN apt-get install -y libgomp1" in project.refused("check")
    alpine = f"{shelf.host}/team/python:3.11-alpine"
    files = {"lib/ld-musl-x86_64.so.1": b"x", "usr/bin/python3.11": b"x" * 64, "usr/lib/python3.11/os.py": b""}
    push_files(tmp_path / "alpine", alpine, files)
    on(project, alpine)
    said = project.refused("build")
    assert "has the C library musl" in said and "-slim or -bookworm instead of -alpine" in said
    other = f"{shelf.host}/team/python:riscv"
    push_files(tmp_path / "riscv", other, {"x": b"x"}, "linux/riscv64")
    on(project, other)
    assert "is for linux/riscv64, not for linux/amd64" in project.refused("build")
    on(project, f"{shelf.host}/team/python:gone")
    assert "the base cannot be had: there is no" in project.refused("build")
    on(project, f"127.0.0.1:{free_port()}/team/python:3.11-slim")
    assert "does not answer" in project.refused("build", exit=13)
    assert not (project.folder / "mlship.lock").exists()


def test_a_model_goes_the_whole_way_on_an_image_of_a_registry(project: Story, shelf: Shelf) -> None:
    truth = project.train()
    on(project, shelf.slim)
    project.settle("docker")
    built = project.mlship("build", "--sbom", "papers", "--push", f"{shelf.host}/team/churn:v1")
    (risk,) = [finding for finding in built["findings"] if finding["code"] == "risky-base"]
    assert "a shell (/bin/sh)" in risk["message"] and "/usr/bin/newgrp" in risk["message"]
    base = json.loads((project.folder / "mlship.lock").read_text())["locks"][0]["base"]
    assert (base["python"], base["glibc"], len(base["diff_ids"])) == ("/usr/local/bin/python3.11", "2.36", 2)
    _is_pushed_well(shelf, base, built)
    told = (project.folder / "papers" / f"{built['project']}.spdx.json").read_text()
    assert "installed without dpkg is unknown" in told and '"name": "coreutils"' in told
    try:
        deployed = project.mlship("deploy", "--yes")
        project.ask_all(deployed["endpoint"], truth, ("lists", "objects"))
    finally:
        project.mlship("destroy", "--yes")
    shelf.switch.close()
    second = project.train(2)
    assert project.mlship("build")["image"]["content"] != built["image"]["content"], "the lock is enough without the registry"
    with project.running() as endpoint:
        project.ask_all(endpoint, second, ("lists",))
    (project.folder / "mlship.lock").unlink()
    assert "does not answer" in project.refused("build", exit=13)


def _is_pushed_well(shelf: Shelf, base: dict, built: dict) -> None:
    """The base's layers were mounted, and the manifest says where they came from."""
    raw = subprocess.run(
        ["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{shelf.host}/team/churn:v1"],
        check=True,
        capture_output=True,
    ).stdout
    manifest = json.loads(raw)
    assert manifest["annotations"]["org.opencontainers.image.base.name"] == shelf.slim
    assert manifest["annotations"]["org.opencontainers.image.base.digest"] == base["digest"]
    (pushed,) = built["pushed"]
    how = {layer["digest"]: layer["how"] for layer in pushed["layers"]}
    assert [how[layer["digest"]] for layer in manifest["layers"][:2]] == ["mounted", "mounted"]
