"""Real wheels whose shared libraries the base lacks: a small package is added, large ones are refused with the line to write."""

from __future__ import annotations

import json

import pytest
from story import Story

pytestmark = pytest.mark.world

CODE = """\
import ctypes.util

import {module}


class Scaled:
    container = "list"

    def load(self, path):
        self.scale = float(path.read_text())
        ctypes.CDLL(ctypes.util.find_library("m") or "libm.so.6")

    def predict(self, rows):
        return [sum(row) * self.scale for row in rows]
"""
YAML = """\
name: scaled
model:
  uri: scale.txt
  framework: python
  loader: scaled:Scaled
  code: [scaled.py]
build:
  requirements: requirements.txt
  python: "3.11"
"""


@pytest.fixture
def project(story: Story) -> Story:
    story.write("scale.txt", "2.0")
    story.write("mlship.yaml", YAML)
    return story


def need(project: Story, package: str, module: str) -> None:
    project.write("requirements.txt", f"{package}\n")
    project.write("scaled.py", CODE.format(module=module))


def test_the_library_of_lightgbm_is_added_and_locked(project: Story) -> None:
    need(project, "lightgbm", "lightgbm")
    told = project.mlship("build")
    (added,) = [finding for finding in told["findings"] if finding["code"] == "library-added"]
    assert "libgomp1" in added["message"] and "needs libgomp.so.1" in added["message"]
    (lock,) = json.loads((project.folder / "mlship.lock").read_text())["locks"]
    assert "libgomp1" in {package["name"] for package in lock["system"]}
    assert project.mlship("build", "--locked")["image"]["content"] == told["image"]["content"]


def test_a_display_for_opencv_is_refused_with_the_wheel_that_needs_none(project: Story) -> None:
    need(project, "opencv-python", "cv2")
    said = project.refused("build", exit=5)
    assert "needs libGL.so.1" in said
    assert "take opencv-python-headless instead" in said
    assert "write build: {packages: [libgl1, libglib2.0-0" in said
    assert not (project.folder / "mlship.lock").exists()
    need(project, "opencv-python-headless", "cv2")
    project.mlship("build")
