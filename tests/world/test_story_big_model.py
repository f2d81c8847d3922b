"""Models larger than what is there: than the memory that building takes, than the disk, than the memory that they will be served in.

The one of 300 MB is built, priced and served, by a disk that is too slow at first. The one of 4 GB is a file with a hole, and what
it lacks is told before it is copied or loaded: it costs the seconds of one hash. A whole build of it would write and read 12 GB.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from priced import ASKED, assert_priced
from story import Story, predicted

pytestmark = pytest.mark.world

SIZE = 300 * 10**6
MODEL = """
import os, time

class Weights:
    def load(self, path):
        time.sleep(float(os.environ.get("DISK_S", "0")))
        with open(path, "rb") as file:
            self.first = file.read(1)[0]

    def predict(self, rows):
        return [self.first for _ in rows]
"""
FILE = """
name: weights-%d
model: {uri: weights.bin, framework: python, loader: "weights:Weights", code: [weights/], sample: sample.json}
"""
NET = """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.wide = torch.nn.Linear(10**6, 1000, bias=False)

    def forward(self, rows):
        return self.wide(rows)
"""
LARGE = """
name: large-%d
model: {uri: net.safetensors, loader: "net:Net", code: [net.py]}
build: {requirements: requirements.txt, python: "3.11"}
resources:
  memory: %s
"""


@pytest.fixture
def bare(bare_environment: Path, story_home: Path, tmp_path: Path) -> Story:
    environ = {**os.environ, "VIRTUAL_ENV": str(bare_environment), "MLSHIP_HOME": str(story_home)}
    return Story(tmp_path / "weights", bare_environment / "bin" / "python", environ)


@pytest.fixture
def weights(bare: Story) -> Story:
    bare.write("weights/__init__.py", MODEL)
    bare.write("mlship.yaml", FILE % os.getpid())
    bare.write("sample.json", '{"instances": [[1], [2]]}')
    with (bare.folder / "weights.bin").open("wb") as file:
        for _ in range(SIZE // 10**6):
            file.write(os.urandom(10**6))
    return bare


def test_a_build_takes_less_memory_than_its_model_which_is_served_once_it_has_the_time_to_load(weights: Story) -> None:
    weights.mlship("build")  # with base and server
    with (weights.folder / "weights.bin").open("r+b") as file:
        file.write(os.urandom(64))
    built, peak = weights.measured("build")
    [layer] = [layer for layer in built["image"]["layers"] if layer["role"] == "model"]
    assert layer["compressed"] == layer["size"] > SIZE
    assert peak < 150 * 10**6
    unpacked = Path(weights.environ["MLSHIP_HOME"]) / "cache" / "unpacked"
    assert not list(unpacked.rglob("weights.bin"))
    assert_priced(weights.mlship(*ASKED))
    slow = f"{FILE % os.getpid()}env: {{DISK_S: '3'}}\n"
    weights.write("mlship.yaml", f"{slow}serve: {{startup_timeout: 1s}}\n")
    assert "serve.startup_timeout" in weights.refused("deploy", "--target", "local", "--yes", exit=6)
    weights.write("mlship.yaml", slow)
    try:
        endpoint = weights.mlship("deploy", "--target", "local", "--yes")["endpoint"]
        first = (weights.folder / "weights.bin").open("rb").read(1)[0]
        assert predicted(endpoint, b'{"instances": [[1]]}')["predictions"] == [first]
    finally:
        weights.mlship("destroy", "--target", "local", "--yes")


def test_a_disk_without_room_is_told_before_anything_is_written(weights: Story) -> None:
    with small_disk(weights, "small") as small:
        said = small.refused("build", exit=5)
        place = Path(small.environ["MLSHIP_HOME"]).parent
        written = sum(file.stat().st_size for file in place.rglob("*") if file.is_file())
    assert f"({SIZE + 64 * 2**20} bytes)" in said
    assert "are free" in said
    assert written < 10**6  # what it remembers of files that it read


@contextmanager
def small_disk(story: Story, name: str) -> Iterator[Story]:
    """The same project with its cache on a disk of 100 MB."""
    place = story.folder.parent / name
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100m", "tmpfs", str(place)], capture_output=True).returncode:
        pytest.skip("no small disk can be mounted here")
    try:
        yield Story(story.folder, story.python, {**story.environ, "MLSHIP_HOME": str(place / "home")})
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_four_gigabytes_are_held_against_memory_and_disk_before_they_are_copied_or_loaded(bare: Story) -> None:
    bare.write("net.py", NET)
    bare.write("requirements.txt", "torch==2.13.0\nsafetensors==0.8.0\n")
    bare.write("mlship.yaml", LARGE % (os.getpid(), "2GiB"))
    size = 4 * 10**9
    header = json.dumps({"wide.weight": {"dtype": "F32", "shape": [1000, 10**6], "data_offsets": [0, size]}}).encode()
    with (bare.folder / "net.safetensors").open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + size)
    for command in (("check",), ("build",), ("deploy", "--target", "local", "--yes")):
        said = bare.refused(*command)
        assert "is 4.0 GB on disk and takes more when it is loaded, and resources.memory is 2GiB" in said, said
        assert "mlship.yaml:6:3" in said and "set resources.memory: 4864MiB" in said, said
    bare.write("mlship.yaml", LARGE % (os.getpid(), "6GiB"))
    with small_disk(bare, "small") as small:
        assert f"({size + 8 + len(header) + 64 * 2**20} bytes)" in small.refused("build", exit=5)
