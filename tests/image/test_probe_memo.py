from __future__ import annotations

import json
import os
import time
from pathlib import Path

from pytest import fixture, mark
from requirements_fakes import FakeRunner, probe_answer

from mlship.image.packages.interpreter import ask_interpreter
from mlship.memo import SETTLED_NS, Memo


class Bench:
    """An environment on disk, and an interpreter that tells how often it was started."""

    def __init__(self, folder: Path) -> None:
        self.python = folder / "env/bin/python"
        self.site = folder / "env/site-packages"
        self.info = self.site / "numpy-2.0.dist-info"
        self.info.mkdir(parents=True)
        (self.info / "METADATA").write_text("Name: numpy\nVersion: 2.0\n")
        self.python.parent.mkdir()
        self.python.touch()
        self.executable = self.python
        self.age_ns = 2 * SETTLED_NS
        self.memo = Memo(folder / "memo", clock=lambda: time.time_ns() + self.age_ns)
        self.runner = FakeRunner(lambda command: self._answer())

    def _answer(self) -> bytes:
        told = json.loads(probe_answer(distributions=[{"name": "numpy", "version": "2.0"}]))
        return json.dumps({**told, "executable": str(self.executable), "search_path": [str(self.site), "/none"]}).encode()

    def ask(self, **environ: str) -> int:
        """How often the interpreter was started until now."""
        found = ask_interpreter(self.python, ".venv", self.runner, self.memo, environ)
        assert found.distributions["numpy"].version == "2.0"
        return len(self.runner.commands)


@fixture
def bench(tmp_path):
    return Bench(tmp_path)


def test_an_interpreter_that_is_known_is_not_started_again(bench):
    assert [bench.ask(), bench.ask(), bench.ask()] == [1, 1, 1]


@mark.parametrize(
    "change",
    [
        lambda bench: (bench.site / "scipy-1.0.dist-info").mkdir(),
        lambda bench: bench.info.rename(bench.site / "numpy-2.1.dist-info"),
        lambda bench: (bench.info / "METADATA").write_text("Name: numpy\nVersion: 2.1\n"),
        lambda bench: (bench.info / "direct_url.json").write_text("{}"),
        lambda bench: (bench.site / "mine.pth").write_text("/src\n"),
        lambda bench: (bench.site / "sitecustomize.py").write_text(""),
        lambda bench: (bench.python.parent.parent / "pyvenv.cfg").write_text("home = /usr/bin\n"),
        lambda bench: bench.python.write_text("another"),
    ],
    ids=["installed", "updated", "edited", "reinstalled", "path", "customised", "made again", "interpreter"],
)
def test_every_change_of_an_environment_is_seen(bench, change):
    assert bench.ask() == 1
    change(bench)
    assert bench.ask() == 2


def test_what_moves_the_search_path_is_a_part_of_the_question(bench):
    assert bench.ask(HOME="/home/anna") == 1
    assert bench.ask(HOME="/home/ben") == 2
    assert bench.ask(HOME="/home/ben", PYTHONNOUSERSITE="1") == 3
    assert bench.ask(HOME="/home/ben", PYTHONNOUSERSITE="1", LANG="C") == 3


def test_a_shim_that_starts_another_interpreter_is_asked_each_time(bench):
    bench.executable = Path("/opt/python3.12/bin/python")
    assert [bench.ask(), bench.ask()] == [1, 2]


def test_a_link_to_another_interpreter_is_another_interpreter(bench, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).touch()
    bench.python.unlink()
    bench.python.symlink_to(tmp_path / "one")
    assert [bench.ask(), bench.ask()] == [1, 1]
    bench.python.unlink()
    bench.python.symlink_to(tmp_path / "two")
    assert bench.ask() == 2


def test_an_environment_that_was_changed_just_now_is_asked_again(bench):
    bench.age_ns = 0
    assert [bench.ask(), bench.ask()] == [1, 2]
    os.utime(bench.info)
    bench.age_ns = 2 * SETTLED_NS
    assert [bench.ask(), bench.ask()] == [3, 3]
