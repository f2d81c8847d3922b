"""A closed service on a real engine, by the real command: keys that change, a canary that is judged, a rollback; no key is shown."""

from __future__ import annotations

import json
import os
import secrets
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from docker_told import everything_told
from free_ports import free_port
from shop import ROW, Shop
from story import Story

pytestmark = [pytest.mark.world, pytest.mark.engine]

NAME = f"closed-till-{os.getpid()}"
OLD, NEW, WATCHER = (secrets.token_urlsafe(24) for _ in range(3))
FILE = """
serve: {auth: {api_keys: secret:TILL_KEYS}}
secrets: {TILL_KEYS: {docker: "file:keys.txt"}}
"""
CANARY = 'rollout: {strategy: canary, steps: [50%, 100%], bake: 2s, gates: ["error_rate < 1%"], min_requests: 5}\n'


@pytest.fixture
def till(engine: Any, bare_environment: Path, story_home: Path, tmp_path: Path) -> Iterator[Shop]:
    folder = tmp_path / "shop"
    folder.mkdir()
    environ = {**os.environ, "VIRTUAL_ENV": str(bare_environment), "MLSHIP_HOME": str(story_home)}
    made = Shop(Story(folder, bare_environment / "bin" / "python", environ), NAME, "docker")
    made.port = free_port()
    made.configure(more=FILE)
    yield made
    made.run("destroy", "--yes")


def with_keys(till: Shop, *lines: str) -> None:
    till.story.write("keys.txt", "\n".join([*lines, f"prometheus:metrics:{WATCHER}", ""]))


def asked(till: Shop, key: str = "", path: str = "/predict") -> tuple[int, Any]:
    """Status and body."""
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
    request = urllib.request.Request(f"http://127.0.0.1:{till.port}{path}", ROW if path == "/predict" else None, headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            text = answer.read().decode()
            return answer.status, json.loads(text) if text.startswith("{") else text
    except urllib.error.HTTPError as refused:
        return refused.code, refused.headers.get("WWW-Authenticate", "")


@contextmanager
def calling(till: Shop, key: str) -> Iterator[list[Any]]:
    """Somebody who calls all the while; gives the predictions, or what came in their place."""
    answers: list[Any] = []
    is_over = threading.Event()

    def call() -> None:
        while not is_over.wait(0.02):
            status, body = asked(till, key)
            answers.append(body["predictions"][0] if status == 200 else status)

    caller = threading.Thread(target=call)
    caller.start()
    try:
        yield answers
    finally:
        is_over.set()
        caller.join()


def test_keys_change_a_canary_is_judged_and_a_rollback_brings_the_old_keys(till: Shop, engine: Any) -> None:
    with_keys(till, OLD)
    said = [json.dumps(till.story.mlship("deploy", "--yes"))]
    assert asked(till)[0] == asked(till, NEW)[0] == 401
    assert asked(till, OLD) == (200, {"predictions": [2]})
    assert asked(till, WATCHER)[0] == 403 and asked(till, OLD, "/metrics")[0] == 403
    told = asked(till, WATCHER, "/metrics")
    assert told[0] == 200 and "mlship_requests_total" in told[1]
    assert asked(till, path="/readyz")[0] == 200
    assert till.story.mlship("predict", "--data", "sample.json")["answer"]["predictions"] == [1, 3]

    with_keys(till, OLD, NEW)
    till.next_version()
    till.configure(more=FILE + CANARY)
    with calling(till, OLD) as answers:
        said.append(json.dumps(till.story.mlship("deploy", "--yes")))
    assert set(answers) == {2, 4}  # nobody was refused, and both releases were asked
    assert asked(till, OLD) == asked(till, NEW) == (200, {"predictions": [4]})

    with_keys(till, NEW)
    till.configure(more=FILE)
    said.append(json.dumps(till.story.mlship("deploy", "--yes")))
    assert asked(till, OLD)[0] == 401 and asked(till, NEW) == (200, {"predictions": [4]})

    said += [till.run(*words).said for words in (("status",), ("history",), ("verify",), ("logs",), ("render",))]
    said.append(json.dumps(till.story.mlship("rollback", "--yes")))
    assert asked(till, OLD) == asked(till, NEW) == (200, {"predictions": [4]})
    rendered = [
        path.read_text(errors="replace") for path in till.story.folder.rglob("*") if path.is_file() and path.name != "keys.txt"
    ]
    for key in (OLD, NEW, WATCHER):
        assert key not in "\n".join([*said, *rendered, everything_told(engine, NAME)])
