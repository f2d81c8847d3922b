"""What is sent to the engine, and what is handed to those who leave: one specification, two forms."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlship.home import Home
from mlship.releases.release import Release, Served, ServedModel
from mlship.runner import LocalRunner
from mlship.targets.base import Deployment, Opening
from mlship.targets.docker import spec
from mlship.targets.docker.compose import compose_text
from mlship.targets.docker.resources import FEATURES, SERVICE
from mlship.targets.docker.target import DockerTarget

CONTENT = "sha256:" + "c41e07" + "0" * 58
SERVED = Served(
    CONTENT,
    (ServedModel("churn", "0" * 64),),
    env={"LOG_LEVEL": "info", "PASSWORD_HINT": 'a$HOME "b"\n- c: !!python', "PORT": "9", "MLSHIP_RELEASE": "r0-000000"},
    resources={"cpu": 1500, "memory": 2 * 2**30},
)
RELEASE = Release(12, SERVED, 0.0)
DEPLOYMENT = Deployment(
    "churn", "", "docker", "container", RELEASE, {"port": 9090, "host": "127.0.0.1"}, {}, {"team": "growth"}, keep=3
)
HERE = spec.Address("127.0.0.1", 9090)


def test_a_replica_is_locked_down() -> None:
    body = spec.replica_body(DEPLOYMENT, HERE)
    host = body["HostConfig"]
    assert body["User"] == "65532:65532"
    assert body["Healthcheck"] == {"Test": ["NONE"]}
    assert host["ReadonlyRootfs"] is True
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert "noexec" in host["Tmpfs"]["/tmp"]
    assert (host["NanoCpus"], host["Memory"], host["MemorySwap"]) == (1_500_000_000, 2 * 2**30, 2 * 2**30)
    assert host["PidsLimit"] == 1024
    assert host["RestartPolicy"] == {"Name": "unless-stopped"}
    assert host["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}}
    assert host["PortBindings"] == {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": "9090"}]}
    assert not {"Privileged", "Binds", "Mounts", "Devices", "PidMode", "IpcMode"} & set(host)


def test_a_replica_says_what_it_is_on_its_labels() -> None:
    labels = spec.replica_body(replace(DEPLOYMENT, environment="prod"), HERE)["Labels"]
    assert labels.pop(spec.SPEC)
    assert labels == {
        "team": "growth",
        "mlship.project": "churn",
        "mlship.env": "prod",
        "mlship.role": "replica",
        "mlship.release": RELEASE.id,
        "mlship.content": CONTENT,
    }


def test_the_target_decides_port_and_release_whatever_env_says() -> None:
    env = spec.replica_body(DEPLOYMENT, HERE)["Env"]
    assert env == [
        "LOG_LEVEL=info",
        "MLSHIP_DRAIN_DELAY_S=0",
        "MLSHIP_DRAIN_TIMEOUT_S=7",
        f"MLSHIP_RELEASE={RELEASE.id}",
        'PASSWORD_HINT=a$HOME "b"\n- c: !!python',
        "PORT=8080",
    ]


def test_labels_of_the_user_never_replace_ours() -> None:
    body = spec.replica_body(replace(DEPLOYMENT, labels={"mlship.project": "other", "mlship.role": "keeper"}), HERE)
    assert (body["Labels"]["mlship.project"], body["Labels"]["mlship.role"]) == ("churn", "replica")


def test_a_staged_copy_publishes_nothing_and_stays_down_when_it_crashes() -> None:
    staged, replica = spec.staged_body(DEPLOYMENT), spec.replica_body(DEPLOYMENT, HERE)
    assert staged["HostConfig"]["PortBindings"] == {}
    assert staged["HostConfig"]["RestartPolicy"] == {"Name": "no"}
    assert staged["Env"] == replica["Env"]


def test_a_change_of_labels_keeps_the_container_and_a_change_of_port_does_not() -> None:
    body = spec.replica_body(DEPLOYMENT, HERE)
    assert spec.spec_of(spec.replica_body(replace(DEPLOYMENT, labels={"team": "risk"}), HERE)) == spec.spec_of(body)
    assert spec.spec_of(spec.replica_body(DEPLOYMENT, spec.Address("127.0.0.1", 9091))) != spec.spec_of(body)


def test_an_environment_is_not_mistaken_for_a_project_with_a_dash() -> None:
    assert spec.Scope("churn", "prod").container("r1-abcdef") == "mlship-churn.prod-r1-abcdef"
    assert spec.Scope("churn-prod").container("r1-abcdef") == "mlship-churn-prod-r1-abcdef"
    assert spec.Scope("churn", "prod").volume != spec.Scope("churn-prod").volume


def test_a_container_that_somebody_started_from_our_image_is_not_ours() -> None:
    scope = spec.Scope("churn")
    assert scope.owns({"mlship.project": "churn", "mlship.env": "", "mlship.role": "replica"})
    assert not scope.owns({"mlship.project": "churn", "mlship.content": CONTENT})
    assert not scope.owns({"mlship.project": "churn", "mlship.env": "prod", "mlship.role": "replica"})


def test_the_keeper_reaches_the_volume_and_nothing_else() -> None:
    body = spec.keeper_body(spec.Scope("churn"), "sha256:1", "/usr/bin/python3.11")
    host = body["HostConfig"]
    assert body["Entrypoint"][:3] == ["/usr/bin/python3.11", "-s", "-S"]
    assert (host["NetworkMode"], host["CapDrop"], host["ReadonlyRootfs"], host["AutoRemove"]) == ("none", ["ALL"], True, True)
    assert [mount["Source"] for mount in host["Mounts"]] == ["mlship-churn"]
    assert body["StdinOnce"] is True


@pytest.mark.parametrize("origin", [None, {"boot": "b", "pid": 7}])
def test_a_keeper_tells_whose_it_is(origin: dict[str, Any] | None) -> None:
    body = spec.keeper_body(spec.Scope("churn"), "sha256:1", "/usr/bin/python3.11", origin)
    assert spec.origin_of(body["Labels"]) == origin
    assert spec.origin_of({spec.ORIGIN: "no JSON"}) is None


@pytest.mark.parametrize(
    ("host", "reachable", "url"),
    [
        ("127.0.0.1", "127.0.0.1", "http://127.0.0.1:80"),
        ("0.0.0.0", "127.0.0.1", "http://127.0.0.1:80"),
        ("::", "::1", "http://[::1]:80"),
        ("10.1.2.3", "10.1.2.3", "http://10.1.2.3:80"),
    ],
)
def test_an_address_is_asked_where_it_can_be_reached(host: str, reachable: str, url: str) -> None:
    address = spec.Address(host, 80)
    assert (address.reachable, address.url) == (reachable, url)


def test_without_a_file_the_service_stays_where_it_is() -> None:
    assert spec.address({}, HERE) == HERE
    assert spec.address({}) == spec.Address("127.0.0.1", 8080)
    assert spec.address({"port": 1, "host": "::1"}, HERE) == spec.Address("::1", 1)


def test_render_shows_the_very_bodies_that_apply_sends() -> None:
    bodies = json.loads(rendered()["apply/containers.json"])
    assert bodies == {
        f"mlship-churn-{RELEASE.id}-staged": spec.staged_body(DEPLOYMENT),
        f"mlship-churn-{RELEASE.id}": spec.replica_body(DEPLOYMENT, HERE),
    }
    assert json.loads(rendered()["apply/volume.json"])["Name"] == "mlship-churn"


def test_compose_describes_the_same_container_field_by_field() -> None:
    body = spec.replica_body(DEPLOYMENT, HERE)
    name, composed = from_compose(rendered()["eject/compose.yaml"])
    assert name == f"mlship-churn-{RELEASE.id}"
    assert composed == body


def test_hostile_text_stays_text_in_compose() -> None:
    hostile = {
        "A": "${HOME}",
        "B": "x\n  privileged: true",
        "C": '"]}',
        "D": "# no",
        "E": "\u2028\x85\x07",
        "F": "yes",
        "G": "",
    }
    served = replace(SERVED, env=hostile)
    deployment = replace(DEPLOYMENT, release=replace(RELEASE, served=served), labels={"a: b\n": "- &x", "n": "no"})
    body = spec.replica_body(deployment, HERE)
    _, composed = from_compose(compose_text("x", body))
    assert composed == body


def test_the_features_name_a_reason_and_an_alternative_for_whatever_is_absent() -> None:
    for word, feature in FEATURES[SERVICE].items():
        if feature.support != "native":
            assert feature.reason, word
        if feature.support == "absent":
            assert feature.instead, word


def test_the_resources_cost_nothing_and_are_named() -> None:
    found = target().resources(DEPLOYMENT)
    assert [(entry.kind, entry.name, entry.billed) for entry in found] == [
        ("container", f"mlship-churn-{RELEASE.id}", "free"),
        ("volume", "mlship-churn", "free"),
    ]


def from_compose(text: bytes) -> tuple[str, dict[str, Any]]:
    """The create body that compose would send: the inverse of the rendering, written from the Compose specification."""
    service = undoubled(yaml.safe_load(text))["services"]["model"]
    assert service.pop("pull_policy") == "never"
    (port,) = service.pop("ports")
    inner = f"{port['target']}/{port['protocol']}"
    body = {
        "Image": service.pop("image"),
        "User": service.pop("user"),
        "Env": [f"{name}={text}" for name, text in service.pop("environment").items()],
        "Labels": service.pop("labels"),
        "ExposedPorts": {f"{number}/tcp": {} for number in service.pop("expose")},
        "Healthcheck": {"Test": service.pop("healthcheck")["test"]},
        "StopSignal": service.pop("stop_signal"),
        "StopTimeout": int(service.pop("stop_grace_period").removesuffix("s")),
        "HostConfig": {
            "ReadonlyRootfs": service.pop("read_only"),
            "CapDrop": service.pop("cap_drop"),
            "SecurityOpt": service.pop("security_opt"),
            "Memory": service.pop("mem_limit"),
            "MemorySwap": service.pop("memswap_limit"),
            "NanoCpus": round(service.pop("cpus") * 1e9),
            "PidsLimit": service.pop("pids_limit"),
            "Tmpfs": dict(entry.split(":", 1) for entry in service.pop("tmpfs")),
            "NetworkMode": service.pop("network_mode"),
            "RestartPolicy": {"Name": service.pop("restart")},
            "LogConfig": {"Type": service["logging"]["driver"], "Config": service.pop("logging")["options"]},
            "PortBindings": {inner: [{"HostIp": port["host_ip"], "HostPort": port["published"]}]},
        },
    }
    name = service.pop("container_name")
    assert service == {}
    return name, body


def undoubled(value: Any) -> Any:
    if isinstance(value, dict):
        return {undoubled(key): undoubled(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [undoubled(entry) for entry in value]
    if isinstance(value, str):
        assert "$" not in value.replace("$$", "")
        return value.replace("$$", "$")
    return value


def rendered() -> dict[str, bytes]:
    return target().render(DEPLOYMENT)


def target() -> DockerTarget:
    def no_engine() -> Any:
        raise AssertionError("a pure function reached for the engine")

    opening = Opening("churn", "", Home(Path("/nonexistent")), LocalRunner(), lambda: 0.0, "test", {})
    return DockerTarget(opening, no_engine)
