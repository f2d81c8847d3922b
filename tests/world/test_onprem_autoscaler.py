"""Replicas come and go with the load, at a real engine: nobody's request is lost, whatever happens to the autoscaler."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from onprem import Service, no_loss

pytestmark = [pytest.mark.world, pytest.mark.engine]

# 8 callers that wait 60 ms for each answer: about 7 requests are in flight, 2 a replica are wanted.
SCALE = {"metric": "concurrency", "per_replica": 2.0, "down_after_s": 6.0}
RANGE = {"broken": "slow", "replicas": 1, "most": 3, "scale": SCALE}
INSTANTS = (0.3, 2.2, 2.9, 0.7, 3.4, 1.6)  # a round takes 2 s and its steps some tenths
HEAVY = {"kept": 7, "fresh": 1, "rate": 200.0}
LIGHT = {"kept": 1, "fresh": 1, "rate": 5.0}


def serving(service: Service) -> list[str]:
    """Names of the servers that get callers."""
    document = json.loads((service.state / "front" / "front.json").read_text())
    return sorted(server["name"] for server in document["servers"] if server["weight"])


def until(true: Callable[[], bool], service: Service, limit_s: float = 90.0) -> None:
    deadline = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < deadline, log(service)
        time.sleep(0.2)


def autoscaler(service: Service) -> Any:
    [found] = service.containers("autoscaler")
    return found


def log(service: Service) -> str:
    return "\n".join(entry.logs().decode() for entry in service.containers("autoscaler"))


def is_settled(service: Service, count: int) -> bool:
    """So many serve, and no other container of a replica of that release is there."""
    names = serving(service)
    live = [entry for entry in service.containers("replica") if entry.labels["mlship.release"] == service.history.live]
    return len(names) == count == len(live) and all(entry.status == "running" for entry in live)


def test_replicas_follow_the_load_and_no_request_is_lost(onprem: Service) -> None:
    onprem.deploy(1, **RANGE)
    assert len(serving(onprem)) == 1
    with onprem.under_load(**HEAVY) as client:
        until(lambda: is_settled(onprem, 3), onprem)
        busy = client.reach(600)
        until(lambda: client.report().requests >= busy.requests + 300, onprem)
        no_loss(client.end())
    with onprem.under_load(**LIGHT) as client:
        until(lambda: is_settled(onprem, 1), onprem)
        no_loss(client.end(), requests=40)
    print(log(onprem))


@pytest.mark.alone
def test_replicas_follow_the_cpu_as_the_engine_counts_it(onprem: Service) -> None:
    onprem.deploy(1, **{**RANGE, "most": 2, "scale": {"metric": "cpu", "per_replica": 3.0, "down_after_s": 6.0}})
    with onprem.under_load(**HEAVY) as client:
        until(lambda: is_settled(onprem, 2), onprem)
        no_loss(client.end(), requests=100)


def test_killed_at_any_instant_it_comes_back_and_finishes_what_it_began(onprem: Service) -> None:
    """By SIGKILL from the engine's machine, while replicas come and while they go; callers notice nothing."""
    onprem.deploy(1, **RANGE)
    with onprem.under_load(**HEAVY) as client:
        for instant in INSTANTS:
            time.sleep(instant)
            kill(onprem)
        until(lambda: is_settled(onprem, 3), onprem)
        no_loss(client.end())
    with onprem.under_load(**LIGHT) as client:
        until(lambda: "take out" in log(onprem), onprem)
        for instant in INSTANTS:
            time.sleep(instant)
            kill(onprem)
        until(lambda: is_settled(onprem, 1), onprem)
        no_loss(client.end(), requests=40)


def test_without_it_callers_are_served_and_the_same_deploy_brings_it_back(onprem: Service) -> None:
    live = onprem.deploy(1, **RANGE).history.live
    autoscaler(onprem).remove(force=True)
    with onprem.under_load(**HEAVY) as client:
        client.reach(300)
        assert len(serving(onprem)) == 1
        assert onprem.deploy(1, **RANGE).history.live == live
        until(lambda: is_settled(onprem, 3), onprem)
        no_loss(client.end())


