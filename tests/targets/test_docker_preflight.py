"""What would make a deployment fail at the engine is found before anything is changed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from mlship.releases.history import History
from mlship.releases.release import Release, Served
from mlship.targets.base import Deployment, FrontFacts, Strategy
from mlship.targets.docker.engine import EngineFacts
from mlship.targets.docker.machine import room
from mlship.targets.docker.preflight import Surroundings, findings
from mlship.targets.docker.seen import facts_seen
from mlship.targets.docker.spec import Address

OLD = Release(1, Served("sha256:old", ()), 0.0)
NEW = Release(2, Served("sha256:new", (), resources={"cpu": 1000, "memory": 2**30}), 0.0)
PLACES = {
    "targets.docker.port": "mlship.yaml:9:3 targets.docker.port",
    "resources.cpu": "mlship.yaml:4:3 resources.cpu",
    "resources.memory": "mlship.yaml:5:3 resources.memory",
}
DEPLOYMENT = Deployment("churn", "", "docker", "container", NEW, {}, {}, places=PLACES)
CALM = Surroundings(
    engine=EngineFacts("20.10.24+dfsg1", "linux", "x86_64", 2, 8 * 2**30),
    published=Address("127.0.0.1", 8080),
    ours=frozenset(),
    listening="",
    free=4 * 2**30,
    platform="linux/amd64",
    contents=frozenset({"sha256:new", "sha256:old"}),
    history=None,
    sequences=(),
    serving="",
)


def found(**changes: Any) -> list[str]:
    return [str(finding) for finding in findings(DEPLOYMENT, replace(CALM, **changes))]


def engine(**changes: Any) -> EngineFacts:
    return replace(CALM.engine, **changes)


def test_nothing_is_found_where_nothing_is_wrong() -> None:
    assert found() == []


def test_an_engine_that_cannot_run_it_is_named() -> None:
    assert found(engine=engine(system="windows")) == ["the engine runs windows containers; switch it to Linux containers"]
    assert found(engine=engine(version="19.3.1")) == ["the engine is version 19.3.1; 20.10 is the oldest that works"]
    assert found(engine=engine(version="dev")) == []


def test_an_engine_that_does_not_read_zstd_is_sent_none() -> None:
    [said] = found(sends_zstd=True)
    assert "20.10.24+dfsg1, which does not read layers packed with zstd" in said
    assert "build.compression: gzip" in said and "the image of build.base" in said
    assert found(sends_zstd=True, engine=engine(version="23.0.1")) == []


def test_a_network_that_is_used_is_neither_opened_nor_closed() -> None:
    assert found(egress=False) == found(egress=None) == []
    [said] = found(egress=True)
    assert said.startswith("targets.docker.egress is false, but the network of the running service leads out of the machine; ")
    assert "mlship destroy" in said


def test_a_port_of_another_container_is_named_with_its_place() -> None:
    assert found(engine=engine(taken={8080: "grafana"})) == [
        "mlship.yaml:9:3 targets.docker.port  port 8080 is taken by the container grafana; "
        "stop it, or choose another targets.docker.port"
    ]
    assert found(engine=engine(taken={8080: "mlship-churn-r1"}), ours=frozenset({"mlship-churn-r1"})) == []


def test_a_port_of_another_program_is_named() -> None:
    assert found(listening="address already in use") == [
        "mlship.yaml:9:3 targets.docker.port  127.0.0.1:8080 cannot be published: address already in use; "
        "stop it, or choose another targets.docker.port"
    ]


def test_an_image_for_another_machine_is_refused() -> None:
    assert found(platform="linux/arm64") == [
        "the image is for linux/arm64, the engine's machine is linux/amd64; build.platforms: [linux/amd64], then mlship build"
    ]


def test_an_image_that_nobody_has_is_refused() -> None:
    assert found(contents=frozenset()) == [f"the image of {NEW.id} is neither at the engine nor on this machine; mlship build"]


def test_more_than_the_machine_has_is_refused() -> None:
    assert found(engine=engine(cpus=0)) == [
        "mlship.yaml:4:3 resources.cpu  resources.cpu is 1, the engine's machine has 0; at most 0"
    ]
    assert found(engine=engine(memory=2**29)) == [
        "mlship.yaml:5:3 resources.memory  resources.memory is 1GiB, the engine's machine has 512MiB; write less"
    ]


def test_more_replicas_than_the_machine_has_memory_for_are_refused() -> None:
    many = replace(DEPLOYMENT, replicas=(4, 4), places={"scale.replicas": "mlship.yaml:6:3 scale.replicas"})
    (only,) = findings(many, replace(CALM, engine=engine(memory=4 * 2**30)))
    assert str(only) == (
        "mlship.yaml:6:3 scale.replicas  4 replicas of 1GiB are 4096MiB, the engine's machine has 4096MiB; "
        "write fewer replicas, or less resources.memory"
    )


def test_room_is_measured_by_what_replicas_take_not_by_what_they_may() -> None:
    assert room(2**30, [100 * 2**20, 160 * 2**20], 2**30) == 3
    assert room(2**30, (), 2**30) == 0
    assert room(2**20, [2**20], 2**30) == 0


def test_little_free_memory_is_a_warning() -> None:
    (only,) = findings(DEPLOYMENT, replace(CALM, free=2**29))
    assert only.severity == "warning"
    assert str(only).endswith(
        "1 replica of 1GiB may take 1024MiB, and 512MiB are free: where it does not suffice for old and new together, "
        "they take over in batches; write less resources.memory, or free memory first"
    )


def test_a_variable_that_the_target_sets_itself_is_said() -> None:
    served = replace(NEW.served, env={"PORT": "9", "MLSHIP_RELEASE": "x", "LOG_LEVEL": "info"})
    deployment = replace(DEPLOYMENT, release=replace(NEW, served=served), places={"env.PORT": "mlship.yaml:7:3 env.PORT"})
    assert [str(finding) for finding in findings(deployment, CALM)] == [
        "env.MLSHIP_RELEASE has no effect: the target docker sets it itself; leave it out",
        "mlship.yaml:7:3 env.PORT  env.PORT has no effect: the target docker sets it itself; "
        "leave it out; targets.docker.port chooses the port",
    ]


def test_the_gap_of_recreate_is_stated_before_it_happens() -> None:
    recreate = replace(DEPLOYMENT, strategy=Strategy("recreate"))
    (only,) = findings(recreate, replace(CALM, serving=OLD.id))
    assert (only.severity, only.code) == ("warning", "gap")
    assert str(only) == (
        f"rollout.strategy is recreate: callers get 503 from the end of {OLD.id} until {NEW.id} is ready; "
        "rollout.strategy: rolling has no gap, where the memory for both is there"
    )
    assert findings(recreate, replace(CALM, serving=NEW.id)) == ()
    assert findings(DEPLOYMENT, replace(CALM, serving=OLD.id)) == ()


def test_limits_behind_loopback_are_told_to_count_all_callers_as_one() -> None:
    limited = replace(DEPLOYMENT, settings={"limits": {"rate": "100/s"}})
    (only,) = findings(limited, CALM)
    assert (only.severity, only.code) == ("warning", "limits-shared")
    assert only.what == "limits count all callers of 127.0.0.1:8080 as one: the engine hands them on under one address"
    elsewhere = findings(limited, replace(CALM, published=Address("192.0.2.7", 8080)))
    assert "limits-shared" not in {finding.code for finding in elsewhere}
    assert findings(replace(DEPLOYMENT, settings={"limits": {}}), CALM) == ()


def test_a_live_release_that_could_not_be_restored_is_a_warning() -> None:
    history = History("churn", "", "docker", 1, OLD.id, (OLD,))
    (only,) = findings(DEPLOYMENT, replace(CALM, history=history, lost={OLD.id: "its secrets are not on docker any more"}))
    assert only.severity == "warning"
    assert str(only) == (
        f"{OLD.id} could not be restored: its secrets are not on docker any more; "
        "deploy it as it was before you deploy this, if you may need it"
    )


def test_containers_without_records_are_not_deployed_over() -> None:
    assert found(sequences=(3,)) == [
        "there are containers of churn at the engine, but their records are gone; "
        "restore the volume from a backup, or mlship destroy churn --target docker"
    ]
    assert found(sequences=(1,)) == [], "a first deploy that was killed is no loss"


def test_an_address_that_others_reach_is_a_warning() -> None:
    (said,) = found(published=Address("0.0.0.0", 8080))
    assert "published on 0.0.0.0 without authentication: whoever reaches that machine can call it" in said
    assert found(published=Address("::1", 8080)) == []


def test_a_front_of_long_ago_is_told_and_left_alone() -> None:
    made = datetime(2026, 9, 1, tzinfo=UTC).timestamp()
    front = FrontFacts("HAProxy 2.6.12-1, OpenSSL 3.0.17-1", "abc", "2026-09-01", "k")
    assert found(front=front, now=made + 60 * 86_400) == []
    assert found(front=front, now=made + 82 * 86_400) == [
        "the front's packages are those of 82 days ago: HAProxy 2.6.12-1, OpenSSL 3.0.17-1; mlship renew takes newer ones where "
        "there are any; a deploy leaves the front alone"
    ]
    assert found(front=FrontFacts(), now=made) == []


def test_an_engine_without_nvidias_toolkit_is_told_what_to_install() -> None:
    served = replace(NEW.served, resources={**NEW.served.resources, "gpu": 2})
    wanted = replace(DEPLOYMENT, release=replace(NEW, served=served), places={"resources.gpu": "mlship.yaml:6:3 resources.gpu"})

    def said(info: dict[str, Any], replicas: int = 1) -> list[str]:
        told = facts_seen({"OSType": "linux", "Architecture": "x86_64", "NCPU": 8, "MemTotal": 2**36, **info}, [])
        seen = replace(CALM, engine=told, free=0)
        return [str(one) for one in findings(replace(wanted, replicas=(replicas, replicas)), seen) if one.severity == "error"]

    assert said({"Runtimes": {"runc": {}}}) == [
        "mlship.yaml:6:3 resources.gpu  resources.gpu is 2, and the engine hands out no GPUs: it has neither the runtime nvidia nor a CDI "
        "device of NVIDIA's; on the engine's machine install the NVIDIA driver and nvidia-container-toolkit, then: "
        "sudo nvidia-ctk runtime configure --runtime=docker && sudo systemctl restart docker"
    ]
    assert said({"Runtimes": {"runc": {}, "nvidia": {}}}) == []
    devices = [{"Source": "cdi", "ID": f"nvidia.com/gpu={name}"} for name in ("0", "1", "all")]
    assert said({"DiscoveredDevices": devices}) == []
    [few] = said({"DiscoveredDevices": devices}, replicas=2)
    assert "2 replicas with 2 each need 4, and the engine's machine has 2 GPUs" in few
