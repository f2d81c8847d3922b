"""A closed service on this machine, with mlship's real server: deployed, proved, measured and rolled back without anybody's key."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "targets"))
sys.path.insert(0, str(Path(__file__).parents[1] / "server"))

from contract import carry_out, roll_back
from local_service import LocalService, ScriptRootfs
from served import ROOT, running, until, written

from mlship.releases.history import History
from mlship.releases.release import Proof
from mlship.runner import Command
from mlship.server.manifest import Auth
from mlship.targets.base import OPERATOR_KEY, Action, Deployment
from mlship.targets.plan import plan
from mlship.targets.rollout import RolledOut

pytestmark = pytest.mark.world

OLD, NEW = "old-key-0123456789abcdef", "new-key-0123456789abcdef"


class RealRootfs(ScriptRootfs):
    """Every content is mlship's own server from this checkout, with a model that doubles."""

    manifest: Path

    def command(self, content: str, environ: Mapping[str, str]) -> Command:
        own = {"PYTHONPATH": str(ROOT), "MLSHIP_MANIFEST": str(self.manifest)}
        return Command((sys.executable, "-m", "mlship.server", "serve"), environ={**own, **environ})


class ClosedService(LocalService):
    """A LocalService whose callers need a key. keys: the secret, one key a line."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, "demo")
        self.rootfs = RealRootfs(self.home)
        self.rootfs.manifest = written(root / "image", auth=Auth("CHURN_KEYS"))

    def closed(self, version: int, keys: str, history: History | None) -> Deployment:
        made = self.deployment(version)
        values = {"CHURN_KEYS": keys, OPERATOR_KEY: f"random-{version}-0123456789abcdef"}
        proof = Proof(({"amount": 4, "city": "Rome"},), {"predictions": [8]}, {"rtol": 0, "atol": 0})
        served = replace(made.release.served, serving={"auth": {}}, secrets=self.open().secret_versions(values, history))
        sequence = 1 + max((known.sequence for known in history.releases), default=0) if history else 1
        release = replace(made.release, sequence=sequence, served=served, proofs={"demo": proof})
        return replace(made, release=release, secrets=values)

    def deploy(self, version: int, keys: str) -> RolledOut:
        target = self.open()
        seen = target.observe()
        return carry_out(target, plan("deploy", self.closed(version, keys, seen.history), seen))


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ClosedService]:
    service = ClosedService(tmp_path)
    yield service
    service.open().apply(Action("destroy"), None)
    assert service.processes() == []


def answers(service: ClosedService, key: str) -> int:
    """The status that a caller with this key gets; asked by a program that knows nothing of mlship."""
    view = service.open().observe()
    command = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", f"X-API-Key: {key}", f"{view.endpoint}/schema"]
    return int(subprocess.run(command, capture_output=True, check=True).stdout)


def test_a_closed_service_is_deployed_and_rolled_back_without_a_callers_key(service: ClosedService) -> None:
    first = service.deploy(1, OLD)
    assert first.verification is not None and first.verification.text == "release id + 1 prediction ok"
    assert [answers(service, key) for key in (OLD, NEW, "")] == [200, 401, 401]

    service.deploy(1, f"{OLD}\n{NEW}")  # a new key is a new release of the same content
    assert [answers(service, key) for key in (OLD, NEW)] == [200, 200]
    measured = service.open().measure()
    assert [measures.requests for measures in measured.values()] == [2]  # its own proof, staged and live

    rolled = roll_back(service)  # no value is at hand: what the first release had is still here
    assert rolled.verification is not None and rolled.verification.ok
    assert [answers(service, key) for key in (OLD, NEW)] == [200, 401]


def test_no_key_stands_in_records_environments_or_logs(service: ClosedService) -> None:
    service.deploy(1, OLD)
    kept = [path for path in service.folder.rglob("*") if path.is_file() and path.parent.name != "secrets"]
    assert kept and all(OLD.encode() not in path.read_bytes() for path in kept)
    assert all(OLD.encode() not in Path(f"/proc/{pid}/environ").read_bytes() for pid in service.processes())


def test_a_release_without_its_secrets_is_refused_before_it_starts(service: ClosedService) -> None:
    target = service.open()
    deployment = replace(service.closed(1, OLD, None), secrets={})
    outcome = target.apply(Action("stage", deployment.release.id), deployment)
    assert outcome.cause.startswith(
        f"{deployment.release.id} cannot be started: its secrets (CHURN_KEYS, {OPERATOR_KEY}) are not"
    )


def test_a_log_that_nobody_reads_stops_nobody(tmp_path: Path) -> None:
    """Its pipe takes 64 KiB, which a tenth of these requests fill."""
    body = json.dumps({"instances": [[1, "Rome"]]}).encode()
    sent = b"POST /predict HTTP/1.1\r\nHost: test\r\nX-Request-Id: %s\r\nContent-Length: %d\r\n\r\n" % (b"x" * 120, len(body))
    last = sent.replace(b"Host: test", b"Host: test\r\nConnection: close")
    with running(written(tmp_path), MLSHIP_ACCESS_LOG="1") as server:
        for _ in range(5):
            said = server.exchange((sent + body) * 400 + last + body, timeout_s=20)
            assert said.count(b"HTTP/1.1 200 OK") == 401
        assert server.process.stdout is not None
        until(lambda: server.ask("/livez").status == 200)
        lines: list[dict[str, Any]] = [json.loads(server.process.stdout.readline()) for _ in range(300)]
        assert {line["event"] for line in lines} == {"request"} and b"Rome" not in repr(lines).encode()
