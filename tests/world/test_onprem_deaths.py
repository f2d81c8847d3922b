"""What dies or freezes by itself is noticed, gone around and brought back."""

from __future__ import annotations

import http.client
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from onprem import REPLICAS, Service, no_loss

pytestmark = [pytest.mark.world, pytest.mark.engine]

CRASH = b'{"instances": [{"crash": true}]}'


def until(true: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.1)


def end(container: Any) -> None:
    """From outside, as the kernel would: the engine does not count it as stopped on purpose."""
    container.reload()
    os.kill(container.attrs["State"]["Pid"], signal.SIGKILL)


def ready(service: Service) -> int:
    return sum(replica.ready for replica in service.observe().replicas)


def restarts(service: Service) -> int:
    return sum(entry.attrs["RestartCount"] for entry in service.containers("replica"))


def test_the_death_of_a_copy_loses_nothing_and_it_comes_back(onprem: Service) -> None:
    onprem.deploy(1)
    with onprem.under_load() as client:
        client.reach(150)
        end(onprem.replicas()[1])
        client.reach(client.report().requests + 600)
        report = client.end()
    no_loss(report)
    until(lambda: ready(onprem) == REPLICAS, 10)


def test_a_frozen_copy_costs_at_most_one_request_in_a_hundred(onprem: Service) -> None:
    onprem.deploy(1)
    frozen = onprem.replicas()[0]
    with onprem.under_load() as client:
        client.reach(300)
        frozen.pause()
        client.reach(client.report().requests + 2400)
        seen = client.report()
        frozen.unpause()
        client.reach(seen.requests + 300)
        report = client.end()
    print(report)
    assert report.failed <= 0.01 * report.requests, str(report)
    assert report.failed == seen.failed, "nothing is lost when it wakes up"


def test_a_killed_front_is_back_within_5_s_with_the_right_servers(onprem: Service) -> None:
    onprem.deploy(1)
    live = onprem.deploy(2).history.live
    with onprem.under_load() as client:
        client.reach(300)
        killed = time.time()
        end(onprem.front)
        client.reach(client.report().requests + 1000)
        report = client.end()
    print(report)
    assert report.failed > 0
    assert report.failures[-1]["at"] - killed < 5
    assert all(entry["at"] >= killed - 0.05 for entry in report.failures)
    assert set(report.releases) == {live}
    assert {replica.release for replica in onprem.observe().replicas if not replica.staged} == {live}
    assert onprem.deploy(3).history.live != live, "everything goes on"


def test_everything_comes_back_after_all_processes_ended_at_once(onprem: Service) -> None:
    """As after a reboot: nothing of mlship runs on this side."""
    onprem.deploy(1)
    live = onprem.deploy(2).history.live
    addresses = fixed_addresses(onprem)
    for container in onprem.containers():
        if container.status == "running":
            end(container)
    until(lambda: onprem.observe().serving == live and ready(onprem) == REPLICAS, 20)
    assert fixed_addresses(onprem) == addresses
    with onprem.under_load() as client:
        client.reach(300)
        no_loss(client.end(), requests=300)
    onprem.exactly(live)


@pytest.mark.alone
def test_a_request_that_crashes_the_model_takes_at_most_two_copies_with_it(onprem: Service) -> None:
    """Ten times in a row. A copy that dies again and again waits longer each time, for a minute at most: that is the engine's."""
    onprem.deploy(1)
    deaths = [0]
    with onprem.under_load(rate=100.0) as client:
        for _ in range(10):
            asked = client.report().requests
            assert post(onprem.port, CRASH) in (502, 503)
            client.reach(asked + 50)  # the service stays up
            until(lambda: ready(onprem) >= REPLICAS - 1, 90)
            deaths.append(restarts(onprem))
        until(lambda: ready(onprem) == REPLICAS, 90)
        report = client.end()
    print(report, deaths)
    assert all(1 <= after - before <= 2 for before, after in pairwise(deaths)), deaths
    assert report.failed <= 4 * 10, "of each crash only what was on its way to the two that died"


def post(port: int, body: bytes) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with suppress(OSError):
        connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
        return connection.getresponse().status
    return 0


def fixed_addresses(service: Service) -> dict[str, list[str]]:
    found = {}
    for container in [*service.containers("front"), *service.containers("replica")]:
        networks = container.attrs["NetworkSettings"]["Networks"]
        found[container.name] = sorted((entry["IPAMConfig"] or {}).get("IPv4Address", "") for entry in networks.values())
    return found
