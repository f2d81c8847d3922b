"""A model larger than the memory that building it takes: read, hashed and written in pieces, stored as it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from story import Story

pytestmark = pytest.mark.world

SIZE = 300 * 10**6
MODEL = """
class Weights:
    def load(self, path):
        with open(path, "rb") as file:
            self.first = file.read(1)[0]

    def predict(self, rows):
        return [self.first for _ in rows]
"""
FILE = """
name: weights-%d
model: {uri: weights.bin, framework: python, loader: "weights:Weights", code: [weights/]}
"""
# Starts the command and tells the peak of its memory: of mlship and of every program that it waited for.
MEASURED = """
import os, sys
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, used = os.wait4(child, 0)
print(used.ru_maxrss * 1024)
sys.exit(os.waitstatus_to_exitcode(status))
"""


@pytest.fixture
def weights(bare_environment: Path, story_home: Path, tmp_path: Path) -> Story:
    environ = {**os.environ, "VIRTUAL_ENV": str(bare_environment), "MLSHIP_HOME": str(story_home)}
    made = Story(tmp_path / "weights", bare_environment / "bin" / "python", environ)
    made.write("weights/__init__.py", MODEL)
    made.write("mlship.yaml", FILE % os.getpid())
    with (made.folder / "weights.bin").open("wb") as file:
        for _ in range(SIZE // 10**6):
            file.write(os.urandom(10**6))
    return made


def test_a_build_takes_less_memory_than_its_model(weights: Story) -> None:
    weights.mlship("build")  # with base and server
    with (weights.folder / "weights.bin").open("r+b") as file:
        file.write(os.urandom(64))
    command = [sys.executable, "-c", MEASURED, *weights.command, "build", "--json"]
    done = subprocess.run(command, cwd=weights.folder, env=dict(weights.environ), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said, peak = done.stdout.strip().rsplit("\n", 1)
    [layer] = [layer for layer in json.loads(said)["image"]["layers"] if layer["role"] == "model"]
    assert layer["compressed"] == layer["size"] > SIZE
    assert int(peak) < 150 * 10**6
    unpacked = Path(weights.environ["MLSHIP_HOME"]) / "cache" / "unpacked"
    assert not list(unpacked.rglob("weights.bin"))


def test_a_disk_without_room_is_told_before_anything_is_written(weights: Story, tmp_path: Path) -> None:
    place = tmp_path / "small"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100m", "tmpfs", str(place)], capture_output=True).returncode:
        pytest.skip("no small disk can be mounted here")
    try:
        small = Story(weights.folder, weights.python, {**weights.environ, "MLSHIP_HOME": str(place / "home")})
        said = small.refused("build", exit=5)
        written = sum(file.stat().st_size for file in place.rglob("*") if file.is_file())
    finally:
        subprocess.run(["umount", str(place)], check=True)
    assert f"({SIZE + 64 * 2**20} bytes)" in said
    assert "are free" in said
    assert written < 10**6  # what it remembers of files that it read
