"""`limits.connections`: who has too many is told so, on those alone that are too many, and nobody else notices.

The other limit, `limits.rate`, has its story in test_docker_callers.py.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from front_load import ROW
from onprem import Service, no_loss

pytestmark = [pytest.mark.world, pytest.mark.engine]

MOST = 8
MORE = 5


def greedy(address: str) -> str:
    """Fills its limit and asks, comes with more and asks on all of them, closes as many as were too many, and asks on the rest.

    Tells the statuses of each round, and what came with a refusal.
    """
    return f"""
import collections, http.client, json, time
refused = set()
def ask(connection):
    connection.request("POST", "/predict", {ROW!r}, {{"Content-Type": "application/json"}})
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        refused.add((answer.headers["Retry-After"], json.loads(body)["error"]["code"]))
    return str(answer.status)
def rounds(connections):
    return dict(collections.Counter(ask(one) for _ in range(20) for one in connections))
def opened(count):
    made = [http.client.HTTPConnection({address!r}, 8080, timeout=10) for _ in range(count)]
    for one in made: one.connect()
    return made
first = opened({MOST})
alone = rounds(first)
more = opened({MORE})
time.sleep(0.2)
within, above = rounds(first), rounds(more)
for one in first[:{MORE}]: one.close()
time.sleep(0.5)
print(json.dumps([alone, within, above, rounds(first[{MORE}:] + more), sorted(refused)]))
"""


def test_only_the_connections_above_the_limit_are_refused_and_another_address_notices_nothing(onprem: Service) -> None:
    onprem.deploy(1, replicas=2, settings={"limits": {"connections": MOST}})
    front = onprem.front.attrs["NetworkSettings"]["Networks"][f"mlship-{onprem.project}"]["IPAddress"]
    caller = onprem.replicas()[0]
    with onprem.under_load(kept=MOST - 1, fresh=0, rate=80.0) as polite:
        polite.reach(50)
        argv = [caller.attrs["Config"]["Entrypoint"][0], "-c", greedy(front)]
        ended: Any = caller.exec_run(argv)
        polite.reach(polite.report().requests + 100)
        report = polite.end()
    assert ended.exit_code == 0, ended.output
    alone, within, above, afterwards, refused = json.loads(ended.output)
    assert alone == within == {"200": 20 * MOST}, "within the limit nothing is refused, not even beside those above it"
    assert above == {"429": 20 * MORE}
    assert afterwards == {"200": 20 * MOST}, "a connection that waited serves as soon as there is room"
    assert refused == [["1", "too_many_requests"]]
    no_loss(report, requests=150)


def test_callers_on_the_machine_itself_share_one_limit(onprem: Service) -> None:
    """The engine's proxy of the published port gives them all one address."""
    onprem.deploy(1, replicas=2, settings={"limits": {"connections": MOST}})
    with onprem.under_load(kept=MOST, fresh=0, rate=80.0) as first:
        first.reach(4 * MOST)
        with onprem.under_load(kept=MORE, fresh=0, rate=80.0) as second:
            second.reach(100)
            late = second.end()
        first.reach(first.report().requests + 100)
        early = first.end()
    no_loss(early, requests=100)
    assert set(late.statuses) == {"429"}, str(late)
