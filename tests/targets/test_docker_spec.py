"""What is sent to the engine, and what is handed to those who leave."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlship.home import Home
from mlship.keeper.haproxy_config import render
from mlship.releases.release import Release, Served, ServedModel
from mlship.runner import LocalRunner
from mlship.targets.base import Deployment, Opening
from mlship.targets.docker import bodies, spec
from mlship.targets.docker.gpus import reserved
from mlship.targets.docker.rendering import front_document, replicas
from mlship.targets.docker.rendering import rendered as files_of
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
SETTINGS = {"port": 9090, "host": "127.0.0.1"}
DEPLOYMENT = Deployment("churn", "", "docker", "haproxy", RELEASE, SETTINGS, {}, {"team": "growth"}, keep=3, replicas=(2, 2))
SCOPE = spec.Scope("churn")
NEIGHBOURS = (("churn", ""), ("churn", "prod"), ("churn-prod", ""))
HERE = spec.Address("127.0.0.1", 9090)


def test_a_replica_is_locked_down_and_publishes_nothing() -> None:
    body = bodies.replica_body(DEPLOYMENT, "172.20.0.2")
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
    assert host["Mounts"] == []
    assert not {"PortBindings", "Privileged", "Binds", "Devices", "PidMode", "IpcMode"} & set(host)
    assert host["NetworkMode"] == "mlship-churn"
    assert body["NetworkingConfig"]["EndpointsConfig"]["mlship-churn"]["IPAMConfig"] == {"IPv4Address": "172.20.0.2"}


def test_a_replica_says_what_it_is_on_its_labels() -> None:
    labels = bodies.replica_body(replace(DEPLOYMENT, environment="prod"))["Labels"]
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
    env = bodies.replica_body(DEPLOYMENT)["Env"]
    assert env == [
        "LOG_LEVEL=info",
        "MLSHIP_DRAIN_DELAY_S=0",
        "MLSHIP_DRAIN_TIMEOUT_S=7",
        f"MLSHIP_RELEASE={RELEASE.id}",
        'PASSWORD_HINT=a$HOME "b"\n- c: !!python',
        "PORT=8080",
    ]


def test_labels_of_the_user_never_replace_ours() -> None:
    body = bodies.replica_body(replace(DEPLOYMENT, labels={"mlship.project": "other", "mlship.role": "keeper"}))
    assert (body["Labels"]["mlship.project"], body["Labels"]["mlship.role"]) == ("churn", "replica")


def test_what_may_change_in_place_keeps_the_replica() -> None:
    same = spec.spec_of(bodies.replica_body(DEPLOYMENT, "172.20.0.2"))
    for changed in (
        replace(DEPLOYMENT, labels={"team": "risk"}),
        replace(DEPLOYMENT, settings={"port": 1, "host": "::1"}),
        replace(DEPLOYMENT, replicas=(1, 9)),
    ):
        assert spec.spec_of(bodies.replica_body(changed, "172.20.0.9")) == same
    assert spec.spec_of(bodies.replica_body(DEPLOYMENT, secrets="mlship-churn_secrets_1")) != same


def test_each_replica_has_gpus_of_its_own_and_all_are_made_alike() -> None:
    served = replace(SERVED, resources={**SERVED.resources, "gpu": 2})
    wanted = replace(DEPLOYMENT, release=replace(RELEASE, served=served))
    first, second = (bodies.replica_body(wanted, number=number) for number in (1, 2))
    asked = [body["HostConfig"]["DeviceRequests"] for body in (first, second)]
    assert [request[0]["DeviceIDs"] for request in asked] == [["0", "1"], ["2", "3"]]
    assert asked[0][0]["Capabilities"] == [["gpu", "compute", "utility"]] and "Count" not in asked[0][0]
    assert spec.spec_of(first) == spec.spec_of(second) != spec.spec_of(bodies.replica_body(DEPLOYMENT))
    assert "DeviceRequests" not in bodies.replica_body(DEPLOYMENT)["HostConfig"]
    assert reserved(asked[1])["deploy"]["resources"]["reservations"]["devices"] == [
        {"driver": "nvidia", "device_ids": ["2", "3"], "capabilities": ["gpu", "compute", "utility"]}
    ]
    written = yaml.safe_load(files_of(wanted)["eject/compose.yaml"])["services"]
    assert [service.get("deploy") for service in written.values()][1:] == [reserved(one)["deploy"] for one in asked]


def test_secrets_are_read_only_files_and_stand_in_nothing_else() -> None:
    body = bodies.replica_body(DEPLOYMENT, secrets="mlship-churn_secrets_1")
    (mount,) = body["HostConfig"]["Mounts"]
    assert (mount["Source"], mount["Target"], mount["ReadOnly"]) == ("mlship-churn_secrets_1", "/run/secrets", True)


def test_the_front_is_locked_down_and_alone_publishes() -> None:
    body = bodies.front_body(SCOPE, HERE, "mlship/front:1", "/usr/bin/python3")
    host = body["HostConfig"]
    assert body["User"] == "65532:65532"
    assert (host["CapDrop"], host["ReadonlyRootfs"]) == (["ALL"], True)
    assert min(host["Memory"], host["PidsLimit"], host["NanoCpus"]) > 0
    assert host["PortBindings"] == {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": "9090"}]}
    assert [(mount["Type"], mount["Source"]) for mount in host["Mounts"]] == [("volume", "mlship-churn")]


def test_another_build_of_the_fronts_image_closes_no_port() -> None:
    one, other = (bodies.front_body(SCOPE, HERE, image, "/usr/bin/python3") for image in ("mlship/front:1", "mlship/front:2"))
    assert spec.spec_of(one) == spec.spec_of(other)
    assert spec.spec_of(one) != spec.spec_of(bodies.front_body(SCOPE, spec.Address("127.0.0.1", 1), "mlship/front:1", "p"))


def test_replicas_reach_nobody_unless_asked() -> None:
    assert bodies.network_body(SCOPE, egress=False)["Internal"] is True
    assert bodies.network_body(SCOPE, egress=True, subnet="172.20.0.0/16")["Internal"] is False


def test_an_environment_is_not_mistaken_for_a_project_with_a_dash() -> None:
    assert spec.Scope("churn", "prod").front == "mlship-churn.prod-front"
    assert spec.Scope("churn-prod").front == "mlship-churn-prod-front"
    assert spec.Scope("churn", "prod").volume != spec.Scope("churn-prod").volume


def test_a_container_that_somebody_started_from_our_image_is_not_ours() -> None:
    assert SCOPE.owns({"mlship.project": "churn", "mlship.env": "", "mlship.role": "replica"})
    assert not SCOPE.owns({"mlship.project": "churn", "mlship.content": CONTENT})
    assert not SCOPE.owns({"mlship.project": "churn", "mlship.env": "prod", "mlship.role": "replica"})


def test_a_servers_name_tells_release_and_number() -> None:
    name = spec.server_name("r12-c41e07", 3)
    assert (name, spec.release_of(name), spec.number_of(SCOPE.container(name))) == ("r12-c41e07-3", "r12-c41e07", 3)
    assert (spec.sequence_of("r12-c41e07"), spec.sequence_of("nonsense"), spec.number_of("front")) == (12, 0, 0)


def test_the_keeper_reaches_the_volume_and_nothing_else() -> None:
    body = bodies.keeper_body(SCOPE, "sha256:1", "/usr/bin/python3.11")
    host = body["HostConfig"]
    assert body["Entrypoint"][:3] == ["/usr/bin/python3.11", "-s", "-S"]
    assert (host["NetworkMode"], host["CapDrop"], host["ReadonlyRootfs"], host["AutoRemove"]) == ("none", ["ALL"], True, True)
    assert [mount["Source"] for mount in host["Mounts"]] == ["mlship-churn"]
    assert body["StdinOnce"] is True


@pytest.mark.parametrize("origin", [None, {"boot": "b", "pid": 7}])
def test_a_keeper_tells_whose_it_is(origin: dict[str, Any] | None) -> None:
    body = bodies.keeper_body(SCOPE, "sha256:1", "/usr/bin/python3.11", origin)
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


def test_render_shows_front_replicas_network_volume_and_traffic() -> None:
    files = rendered()
    shown = json.loads(files["apply/containers.json"])
    assert list(shown) == ["mlship-churn-front", f"mlship-churn-{RELEASE.id}-1", f"mlship-churn-{RELEASE.id}-2"]
    for name, body in replicas(DEPLOYMENT).items():
        assert shown[f"mlship-churn-{name}"] == body
    servers = json.loads(files["apply/front.json"])["servers"]
    addresses = [
        body["NetworkingConfig"]["EndpointsConfig"]["mlship-churn"]["IPAMConfig"] for body in replicas(DEPLOYMENT).values()
    ]
    assert [server["address"] for server in servers] == [address["IPv4Address"] for address in addresses]
    assert json.loads(files["apply/network.json"])["Internal"] is True
    assert json.loads(files["apply/volume.json"])["Name"] == "mlship-churn"


def test_compose_describes_the_same_replicas_field_by_field() -> None:
    composed = from_compose(rendered()["eject/compose.yaml"])
    assert list(composed) == list(replicas(DEPLOYMENT))
    for name, body in replicas(DEPLOYMENT).items():
        assert composed[name] == comparable(body)


def test_compose_publishes_the_front_alone() -> None:
    document = undoubled(yaml.safe_load(rendered()["eject/compose.yaml"]))
    assert document["services"]["front"]["ports"] == ["127.0.0.1:9090:8080/tcp"]
    assert document["networks"]["replicas"]["internal"] is True
    assert [name for name, service in document["services"].items() if "ports" in service] == ["front"]


def test_compose_confines_the_front_as_the_applied_one_is() -> None:
    front = undoubled(yaml.safe_load(rendered()["eject/compose.yaml"]))["services"]["front"]
    applied = json.loads(rendered()["apply/containers.json"])["mlship-churn-front"]
    composed, same = _confined(front), ("User", "Healthcheck", "StopSignal", "StopTimeout")
    ports = {"NetworkMode", "PortBindings", "Mounts"}
    host = {name: value for name, value in applied["HostConfig"].items() if name not in ports}
    assert composed == {**{name: applied[name] for name in same}, "HostConfig": host}
    assert front.pop("depends_on") == list(replicas(DEPLOYMENT))
    assert front.pop("networks")["replicas"]["ipv4_address"].endswith(".254"), "none of a replica, whoever starts first"
    assert [volume["type"] for volume in front.pop("volumes")] == ["bind"]
    assert set(front) == {"image", "ports"}


def test_an_ipv6_address_is_published_in_brackets() -> None:
    shown = target().render(replace(DEPLOYMENT, settings={"port": 9090, "host": "::1"}))["eject/compose.yaml"]
    assert yaml.safe_load(shown)["services"]["front"]["ports"] == ["[::1]:9090:8080/tcp"]


def test_ejected_services_of_one_engine_have_names_and_subnets_of_their_own() -> None:
    files = [target().render(replace(DEPLOYMENT, project=name, environment=env)) for name, env in NEIGHBOURS]
    names = [shown["eject/.env"].decode() for shown in files]
    assert names == [f"COMPOSE_PROJECT_NAME=mlship-{name}\n" for name in ("churn", "churn_prod", "churn-prod")]
    subnets = [yaml.safe_load(shown["eject/compose.yaml"])["networks"]["replicas"]["ipam"] for shown in files]
    assert len({json.dumps(subnet) for subnet in subnets}) == 3


def test_the_ejected_haproxy_names_every_replica() -> None:
    text = rendered()["eject/haproxy.cfg"].decode()
    assert [line.split()[1:3] for line in text.splitlines() if line.startswith("    server ")] == [
        [server["name"], f"{server['address']}:8080"] for server in front_document(DEPLOYMENT)["servers"]
    ] * 2


def test_the_ejected_front_serves_as_the_applied_one_does() -> None:
    document = front_document(DEPLOYMENT)
    applied, ejected = render(document).splitlines(), rendered()["eject/haproxy.cfg"].decode().splitlines()
    kept = ("# Written by mlship", "    description ", "    stats ")
    assert [line for line in applied if not line.startswith(kept)] == ejected
    services = yaml.safe_load(rendered()["eject/compose.yaml"])["services"]
    addresses = {server["name"]: server["address"] for server in document["servers"]}
    assert {name: services[name]["networks"]["replicas"]["ipv4_address"] for name in addresses} == addresses


@pytest.mark.skipif(shutil.which("haproxy") is None, reason="no haproxy on this machine")
def test_haproxy_takes_the_ejected_file(tmp_path: Path) -> None:
    file = tmp_path / "haproxy.cfg"
    file.write_bytes(rendered()["eject/haproxy.cfg"])
    done = subprocess.run(["haproxy", "-c", "-f", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


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
    composed = from_compose(target().render(deployment)["eject/compose.yaml"])
    for name, body in replicas(deployment).items():
        assert composed[name] == comparable(body)


def test_the_features_name_a_reason_and_an_alternative_for_whatever_is_absent() -> None:
    for word, feature in FEATURES[SERVICE].items():
        if feature.support != "native":
            assert feature.reason, word
        if feature.support == "absent":
            assert feature.instead, word


def test_the_resources_cost_nothing_and_are_named() -> None:
    found = target().resources(DEPLOYMENT)
    assert [(entry.kind, entry.name, entry.quantity, entry.billed) for entry in found] == [
        ("container", f"mlship-churn-{RELEASE.id}", 2, "free"),
        ("front", "mlship-churn-front", 1, "free"),
        ("volume", "mlship-churn", 1, "free"),
    ]


def comparable(body: dict[str, Any]) -> dict[str, Any]:
    """Without what compose decides itself: networks and addresses, and the labels by which mlship finds its own."""
    host = {name: value for name, value in body["HostConfig"].items() if name not in ("NetworkMode", "Mounts")}
    labels = {name: text for name, text in body["Labels"].items() if not name.startswith("mlship.")}
    return {**{name: value for name, value in body.items() if name != "NetworkingConfig"}, "HostConfig": host, "Labels": labels}


def from_compose(text: bytes) -> dict[str, dict[str, Any]]:
    """The create bodies that compose would send: the inverse of the rendering, written from the Compose specification."""
    services = undoubled(yaml.safe_load(text))["services"]
    return {name: _body(service) for name, service in services.items() if name != "front"}


def _body(service: dict[str, Any]) -> dict[str, Any]:
    assert service.pop("pull_policy") == "never"
    assert list(service.pop("networks")) == ["replicas"]
    body = {
        "Image": service.pop("image"),
        "Env": [f"{name}={text}" for name, text in service.pop("environment").items()],
        "Labels": service.pop("labels"),
        **_confined(service),
    }
    assert service == {}
    return body


def _confined(service: dict[str, Any]) -> dict[str, Any]:
    """Takes it out of the service."""
    return {
        "User": service.pop("user"),
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
            "RestartPolicy": {"Name": service.pop("restart")},
            "LogConfig": {"Type": service["logging"]["driver"], "Config": service.pop("logging")["options"]},
        },
    }


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
