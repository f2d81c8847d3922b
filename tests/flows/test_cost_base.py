"""What an estimate is compared with: the file as it would be for what is live, and commits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mlship.config.load import load_project
from mlship.config.project import Project
from mlship.errors import MlshipError
from mlship.flows.costing.base import live_document
from mlship.releases.history import History
from mlship.releases.release import Release, Served

FILE = """\
name: churn
model: model.joblib
target: docker
resources: {cpu: 2, memory: 4GiB}
scale: {replicas: 3}
slo: {p99: 100ms}
cost: {traffic: {rps: 20, peak: 80}, budget: {monthly: 150 USD}}
"""
RELEASE = Release(1, Served("sha256:" + "0" * 64, (), resources={"cpu": 1500, "memory": 2**31}), 0.0)
OPERATING = {
    "service": "haproxy",
    "settings": {"port": 8080},
    "replicas": {"min": 2, "max": 6},
    "scale": {"metric": "rps", "per_replica": 8.0, "down_after_s": 90.0},
}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    file = tmp_path / "mlship.yaml"
    file.write_text(FILE)
    return load_project(file)


def live(**operating: object) -> History:
    return History("churn", "", "docker", 1, RELEASE.id, (RELEASE,), operating=operating)


def test_what_is_live_is_written_as_a_file_that_loads(project: Project):
    document = live_document(project, live(**OPERATING))
    found = load_project(project.file, text=json.dumps(document))
    assert (found.resources.cpu.milli, found.resources.memory.bytes) == (1500, 2**31)
    assert (found.scale.replicas.min, found.scale.replicas.max, found.scale.metric) == (2, 6, "rps")
    assert (found.scale.per_replica, found.scale.down_after.seconds) == (8.0, 90.0)
    assert found.slo == project.slo and found.cost == project.cost and found.target == "docker"


def test_a_release_that_recorded_little_is_completed_from_the_file(project: Project):
    served = Release(1, Served("sha256:" + "0" * 64, ()), 0.0)
    history = History("churn", "", "docker", 1, served.id, (served,))
    found = load_project(project.file, text=json.dumps(live_document(project, history)))
    assert found.resources == project.resources and found.cost == project.cost


def test_nothing_live_is_said(project: Project):
    with pytest.raises(MlshipError, match="churn has nothing live to compare with; mlship history"):
        live_document(project, History("churn", "", "docker"))
