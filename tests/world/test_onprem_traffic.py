"""Under load on kept connections, nothing that people do on purpose to a service of four copies costs a request."""

from __future__ import annotations

import pytest
from onprem import Service, no_loss

from mlship.errors import Exit, MlshipError

pytestmark = [pytest.mark.world, pytest.mark.engine]

AROUND = 150  # requests before and after what is done


def test_a_deploy_loses_nothing(onprem: Service) -> None:
    first = onprem.deploy(1).history.live
    with onprem.under_load() as client:
        client.reach(AROUND)
        second = onprem.deploy(2).history.live
        after = client.report().requests
        client.reach(after + 3 * AROUND)
        report = client.end()
    no_loss(report, releases=2)
    assert set(report.releases) == {first, second}
    onprem.exactly(second)


def test_a_rollback_loses_nothing_and_starts_the_kept_copies_again(onprem: Service) -> None:
    first = onprem.deploy(1).history.live
    kept = {entry.id for entry in onprem.replicas()}
    onprem.deploy(2)
    with onprem.under_load() as client:
        client.reach(AROUND)
        assert onprem.roll_back().history.live == first
        client.reach(client.report().requests + 3 * AROUND)
        report = client.end()
    no_loss(report, releases=2)
    onprem.exactly(first)
    assert {entry.id for entry in onprem.replicas()} == kept


def test_a_canary_that_is_aborted_loses_nothing(onprem: Service) -> None:
    first = onprem.deploy(1).history.live
    canary = {"name": "canary", "steps": (0.25, 1.0), "bake_s": 1.0, "gates": ("error_rate < 1%",), "min_requests": 10**6}
    with onprem.under_load() as client:
        client.reach(AROUND)
        with pytest.raises(MlshipError) as paused:
            onprem.deploy(2, rollout=canary)
        assert paused.value.exit is Exit.PAUSED
        underway = onprem.history.underway
        assert underway is not None and underway.share == 0.25
        before = client.report()
        during = client.reach(before.requests + 400)
        told = onprem.abort("the numbers are wrong").history
        client.reach(client.report().requests + AROUND)
        report = client.end()
    no_loss(report, releases=2)
    second = underway.release.id
    share = (during.releases[second] - before.releases[second]) / (during.requests - before.requests)
    assert 0.2 < share < 0.3
    assert told.live == first and told.rejected[second] == "the numbers are wrong"
    onprem.exactly(first)


def test_a_canary_goes_to_the_end_by_promote_and_loses_nothing(onprem: Service) -> None:
    onprem.deploy(1)
    with onprem.under_load() as client:
        client.reach(AROUND)
        with pytest.raises(MlshipError, match="promote"):
            onprem.deploy(2, rollout={"name": "canary", "steps": (0.5, 1.0), "bake_s": 0.2, "approve": "manual"})
        done = onprem.promote(full=True).history
        client.reach(client.report().requests + AROUND)
        report = client.end()
    no_loss(report, releases=2, requests=2 * AROUND)
    onprem.exactly(done.live)


def test_scaling_up_and_down_loses_nothing_and_replaces_no_copy(onprem: Service) -> None:
    live = onprem.deploy(1, replicas=2).history.live
    two = {entry.id for entry in onprem.replicas()}
    with onprem.under_load() as client:
        client.reach(AROUND)
        onprem.deploy(1, replicas=4)
        assert two < {entry.id for entry in onprem.replicas()}
        onprem.exactly(live, 4)
        client.reach(client.report().requests + AROUND)
        onprem.deploy(1, replicas=2)
        client.reach(client.report().requests + 2 * AROUND)
        report = client.end()
    no_loss(report)
    onprem.exactly(live, 2)
    assert {entry.id for entry in onprem.replicas()} == two


def test_a_planned_change_of_the_front_loses_nothing(onprem: Service) -> None:
    """Another limit needs another configuration, so a reload; the copies stay."""
    live = onprem.deploy(1).history.live
    copies = {entry.id for entry in onprem.replicas()}
    with onprem.under_load() as client:
        client.reach(AROUND)
        for rate in (1000, 2000, 3000):
            onprem.deploy(1, settings={"limits": {"rate": rate, "connections": 0}})
            client.reach(client.report().requests + AROUND)
        report = client.end()
    no_loss(report)
    onprem.exactly(live)
    assert {entry.id for entry in onprem.replicas()} == copies


def test_the_same_deploy_twice_replaces_no_container(onprem: Service) -> None:
    onprem.deploy(1)
    before = {entry.id: entry.attrs["State"]["StartedAt"] for entry in onprem.containers()}
    again = onprem.deploy(1)
    assert again.history.generation == 1
    assert {entry.id: entry.attrs["State"]["StartedAt"] for entry in onprem.containers()} == before