def test_a_deploy_comes_first_and_its_release_is_scaled_from_then_on(onprem: Service) -> None:
    first = onprem.deploy(1, **RANGE).history.live
    with onprem.under_load(**HEAVY) as client:
        until(lambda: "bring" in log(onprem), onprem)
        second = onprem.deploy(2, **RANGE).history.live
        until(lambda: is_settled(onprem, 3), onprem)
        assert {name.rpartition("-")[0] for name in serving(onprem)} == {second} != {first}
        fixed = onprem.deploy(2, broken="slow", replicas=2)
        assert fixed.history.live == second
        assert (len(serving(onprem)), onprem.containers("autoscaler")) == (2, [])
        no_loss(client.end(), releases=2)
    onprem.exactly(second, 2)


def test_frozen_in_the_middle_and_woken_after_a_deploy_it_takes_nothing_back(onprem: Service) -> None:
    onprem.deploy(1, **RANGE)
    with onprem.under_load(**HEAVY) as client:
        for version, instant in ((2, 4.1), (1, 4.4)):
            time.sleep(instant)
            process = frozen(onprem)
            live = onprem.deploy(version, **RANGE).history.live
            with suppress(ProcessLookupError):  # the deploy made another one
                os.kill(process, signal.SIGCONT)
            until(lambda: is_settled(onprem, 3), onprem)
            assert {name.rpartition("-")[0] for name in serving(onprem)} == {live}, log(onprem)
        no_loss(client.end(), releases=3)


def test_it_has_the_engines_socket_and_nothing_else(onprem: Service) -> None:
    onprem.deploy(1, **RANGE)
    inside = autoscaler(onprem).attrs
    assert inside["HostConfig"]["CapDrop"] == ["ALL"]
    assert inside["HostConfig"]["ReadonlyRootfs"] and not inside["HostConfig"]["Privileged"]
    assert list(inside["NetworkSettings"]["Networks"]) == ["none"]
    assert not inside["NetworkSettings"]["Ports"]
    for entry in onprem.containers():
        has_socket = "docker.sock" in json.dumps(entry.attrs["Mounts"])
        assert has_socket == (entry.labels["mlship.role"] == "autoscaler"), entry.name
    began = time.monotonic()
    autoscaler(onprem).stop()
    assert time.monotonic() - began < 5
    assert autoscaler(onprem).attrs["State"]["ExitCode"] == 0
    assert log(onprem).endswith("ended as asked\n")


def test_destroy_under_load_leaves_nothing(onprem: Service) -> None:
    """Also while replicas are being brought."""
    onprem.deploy(1, **RANGE)
    with onprem.under_load(**HEAVY):
        until(lambda: "bring" in log(onprem), onprem)
        done = onprem.mlship("destroy", "--yes")
        assert done.returncode == 0, done.stderr
        time.sleep(3)  # a round, if there were still one
    assert onprem.left() == []


def kill(service: Service) -> None:
    """Not through the engine, which would take it for a wish that it stays away."""
    os.kill(running(service), signal.SIGKILL)


def frozen(service: Service) -> int:
    """Its process, stopped outside of the milliseconds of a write: in one it would keep every keeper waiting."""
    process = running(service)
    while True:
        os.kill(process, signal.SIGSTOP)
        time.sleep(0.05)
        locks = [service.state / "lock", *(service.state / "front").glob("*lock")]
        if all(is_free(lock) for lock in locks):
            return process
        os.kill(process, signal.SIGCONT)
        time.sleep(0.05)


def is_free(lock: Path) -> bool:
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def running(service: Service) -> int:
    """Its process, once it is there: the engine starts a killed one again after a moment."""
    deadline = time.monotonic() + 20
    while not (process := autoscaler(service).attrs["State"]["Pid"]):
        assert time.monotonic() < deadline, log(service)
        time.sleep(0.1)
    return int(process)
