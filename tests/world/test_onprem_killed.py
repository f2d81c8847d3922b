"""The command is killed or stopped at any instant, or runs twice at once: callers notice nothing, and the next one converges."""

from __future__ import annotations

import os
import signal
import time

import pytest
from onprem import Service, Wish, no_loss

from mlship.errors import Exit

pytestmark = [pytest.mark.world, pytest.mark.engine]

INSTANTS = 12
LEASE_S = 2.0


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


@pytest.mark.parametrize("step", ["stage", "shift"])
def test_a_stopped_command_does_nothing_more_once_another_one_deployed(onprem: Service, step: str) -> None:
    """It holds a lease that ended while it was stopped; when it wakes up it must not touch what the other one made."""
    onprem.deploy(1)
    with onprem.under_load() as client:
        stopped = onprem.command(Wish(2), lease_s=LEASE_S)
        stopped.wait_for(step)
        os.kill(stopped.process.pid, signal.SIGSTOP)
        time.sleep(LEASE_S * 1.5)
        other = onprem.command(Wish(2 if step == "shift" else 3), lease_s=LEASE_S)
        other.succeeds()
        made = {entry.id: entry.status for entry in onprem.containers() if entry.labels["mlship.role"] != "keeper"}
        os.kill(stopped.process.pid, signal.SIGCONT)
        code, said = stopped.finished()
        client.reach(client.report().requests + 200)
        report = client.end()
    assert code == Exit.LEASE_HELD, said
    no_loss(report, releases=2)
    assert {entry.id: entry.status for entry in onprem.containers() if entry.labels["mlship.role"] != "keeper"} == made
    onprem.exactly(onprem.history.live)


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
