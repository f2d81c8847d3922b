"""The command is killed or stopped at any instant, or runs twice at once: callers notice nothing, and the next one converges."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TypeVar

import pytest
from free_ports import free_port
from onprem import Command, Service, Wish, no_loss

from mlship.errors import Exit
from mlship.targets.lease import TTL_S

Thing = TypeVar("Thing")
Done = TypeVar("Done")

pytestmark = [pytest.mark.world, pytest.mark.engine]

INSTANTS = 12
# The step that a deploy of version 2 tells when it is stopped, the version that somebody else deploys meanwhile, and how the
# first one ends: what it committed while it had its lease was live.
STOPPED_AT = (
    ("stage", 3, Exit.LEASE_HELD),
    ("shift", 2, Exit.LEASE_HELD),
    ("verify live:", 3, Exit.LEASE_HELD),
    ("retire", 3, Exit.OK),
)
SAID = {
    Exit.LEASE_HELD: "somebody else changed this project meanwhile; nothing was committed",
    Exit.OK: "clean-up is left for the next command: somebody else has changed this project since",
}

Several = Callable[[int], list[Service]]


@pytest.fixture
def several(onprem: Service) -> Iterator[Several]:
    """More services beside the one; they go with it."""
    made: list[Service] = []

    def services(count: int) -> list[Service]:
        names = [f"{onprem.project}-{number}" for number in range(count)]
        made.extend(Service(onprem.client, onprem.home, name, free_port()) for name in names)
        return made

    yield services
    for service in made:
        service.clean()


def at_once(things: Iterable[Thing], act: Callable[[Thing], Done]) -> list[Done]:
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(act, things))


def stop_at(command: Command, step: str) -> None:
    command.wait_for(step)
    os.kill(command.process.pid, signal.SIGSTOP)


def content(number: int, version: int) -> int:
    """A version that no other project has: the engine keeps one image of each content."""
    return 10 * number + version


def unchanging(service: Service) -> dict[str, str]:
    """Its containers with their states; keepers come and go with commands."""
    return {entry.id: entry.status for entry in service.containers() if entry.labels["mlship.role"] != "keeper"}


def test_a_deploy_killed_at_twelve_instants_and_run_again_converges_and_loses_nothing(onprem: Service) -> None:
    onprem.deploy(1)
    began = time.monotonic()
    onprem.command(Wish(2)).succeeds()
    whole_s = time.monotonic() - began
    with onprem.under_load() as client:
        for instant in range(INSTANTS):
            wish = Wish(1 + instant % 2)
            killed = onprem.command(wish)
            time.sleep(whole_s * (instant + 1) / (INSTANTS + 1))
            killed.kill()
            onprem.command(wish).succeeds()
            live = onprem.history.live
            onprem.exactly(live)
            left = onprem.left()
            assert not [name for name in left if "keeper" in name], left
        report = client.end()
    print(f"deploy {whole_s:.2f} s; {report}")
    no_loss(report, releases=len(report.releases))
    assert {body for answers in report.answers.values() for body in answers} == {'{"predictions": [1]}', '{"predictions": [2]}'}


def test_stopped_copies_that_the_records_know_no_more_go_with_the_same_deploy(onprem: Service) -> None:
    """A deploy that is killed after its commit leaves them when it had no time to clear away what it no longer keeps."""
    wish = Wish(2, replicas=2, keep=1)
    onprem.deploy(1, replicas=2, keep=1)
    killed = onprem.command(wish)
    killed.wait_for("retire")
    killed.kill()
    assert len(onprem.containers("replica")) == 4, "it was killed in time"
    for container in onprem.containers("replica"):
        if container.labels["mlship.release"] != onprem.history.live:
            container.stop()
    onprem.command(wish).succeeds()
    onprem.exactly(onprem.history.live, 2)
    assert len(onprem.containers("replica")) == 2


def test_commands_stopped_until_long_after_their_lease_do_nothing_more_once_another_one_deployed(several: Several) -> None:
    """At four instants at once, one project each: before anything, before the callers move, before the commit, after it."""
    services = several(len(STOPPED_AT))
    numbers = range(len(services))
    at_once(numbers, lambda number: services[number].deploy(content(number, 1), replicas=2))
    with ExitStack() as loads:
        clients = [loads.enter_context(service.under_load(kept=3, fresh=1, rate=40.0)) for service in services]
        stopped = [services[number].command(Wish(content(number, 2), replicas=2)) for number in numbers]
        at_once(numbers, lambda number: stop_at(stopped[number], STOPPED_AT[number][0]))
        since = time.monotonic()
        time.sleep(TTL_S + 1)
        others = [services[number].command(Wish(content(number, STOPPED_AT[number][1]), replicas=2)) for number in numbers]
        for other in others:
            other.succeeds()
        made = [unchanging(service) for service in services]
        live = [service.history.live for service in services]
        time.sleep(max(since + 2 * TTL_S + 1 - time.monotonic(), 0))
        for command in stopped:
            os.kill(command.process.pid, signal.SIGCONT)
        ended = [command.finished() for command in stopped]
        reports = [client.reach(client.report().requests + 60) and client.end() for client in clients]
    for number, (code, said), report in zip(numbers, ended, reports, strict=True):
        step, version, exit = STOPPED_AT[number]
        print(f"{step}: exit {code}, {said.strip()!r}; {report}")
        assert code == exit, (step, said)
        assert SAID[exit] in said
        no_loss(report, releases=len(report.releases), requests=1000)
        assert set(report.answers[live[number]]) == {f'{{"predictions": [{content(number, version)}]}}'}
    assert [unchanging(service) for service in services] == made
    for service, release in zip(services, live, strict=True):
        service.exactly(release, 2)
        assert not [name for name in service.left() if "keeper" in name]


def test_of_two_deploys_at_once_one_wins_and_the_other_waits_or_says_who_holds_the_lease(onprem: Service) -> None:
    onprem.deploy(1)
    with onprem.under_load() as client:
        client.reach(100)
        rivals = [onprem.command(Wish(version)) for version in (2, 3)]
        ended = [rival.finished() for rival in rivals]
        client.reach(600)
        report = client.end()
    codes = sorted(code for code, _ in ended)
    assert codes in ([0, 0], [0, int(Exit.LEASE_HELD)]), ended
    no_loss(report, releases=len(report.releases))
    onprem.exactly(onprem.history.live)
