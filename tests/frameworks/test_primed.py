"""The process that begins before its question is known: when it is started, whom it answers, and that nothing of it stays."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from mlship.frameworks.primed import Primed, Question, writable_in
from mlship.home import Home
from mlship.runner import Command, Result

WORDS = ("/project", "", "", "")
NEEDS = ("sklearn", "numpy", "sklearn")


class Answering:
    """A runner whose program reads what it shall import and answers its one question; empty: it ends instead."""

    def __init__(self, answer: bytes = b'{"title": "Forest"}') -> None:
        self.answer = answer
        self.started: list[Command] = []
        self.heard: list[Any] = []
        self.ended = 0
        self.waited = 0
        self.lingers = False

    def run(self, command: Command) -> Result:
        raise AssertionError(command)

    def stream(self, command: Command, line: Callable[[str], None]) -> Result:
        raise AssertionError(command)

    def start(
        self,
        command: Command,
        *,
        log: Path | None = None,
        detached: bool = False,
        attached: bool = False,
        channel: int | None = None,
    ) -> Any:
        assert channel is not None
        self.started.append(command)
        Thread(target=self._speak, args=(os.dup(channel),), daemon=True).start()
        return self

    def _speak(self, handle: int) -> None:
        with socket.socket(fileno=handle) as channel, channel.makefile("rb") as lines:
            self.heard.append(json.loads(lines.readline()))
            if self.answer and (line := lines.readline()):
                self.heard.append(json.loads(line))
                channel.sendall(self.answer)

    @property
    def pid(self) -> int:
        return 0

    def poll(self) -> int | None:
        return None

    def wait(self, timeout: float | None = None) -> int:
        self.waited += 1
        if self.lingers:
            raise subprocess.TimeoutExpired("python", timeout or 0)
        return 0

    def send_signal(self, signal: int) -> None:
        self.ended += 1


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """In which a build of model.joblib has ended, with a program and what it was asked."""
    home, model = Home(tmp_path / "home"), tmp_path / "model.joblib"
    model.write_bytes(b"old")
    with Primed(home, Answering(), WORDS) as primed:
        primed.keep(question(tmp_path, tmp_path / "work"), tmp_path / "work", ("numpy", "sklearn"), NEEDS, [model])
    return home


def question(tmp_path: Path, folder: Path) -> Question:
    program = tmp_path / "python"
    program.touch()
    environ = {"PYTHONPATH": f"/lib:{folder}/code", "TMPDIR": str(writable_in(folder))}
    return Question((str(program), "-m", "asked"), environ, {"memory": 5, "writable": str(writable_in(folder))})


def test_a_process_begins_where_a_file_is_another_one_and_answers_its_own_question(home: Home, tmp_path: Path) -> None:
    (tmp_path / "model.joblib").write_bytes(b"newer")
    runner = Answering()
    with Primed(home, runner, WORDS) as primed:
        assert primed.folder is not None and writable_in(primed.folder).is_dir()
        assert primed.is_for(NEEDS, {"mine"}) and not primed.is_for((*NEEDS, "xgboost"))
        assert not primed.is_for(NEEDS, {"mine", "sklearn"}), "the project's own sklearn.py would not be read"
        assert primed.ask(question(tmp_path, primed.folder), {"sample": [1]}, 9) == runner.answer
        assert runner.ended == 1
        assert primed.ask(question(tmp_path, primed.folder), {}, 9) == b"", "it answers once"
    (command,) = runner.started
    assert command.environ == {"PYTHONPATH": f"/lib:{primed.folder}/code", "TMPDIR": f"{primed.folder}/writable"}
    first, asked = runner.heard
    assert first["ahead"] == {"modules": ["numpy", "sklearn"], "runtime": "sklearn"}
    assert (first["memory"], first["writable"], asked) == (5, f"{primed.folder}/writable", {"sample": [1]})
    assert not primed.folder.exists()


def test_nothing_begins_where_nothing_changed_or_other_words_were_said(home: Home, tmp_path: Path) -> None:
    with Primed(home, Answering(), WORDS) as primed:
        assert primed.folder is None and primed.ask(question(tmp_path, tmp_path), {}, 9) == b""
    (tmp_path / "model.joblib").write_bytes(b"newer")
    with Primed(home, Answering(), ("/elsewhere", "", "", "")) as primed:
        assert primed.folder is None


@pytest.mark.parametrize(
    "another",
    [
        lambda asked: replace(asked, argv=("other", *asked.argv[1:])),
        lambda asked: replace(asked, environ={**asked.environ, "OMP_NUM_THREADS": "8"}),
        lambda asked: replace(asked, limits={**asked.limits, "memory": 6}),
    ],
)
def test_another_question_is_not_answered(home: Home, tmp_path: Path, another: Callable[[Question], Question]) -> None:
    (tmp_path / "model.joblib").write_bytes(b"newer")
    runner = Answering()
    with Primed(home, runner, WORDS) as primed:
        assert primed.folder is not None
        assert primed.ask(another(question(tmp_path, primed.folder)), {}, 9) == b""
    assert runner.ended == 1 and len(runner.heard) <= 1


def test_an_interrupted_command_waits_for_no_process_that_it_ends(home: Home, tmp_path: Path) -> None:
    (tmp_path / "model.joblib").write_bytes(b"newer")
    runner = Answering()
    with pytest.raises(KeyboardInterrupt), Primed(home, runner, WORDS):
        raise KeyboardInterrupt
    assert (runner.ended, runner.waited) == (1, 0)


def test_a_process_that_takes_long_to_end_is_no_failure(home: Home, tmp_path: Path) -> None:
    (tmp_path / "model.joblib").write_bytes(b"newer")
    runner = Answering()
    runner.lingers = True
    with Primed(home, runner, WORDS):
        pass
    assert (runner.ended, runner.waited) == (1, 1)


def test_a_process_that_ends_early_says_nothing(home: Home, tmp_path: Path) -> None:
    (tmp_path / "model.joblib").unlink()
    with Primed(home, Answering(b""), WORDS) as primed:
        assert primed.folder is not None
        assert primed.ask(question(tmp_path, primed.folder), {"rows": "x" * 1_000_000}, 9) == b""


def test_a_file_of_another_age_alone_is_started_for_once(home: Home, tmp_path: Path) -> None:
    os.utime(tmp_path / "model.joblib", (1, 1))
    for starts in (1, 0):
        runner = Answering()
        with Primed(home, runner, WORDS):
            pass
        assert len(runner.started) == starts == runner.ended


def test_what_a_build_with_other_packages_ended_with_is_begun_next(home: Home, tmp_path: Path) -> None:
    model, runner = tmp_path / "model.joblib", Answering()
    model.write_bytes(b"newer")
    with Primed(home, runner, WORDS) as primed:
        assert primed.folder is not None
        asked = question(tmp_path, primed.folder)
        another = replace(asked, environ={**asked.environ, "ROOT": "/other"})
        assert primed.ask(another, {}, 9) == b""
        primed.keep(another, primed.folder, ("torch",), ("torch",), [model])
    model.write_bytes(b"newest")
    with Primed(home, runner, WORDS) as primed:
        assert primed.is_for(("torch",))
    assert [(command.environ or {}).get("ROOT") for command in runner.started] == [None, "/other"] and runner.ended == 2


def test_a_command_that_failed_leaves_its_question_to_the_next_one(home: Home, tmp_path: Path) -> None:
    (tmp_path / "model.joblib").write_bytes(b"newer")
    for _ in range(2):
        runner = Answering()
        with pytest.raises(ZeroDivisionError), Primed(home, runner, WORDS):
            raise ZeroDivisionError
        assert len(runner.started) == 1 == runner.ended


def test_what_was_kept_is_no_use_once_the_program_is_gone_or_it_is_damaged(home: Home, tmp_path: Path) -> None:
    (tmp_path / "model.joblib").write_bytes(b"newer")
    (kept,) = home.memo.iterdir()
    (tmp_path / "python").unlink()
    with Primed(home, Answering(), WORDS) as primed:
        assert primed.folder is None
    kept.write_text("{")
    with Primed(home, Answering(), WORDS) as primed:
        assert primed.folder is None
