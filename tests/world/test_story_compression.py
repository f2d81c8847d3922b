"""One content, packed in several ways: by isal or zlib, the same bytes everywhere, or zstd; the identity stays."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from free_ports import free_port
from story import Story

pytestmark = pytest.mark.world

MODEL = """
import json

class Shelf:
    def load(self, path):
        self.prices = json.loads(open(path).read())

    def predict(self, names):
        return [self.prices[name] for name in names]
"""
FILE = """
name: shelf-%d
model: {uri: prices.json, framework: python, loader: "shelf:Shelf", code: [shelf/]}
"""


@pytest.fixture
def shelf(bare_environment: Path, story_home: Path, tmp_path: Path) -> Story:
    """A model that needs no package: an image of little more than the base and the server."""
    environ = {**os.environ, "VIRTUAL_ENV": str(bare_environment), "MLSHIP_HOME": str(story_home)}
    return _written(Story(tmp_path / "one", bare_environment / "bin" / "python", environ))


def test_reproducible_builds_have_one_manifest_with_and_without_isal(shelf: Story, tmp_path: Path) -> None:
    first = shelf.mlship("build", "--reproducible")["image"]
    other = _elsewhere(shelf, tmp_path / "other place", _without_isal(tmp_path))
    before = os.umask(0o077)
    try:
        second = other.mlship("build", "--reproducible")["image"]
    finally:
        os.umask(before)
    assert (second["content"], second["digest"]) == (first["content"], first["digest"])
    usual = other.mlship("build")["image"]
    assert usual["content"] == first["content"]
    assert usual["digest"] != first["digest"]
    assert other.mlship("build", "--reproducible")["unchanged"] is True


def test_zstd_gives_the_same_content_and_engines_that_do_not_read_it_are_not_sent_it(shelf: Story) -> None:
    usual = shelf.mlship("build")["image"]
    assert _types(shelf, usual) == {"application/vnd.oci.image.layer.v1.tar+gzip"}
    with _said(shelf, "build: {compression: zstd}\n"):
        small = shelf.mlship("build")["image"]
        assert small["content"] == usual["content"]
        assert small["compressed"] < usual["compressed"]
        assert _types(shelf, small) == {"application/vnd.oci.image.layer.v1.tar+zstd"}
        assert "leave one of them out" in shelf.refused("build", "--reproducible")
        try:
            shelf.mlship("deploy", "--target", "local", "--yes")
            assert shelf.mlship("status", "--target", "local")["release"]["content"] == usual["content"]
        finally:
            shelf.mlship("destroy", "--target", "local", "--yes")
    again = shelf.mlship("build")
    assert again["unchanged"] is True
    assert again["image"]["digest"] == usual["digest"]


@pytest.mark.engine
def test_an_old_engine_is_refused_zstd_before_anything_is_made(shelf: Story, engine: Any) -> None:
    if int(engine.version()["Version"].split(".")[0]) >= 23:
        pytest.skip("this engine reads zstd")
    with _said(shelf, f"build: {{compression: zstd}}\ntargets: {{docker: {{port: {free_port()}}}}}\n"):
        shelf.mlship("build")
        said = shelf.refused("deploy", "--target", "docker", "--yes")
    assert "does not read layers packed with zstd" in said
    assert "build.compression: gzip" in said
    project = shelf.mlship("check")["project"]
    assert engine.containers.list(all=True, filters={"label": f"mlship.project={project}"}) == []


def _written(story: Story) -> Story:
    story.write("shelf/__init__.py", MODEL)
    story.write("prices.json", json.dumps({"apple": 3, "pear": 4}))
    story.write("mlship.yaml", FILE % os.getpid())
    return story


def _elsewhere(story: Story, folder: Path, path: Path) -> Story:
    """The same project in a home of its own, where isal cannot be imported."""
    settings = {"MLSHIP_HOME": str(folder / "home"), "TZ": "Pacific/Kiritimati", "PYTHONHASHSEED": "7", "PYTHONPATH": str(path)}
    return _written(replace(story, folder=folder / "deep" / "project", environ={**story.environ, **settings}))


def _without_isal(folder: Path) -> Path:
    place = folder / "hides" / "isal"
    place.mkdir(parents=True)
    (place / "__init__.py").write_text("raise ImportError('isal is not installed')\n")
    return place.parent


@contextmanager
def _said(story: Story, more: str) -> Iterator[None]:
    """More in mlship.yaml, for a while."""
    file = story.folder / "mlship.yaml"
    before = file.read_text()
    file.write_text(before + more)
    yield
    file.write_text(before)


def _types(story: Story, image: dict[str, Any]) -> set[str]:
    return {layer["mediaType"] for layer in _manifest(story, image)["layers"]}


def _manifest(story: Story, image: dict[str, Any]) -> Any:
    blobs = Path(story.environ["MLSHIP_HOME"]) / "images" / "blobs" / "sha256"
    return json.loads((blobs / image["digest"].removeprefix("sha256:")).read_text())
