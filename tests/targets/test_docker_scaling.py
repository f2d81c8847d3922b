"""What is sent to the engine for the autoscaler, and what a plan says about it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from mlship.keeper.scale_document import scale_from
from mlship.releases.release import Release, Served, ServedModel
from mlship.targets.base import Deployment
from mlship.targets.docker import spec
from mlship.targets.docker.autoscaler import autoscaler_body, engine_socket, is_range, notes, scale_document
from mlship.targets.docker.bodies import replica_body
from mlship.targets.docker.rendering import rendered

SERVED = Served("sha256:" + "c4" * 32, (ServedModel("churn", "0" * 64),), resources={"cpu": 1500, "memory": 2 * 2**30})
SCALE = {"metric": "rps", "per_replica": 40.0, "down_after_s": 60.0}
DEPLOYMENT = Deployment(
    "churn", "prod", "docker", "haproxy", Release(12, SERVED, 0.0), {}, {"scale": SCALE}, {"team": "growth"}, replicas=(1, 4),
    startup_timeout_s=30.0, places={"scale.replicas": "mlship.yaml:7"},
)  # fmt: skip
SCOPE = spec.Scope("churn", "prod")


def test_the_keeper_understands_what_the_target_writes() -> None:
    scale = scale_from(json.dumps(scale_document(DEPLOYMENT, "mlship-churn.prod_secrets_0")))
    policy = scale.policy
    assert (policy.low, policy.high, policy.metric, policy.per_replica, policy.down_after_s) == (1, 4, "rps", 40.0, 60.0)
    assert (scale.release, scale.startup_timeout_s, scale.memory) == (DEPLOYMENT.release.id, 30.0, 2 * 2**30)
    assert (scale.network, scale.front) == (SCOPE.network, SCOPE.front)
    assert scale.prefix + scale.server(3) == SCOPE.container(spec.server_name(DEPLOYMENT.release.id, 3))
    assert scale.body["HostConfig"]["Mounts"][0]["Source"] == "mlship-churn.prod_secrets_0"


def test_its_replicas_are_those_of_a_deploy() -> None:
    """Of the same specification: a deploy replaces none of them."""
    body = scale_document(DEPLOYMENT)["body"]
    assert spec.spec_of(body) == spec.spec_of(replica_body(DEPLOYMENT, "172.20.0.2"))
    assert {**replica_body(DEPLOYMENT), "NetworkingConfig": {}} == {**body, "NetworkingConfig": {}}


def test_what_the_file_leaves_out_is_the_keepers_default() -> None:
    document = scale_document(replace(DEPLOYMENT, operating={}))
    assert (document["metric"], document["per_replica"], document["down_after_s"]) == ("concurrency", None, 300.0)
    assert scale_from(json.dumps(document)).policy.per_replica == 8.0


def test_it_gets_the_engines_socket_and_no_other_power() -> None:
    body = autoscaler_body(SCOPE, "sha256:f0", "/usr/bin/python3", "/run/user/1000/docker.sock")
    host = body["HostConfig"]
    assert (host["NetworkMode"], host["CapDrop"], host["ReadonlyRootfs"]) == ("none", ["ALL"], True)
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert not {"PortBindings", "Privileged", "CapAdd", "Binds", "PidMode"} & set(host)
    assert [(mount["Type"], mount["Source"], mount["Target"]) for mount in host["Mounts"]] == [
        ("volume", "mlship-churn.prod", "/state"),
        ("bind", "/run/user/1000/docker.sock", "/run/mlship/engine.sock"),
    ]
    assert body["Entrypoint"][-1] == "mlship.keeper" and body["Cmd"] == ["scale", "/state"]
    assert body["Labels"]["mlship.role"] == "autoscaler"
    other = autoscaler_body(SCOPE, "sha256:f1", "/usr/bin/python3", "/run/user/1000/docker.sock")
    assert spec.spec_of(other) != spec.spec_of(body), "a new front image brings a new autoscaler"


@pytest.mark.parametrize(
    ("address", "system", "socket"),
    [
        ("unix:///var/run/docker.sock", "Linux", "/var/run/docker.sock"),
        ("unix://var/run/docker.sock", "Linux", "/var/run/docker.sock"),
        ("unix:///run/user/1000/docker.sock", "Linux", "/run/user/1000/docker.sock"),
        ("unix:///home/anna/.docker/desktop/docker.sock", "Linux", "/var/run/docker.sock"),
        ("unix:///Users/anna/.colima/default/docker.sock", "Darwin", "/var/run/docker.sock"),
        ("ssh://deploy@host", "Linux", "/var/run/docker.sock"),
        ("tcp://10.0.0.2:2376", "Linux", "/var/run/docker.sock"),
    ],
)
def test_the_socket_is_where_the_engine_has_it(address: str, system: str, socket: str) -> None:
    assert engine_socket(address, system) == socket


def test_a_plan_says_who_gets_the_socket() -> None:
    [finding] = notes(DEPLOYMENT, 64 * 2**30)
    assert (finding.severity, finding.code, finding.where) == ("note", "autoscaler", "mlship.yaml:7")
    assert finding.what == (
        "scale.replicas is 1..4: the container mlship-churn.prod-autoscaler gets the engine's socket, which is as much as root "
        "on the engine's machine; it publishes nothing and has no network"
    )
    assert list(notes(replace(DEPLOYMENT, replicas=(3, 3)), 64 * 2**30)) == []


def test_a_plan_says_where_the_memory_ends() -> None:
    [_, finding] = notes(DEPLOYMENT, 7 * 2**30)
    assert (finding.severity, finding.code) == ("note", "autoscaler-memory")
    assert (finding.what, finding.fix) == (
        "the engine's machine has memory for 3 replicas of 2048MiB, not for 4",
        "write 1..3, or less resources.memory",
    )


def test_the_records_tell_whether_there_should_be_one() -> None:
    assert is_range({"replicas": {"min": 1, "max": 3}})
    assert not is_range({"replicas": {"min": 2, "max": 2}})
    assert not is_range({})


def test_what_is_sent_for_it_can_be_read_before() -> None:
    files = rendered(DEPLOYMENT)
    assert list(json.loads(files["apply/autoscaler.json"])) == [SCOPE.autoscaler]
    assert json.loads(files["apply/scale.json"]) == scale_document(DEPLOYMENT)
    fixed = rendered(replace(DEPLOYMENT, replicas=(2, 2)))
    assert not {"apply/autoscaler.json", "apply/scale.json"} & set(fixed)
