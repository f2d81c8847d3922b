"""Downloads side by side: one that is wrong, or an interrupt, ends them all, and nothing of it stays."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest
from shop import Shop
from story import Story

from mlship.image.lock_file import read_lock_file, write_lock

pytestmark = pytest.mark.world


@pytest.fixture
def cold(shop: Shop, tmp_path: Path) -> Story:
    """The shop, locked, in a home with nothing in it."""
    shop.run("build")
    return replace(shop.story, environ={**shop.story.environ, "MLSHIP_HOME": str(tmp_path / "cold")})


def test_one_wrong_file_of_the_archive_ends_all_downloads(cold: Story) -> None:
    path = cold.folder / "mlship.lock"
    file = read_lock_file(path)
    [lock] = file.locks
    wrong = [replace(package, sha256="0" * 64) if package.name == "libc6" else package for package in lock.system]
    write_lock(path, [replace(lock, system=tuple(wrong))], file.models)
    said = cold.refused("build", "--locked", exit=5)
    assert "the archive gave other bytes than it signed for" in said
    assert "libc6_" in said
    assert _unfinished(cold) == []


def test_an_interrupt_ends_downloads_and_programs_at_once(cold: Story) -> None:
    command = [*cold.command, "build"]
    with (cold.folder / "build.log").open("w") as log:
        process = subprocess.Popen(command, cwd=cold.folder, env=dict(cold.environ), stdout=log, stderr=log)
    debs = Path(cold.environ["MLSHIP_HOME"]) / "cache" / "debs"
    while not (debs.is_dir() and any(debs.iterdir())):
        assert process.poll() is None, (cold.folder / "build.log").read_text()
        time.sleep(0.02)
    began = time.monotonic()
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(timeout=20) == 130
    assert time.monotonic() - began < 3
    assert (cold.folder / "build.log").read_text().endswith("interrupted; run the same command again: it converges\n")
    assert cold.mlship("build")["image"]["layers"]
    assert _unfinished(cold) == []


def _unfinished(story: Story) -> list[Path]:
    return list((Path(story.environ["MLSHIP_HOME"]) / "cache" / "debs").glob(".*part*"))
