"""The command is killed at many instants of a deploy; run again, it converges every time and leaves no orphan."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest
from docker_standin import standin_image
from test_docker_contract import clean, free_port

from mlship.targets.docker.engine import connect
from mlship.targets.docker.holder import origin
from mlship.targets.docker.spec import Scope, keeper_body

pytestmark = [pytest.mark.world, pytest.mark.engine]

PROJECT = "killed"
INSTANTS = 14


class Caller:
    """Asks all the time; counts what it got: the version that answered, or `nothing`."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/predict"
        self.got: Counter[str] = Counter()
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self.stop.wait(0.02):
            try:
                with urllib.request.urlopen(urllib.request.Request(self.url, b"{}"), timeout=5) as answer:
                    self.got[answer.read().decode()] += 1
            except (OSError, HTTPException):
                self.got["nothing"] += 1


def deploy(home: Path, port: int, version: int, content: str) -> subprocess.Popen[bytes]:
    script = Path(__file__).with_name("docker_kill.py")
    argv = [sys.executable, script, home, PROJECT, str(port), str(version), content]
    return subprocess.Popen(argv, stderr=subprocess.PIPE)


def settled(engine: Any, label: dict[str, str]) -> list[Any]:
    """The containers, once the keepers of ended commands are gone: the engine removes them a moment later."""
    deadline = time.monotonic() + 5
    while True:
        found = engine.containers.list(all=True, filters=label, ignore_removed=True)
        if time.monotonic() > deadline or all(entry.labels["mlship.role"] != "keeper" for entry in found):
            return list(found)
        time.sleep(0.05)


def finished(process: subprocess.Popen[bytes]) -> None:
    _, said = process.communicate(timeout=90)
    assert process.returncode == 0, said.decode()


def test_a_killed_deploy_run_again_converges_without_orphans(engine: Any, tmp_path: Path) -> None:
    port = free_port()
    label = {"label": f"mlship.project={PROJECT}"}

    def image(version: int) -> str:
        """As a build would leave it: a deploy removes what no release needs, so it is made again for each."""
        return standin_image(engine, PROJECT, version)

    try:
        finished(deploy(tmp_path, port, 1, image(1)))
        content = image(2)
        began = time.monotonic()
        finished(deploy(tmp_path, port, 2, content))
        whole_s = time.monotonic() - began
        caller = Caller(port)
        caller.thread.start()
        for turn in range(INSTANTS):
            version = 1 + turn % 2
            killed = deploy(tmp_path, port, version, image(version))
            time.sleep(whole_s * (turn + 1) / (INSTANTS + 1))
            killed.send_signal(signal.SIGKILL)
            killed.wait()
            finished(deploy(tmp_path, port, version, image(version)))
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/mlship/release", timeout=5) as answer:
                serving = answer.headers["X-Mlship-Release"]
            containers = settled(engine, label)
            running = [entry for entry in containers if entry.status == "running"]
            assert [entry.labels["mlship.release"] for entry in running] == [serving], f"turn {turn}"
            releases = [entry.labels["mlship.release"] for entry in containers]
            assert len(releases) == len(set(releases)) <= 5, f"turn {turn}: {[entry.name for entry in containers]}"
            assert {entry.labels["mlship.role"] for entry in containers} == {"replica"}
        caller.stop.set()
        caller.thread.join()
        print(dict(caller.got), f"deploy {whole_s:.2f} s")
        assert set(caller.got) == {'{"predictions": [1]}', '{"predictions": [2]}', "nothing"}
        assert len(engine.volumes.list(filters=label)) == 1
    finally:
        clean(engine, PROJECT)


def test_a_keeper_that_was_never_started_goes_with_the_next_deploy(engine: Any, tmp_path: Path) -> None:
    """Its command was killed between making it and starting it; the engine would keep it for ever."""
    scope = Scope(PROJECT)
    try:
        content = standin_image(engine, PROJECT, 1)
        image = engine.images.list(filters={"label": f"mlship.content={content}"})[0].id
        here = origin()
        assert here is not None
        made = connect(os.environ)
        for name, made_by in (("dead", {**here, "started": "1"}), ("alive", here)):
            made.create(scope.container(name, "keeper"), keeper_body(scope, image, "/usr/bin/python3", made_by))
        finished(deploy(tmp_path, free_port(), 1, content))
        label = {"label": [f"mlship.project={PROJECT}", "mlship.role=keeper"], "status": "created"}
        left = [entry.name for entry in engine.containers.list(all=True, filters=label, ignore_removed=True)]
        assert left == [scope.container("alive", "keeper")]
    finally:
        clean(engine, PROJECT)
