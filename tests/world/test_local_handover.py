"""Releases hand over under load, and no caller notices."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "targets"))

from contract import carry_out, deploy, live_id
from local_service import LocalService, ScriptRootfs

from mlship.home import Home
from mlship.runner import Command
from mlship.server.manifest import Manifest, Model, Serving, Signature, to_json
from mlship.targets.base import Action
from mlship.targets.plan import plan

pytestmark = pytest.mark.world
HANDOVERS = 20
ROOT = Path(__file__).parents[2]
CODE = """
class Model:
    def load(self, path):
        self.path = path

    def predict(self, rows):
        return [VERSION for _ in rows]
"""


class RealServer(ScriptRootfs):
    """Every content is a copy of this checkout's mlship.server with a model that answers its version."""

    def __init__(self, home: Home, folder: Path) -> None:
        super().__init__(home)
        self._images = folder

    def command(self, content: str, environ: Mapping[str, str]) -> Command:
        image = self._images / content.removeprefix("sha256:")
        code = image / "code"
        code.mkdir(parents=True, exist_ok=True)
        (code / "answer.py").write_text(f"VERSION = {environ['VERSION']}\n{CODE}")
        (image / "model").write_bytes(b"")
        model = Model(
            "churn", "python", "none", "model", "0" * 64, loader="answer:Model", signature=Signature(container="list")
        )
        (image / "manifest.json").write_bytes(to_json(Manifest("churn", (model,), Serving(startup_timeout_s=30.0))))
        own = {"PYTHONPATH": f"{ROOT}:{code}", "MLSHIP_MANIFEST": str(image / "manifest.json"), "PYTHONUNBUFFERED": "1"}
        return Command((sys.executable, "-s", "-P", "-m", "mlship.server"), environ={**own, **environ})


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[LocalService]:
    service = LocalService(tmp_path)
    yield service
    service.open().apply(Action("destroy"), None)


@contextmanager
def load(harness: LocalService, rate: int, kept: int) -> Iterator[dict[str, Any]]:
    """Requests while the block runs; what happened is in the dict afterwards."""
    script = Path(__file__).with_name("local_load.py")
    port = harness.open().observe().endpoint.rpartition(":")[2]
    seen: dict[str, Any] = {}
    command = [sys.executable, str(script), port, str(rate), str(kept)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None and process.stdout.readline() == "going\n"
        yield seen
    finally:
        said, _ = process.communicate("")
    seen.update(json.loads(said))
    print(json.dumps(seen))


def test_20_handovers_under_1000_new_connections_a_second_lose_no_request(harness: LocalService, tmp_path: Path) -> None:
    harness.rootfs = RealServer(harness.home, tmp_path / "images")
    deploy(harness, 1)
    with load(harness, 1000, 5) as seen:
        ids = [deploy(harness, version).history.live for version in range(2, HANDOVERS + 2)]
    assert seen["failures"] == []
    assert set(ids) <= set(seen["releases"])
    assert seen["new_per_s"] > 900
    assert live_id(harness) == ids[-1]
    assert len(harness.processes()) == 3  # holder, server, worker


def test_callers_do_not_notice_that_the_holder_was_killed_and_replaced(harness: LocalService) -> None:
    first = deploy(harness, 1)
    target = harness.open()
    (holder,) = set(harness.processes()) - set(harness.servers())
    with load(harness, 200, 5) as seen:
        subprocess.run(["kill", "-9", str(holder)], check=True)
        observed = target.observe()
        assert observed.serving == first.history.live
        assert observed.repair
        deployment = replace(harness.deployment(1), release=first.history.releases[0])
        unwell = replace(observed, serving="")
        carry_out(target, replace(plan("deploy", deployment, unwell), fingerprint=observed.fingerprint))
        second = deploy(harness, 2).history.live
    assert seen["failures"] == []
    assert live_id(harness) == second
    assert len(harness.processes()) == 2
