"""Replicas come and go with the load, at a real engine: nobody's request is lost, whatever happens to the autoscaler."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from onprem import Service, no_loss

pytestmark = [pytest.mark.world, pytest.mark.engine]

# 8 callers that wait 60 ms for each answer: about 7 requests are in flight, 2 a replica are wanted.
SCALE = {"metric": "concurrency", "per_replica": 2.0, "down_after_s": 6.0}
RANGE = {"broken": "slow", "replicas": 1, "most": 3, "scale": SCALE}
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
