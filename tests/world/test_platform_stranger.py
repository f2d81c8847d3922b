"""test --as, where somebody else answers at the address of the container that was started: a port or an address that is another's."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fake_project import built, made_context

from mlship.bench.question import Address
from mlship.flows.gating.platform_copy import Copy
from mlship.flows.gating.platform_course import Course
from mlship.flows.gating.platform_rules import PLATFORMS
from mlship.flows.gating.results import Result
from mlship.image.record import BuildRecords

pytestmark = pytest.mark.world
OWN = "r0-a1b2c3"


@pytest.fixture
def answering() -> Iterator[dict[str, Any]]:
    """A server that is ready, and says of itself what the test wants."""
    told: dict[str, Any] = {}

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Nothing."""

        def do_GET(self) -> None:
            body = json.dumps(told["said"]).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    told["port"] = server.server_address[1]
    yield told
    server.shutdown()
    server.server_close()


def judged(folder: Path, answering: dict[str, Any], platform: str) -> list[Result]:
    """What is said of a container whose engine says that it runs."""
    context = made_context(folder)
    record = BuildRecords(context.home.images).of_content(built(context, 1))
    assert record is not None
    engine: Any = SimpleNamespace(container=lambda _: SimpleNamespace(is_running=True))
    copy = Copy(engine, "c0ffee", Address("127.0.0.1", answering["port"]), 30.0, "python3", time.monotonic())
    course = Course(context, PLATFORMS[platform], copy, record, OWN, ("start", "sample"), "")
    return list(course.results(Result("image", "pass", platform)))


@pytest.mark.parametrize("platform", ["ecs", "sagemaker", "lambda"])
def test_a_stranger_at_the_container_s_address_ends_the_checks(
    tmp_path: Path, answering: dict[str, Any], platform: str
) -> None:
    answering["said"] = {"release": "r7-bbbbbb", "ready": True}
    (start,) = judged(tmp_path, answering, platform)
    assert (start.gate, start.verdict) == ("start", "fail")
    assert "a server of r7-bbbbbb answers, and not this container" in start.why and "run it again" in start.fix


def test_the_container_itself_is_asked_on(tmp_path: Path, answering: dict[str, Any]) -> None:
    answering["said"] = {"release": OWN, "ready": True}
    start, *others = judged(tmp_path, answering, "ecs")
    assert (start.gate, start.verdict) == ("start", "pass") and [one.gate for one in others] == ["sample"]
