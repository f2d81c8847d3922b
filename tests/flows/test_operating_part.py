"""The operating part: from the file to the records, and from the records to the same deployment."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from mlship.config.load import load_project
from mlship.config.project import Project
from mlship.flows.operating import deployment_from, deployment_from_operating, operating_part, with_references
from mlship.releases.release import Release, Served
from mlship.targets.base import Strategy

RELEASE = Release(1, Served("sha256:0", ()), 0.0)


def project(folder: Path, text: str) -> Project:
    file = folder / "mlship.yaml"
    file.write_text(f"name: churn\nmodel: a.joblib\ntarget: docker\n{text}")
    return load_project(file)


def test_a_file_that_says_nothing_of_rollout_and_scale_records_nothing_of_them(tmp_path: Path) -> None:
    plain = operating_part(project(tmp_path, ""))
    assert plain["replicas"] == {"min": 1, "max": 1}
    assert not {"rollout", "scale"} & set(plain)
    assert deployment_from(project(tmp_path, ""), RELEASE).strategy == Strategy()


def test_a_canary_without_steps_gets_three(tmp_path: Path) -> None:
    deployment = deployment_from(project(tmp_path, "rollout: {strategy: canary}\n"), RELEASE)
    assert deployment.strategy.steps == (0.05, 0.25, 1.0)


def test_the_records_describe_the_same_deployment_as_the_file(tmp_path: Path) -> None:
    said = project(
        tmp_path,
        "scale: {replicas: 2..6, metric: rps, per_replica: 40, down_after: 10m}\n"
        'rollout: {strategy: canary, steps: [1%, 100%], bake: 90s, gates: ["p95_ms < 40"], on_fail: pause, approve: manual}\n'
        "targets: {docker: {limits: {rate: 100/s}, egress: true}}\n",
    )
    written = deployment_from(said, RELEASE)
    recorded = json.loads(json.dumps(written.operating))
    read = deployment_from_operating("churn", "", "docker", RELEASE, recorded, None)
    assert written.strategy == Strategy("canary", (0.01, 1.0), 90.0, 200, ("p95_ms < 40",), "pause", "manual")
    assert written.replicas == (2, 6)
    assert recorded["scale"] == {"metric": "rps", "per_replica": 40.0, "down_after_s": 600.0}
    assert recorded["settings"]["limits"] == {"rate": "100/s"}
    assert replace(read, operating={}, settings={}) == replace(written, operating={}, settings={}, places={})


def test_records_of_an_earlier_mlship_describe_one_replica_that_takes_over_at_once() -> None:
    old = {"service": "container", "settings": {"port": 8080, "host": "127.0.0.1"}, "keep": 5}
    read = deployment_from_operating("churn", "", "docker", RELEASE, old, None)
    assert (read.replicas, read.strategy, read.settings["port"]) == ((1, 1), Strategy(), 8080)


def test_a_release_keeps_the_names_that_its_secrets_were_pinned_under(tmp_path: Path) -> None:
    said = project(tmp_path, "secrets: {KEY: {aws: 'secretsmanager:shop/key'}}\n")
    cloud = deployment_from(replace(said, target="aws", public=True), RELEASE)
    recorded = json.loads(json.dumps(cloud.operating))
    assert (recorded["public"], recorded["references"]) == (True, {"KEY": "secretsmanager:shop/key"})
    again = deployment_from_operating("shop", "", "aws", RELEASE, recorded, None)
    assert again.references == cloud.references == {"KEY": "secretsmanager:shop/key"}
    assert with_references({"keep": 3, "references": {"KEY": "newer"}}, recorded)["references"] == recorded["references"]
    assert with_references({"keep": 3, "references": {"KEY": "newer"}}, {}) == {"keep": 3}
