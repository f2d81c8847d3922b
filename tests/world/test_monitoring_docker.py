"""A closed HTTPS service on a real engine: Prometheus scrapes its front by certificate and key, then each of its replicas."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from free_ports import free_port
from made_certificate import made_certificate
from shop import Shop
from story import Story
from watchers import judge, need_programs, program, prometheus, wait_for

pytestmark = [pytest.mark.world, pytest.mark.engine]

NAME = f"monitoring-{os.getpid()}"
KEY = secrets.token_urlsafe(24)
FILE = """
scale: {{replicas: 2}}
serve: {{workers: 1, auth: {{api_keys: secret:KEYS}}}}
secrets: {{KEYS: {{docker: "file:keys.txt"}}, TLS_KEY: {{docker: "file:{key}"}}}}
targets: {{docker: {{port: {port}, tls: {{cert: {cert}, key: secret:TLS_KEY}}}}}}
monitoring: {{interval: 1s, ca: ca.pem}}
"""


@pytest.fixture
def till(engine: Any, front_home: Path, bare_environment: Path, tmp_path: Path) -> Iterator[Shop]:
    need_programs()
    folder = tmp_path / "shop"
    folder.mkdir()
    environ = {**os.environ, "VIRTUAL_ENV": str(bare_environment), "MLSHIP_HOME": str(front_home)}
    made = Shop(Story(folder, bare_environment / "bin" / "python", environ), NAME, "docker")
    made.story.write("keys.txt", f"me:predict:{secrets.token_urlsafe(24)}\nprometheus:metrics:{KEY}\n")
    yield made
    made.run("destroy", "--yes")


def rendered(till: Shop, certificate: Path, out: str) -> Path:
    """The files, judged, with what belongs beside them."""
    folder = Path(till.story.mlship("render", "--target", "monitoring", "--out", out)["folder"]) / "monitoring"
    shutil.copy(certificate, folder / "ca.pem")
    (folder / "metrics.key").write_text(f"{KEY}\n")
    judge(folder)
    return folder


@contextmanager
def beside(front: int, folder: Path, logs: Path) -> Iterator[None]:
    """Prometheus as in a container that joined the project's network: in that of the front, which is on it."""
    command = ("nsenter", "-t", str(front), "-n", "prometheus", "--config.file=prometheus.yml")
    own = ("--web.listen-address=127.0.0.1:9090", f"--storage.tsdb.path={logs / 'beside'}")
    with program(logs / "beside.log", *command, *own, cwd=folder):
        yield


def asked(front: int, query: str) -> list[dict[str, Any]]:
    command = ("nsenter", "-t", str(front), "-n", "curl", "-sfG", "http://127.0.0.1:9090/api/v1/query", "--data-urlencode")
    done = subprocess.run([*command, f"query={query}"], capture_output=True)
    return [] if done.returncode else list(json.loads(done.stdout)["data"]["result"])


def test_prometheus_gets_in_by_certificate_and_key_and_sees_every_replica(till: Shop, engine: Any, tmp_path: Path) -> None:
    cert, key = made_certificate(till.story.folder, "front", 2, "-addext", "subjectAltName=IP:127.0.0.1")
    port = free_port()
    said = FILE.format(port=port, cert=cert.name, key=key.name)
    till.configure(more=said)
    till.run("deploy", "--yes")

    every = rendered(till, cert, "every")
    till.configure(more=said.replace("ca: ca.pem", f'ca: ca.pem, addresses: ["https://127.0.0.1:{port}"]'))
    front = rendered(till, cert, "front")
    with prometheus(front, tmp_path, free_port()) as watcher:
        wait_for("the front is scraped", watcher.is_up)
        [release] = watcher.query("mlship_release_info")
        assert (release["metric"]["project"], release["metric"]["job"]) == (NAME, f"mlship-{NAME}")
        (front / "metrics.key").write_text("no key of theirs\n")  # read at each scrape
        wait_for("it is refused", lambda: watcher.query("up == 0"))

    text = (every / "prometheus.yml").read_text()
    assert "docker_sd_configs" in text and str(port) not in text
    socket = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    (every / "prometheus.yml").write_text(text.replace("unix:///var/run/docker.sock", socket))
    if os.geteuid() != 0:
        pytest.skip("only root enters the network of a container")
    [inside] = with_role(engine, "front")
    pid = inside.attrs["State"]["Pid"]
    with beside(pid, every, tmp_path):
        wait_for("both replicas are scraped", lambda: len(asked(pid, "up == 1")) == 2)
        found = asked(pid, "up")
        assert {one["metric"]["instance"] for one in found} == {copy.name for copy in with_role(engine, "replica")}
        assert {one["metric"]["job"] for one in found} == {f"mlship-{NAME}"}
        assert asked(pid, "sum(mlship_workers_ready)")[0]["value"][1] == "2"
        assert asked(pid, 'ALERTS{alertstate="firing"}') == []


def with_role(engine: Any, role: str) -> list[Any]:
    return list(engine.containers.list(filters={"label": [f"mlship.project={NAME}", f"mlship.role={role}"]}))
