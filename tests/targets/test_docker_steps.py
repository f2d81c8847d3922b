"""The order of a rollout at one engine: what must never happen before what."""

from __future__ import annotations

from dataclasses import replace

import pytest
from docker_memory import World, deployment

from mlship.errors import MlshipError
from mlship.releases.records import LeaseLost
from mlship.targets.base import Strategy


@pytest.fixture
def world() -> World:
    return World()


def at(did: list[str], what: str) -> int:
    """Where it was done last."""
    return len(did) - 1 - did[::-1].index(what)


def test_the_first_deploy_starts_the_front_and_every_replica_before_callers_are_sent(world: World) -> None:
    world.live(deployment(1))
    assert world.engine.running() == ["front", "r1-1", "r1-2"]
    assert world.shares() == {"r1": 1.0}


def test_nothing_old_is_touched_before_all_new_replicas_run(world: World) -> None:
    world.live(deployment(1))
    assert world.steps().stage(deployment(2), world.history.live).ok
    assert sorted(world.engine.did) == ["create r2-1", "create r2-2", "start r2-1", "start r2-2"]
    assert world.shares() == {"r1": 1.0}


def test_an_old_replica_is_stopped_only_when_the_old_front_worker_is_gone(world: World) -> None:
    world.live(deployment(1))
    second = deployment(2)
    world.steps().stage(second, world.history.live)
    world.steps().shift(second)
    assert "stop r1-1" not in world.engine.did
    world.commit(second)
    world.steps().retire()
    did = world.engine.did
    assert at(did, "tell r2 256") < at(did, "old worker gone") < at(did, "stop r1-1")
    assert world.engine.running() == ["front", "r2-1", "r2-2"]


def test_what_was_live_once_is_kept_stopped_and_started_again_by_a_rollback(world: World) -> None:
    first = world.live(deployment(1))
    world.live(deployment(2))
    assert world.steps().stage(first, world.history.live).ok
    assert sorted(world.engine.did) == ["start r1-1", "start r1-2"]


def test_a_release_that_was_never_live_leaves_nothing(world: World) -> None:
    world.live(deployment(1))
    second = deployment(2)
    world.steps().stage(second, world.history.live)
    assert world.steps().discard(second.release.id, world.history.live, second).ok
    assert not [name for name in world.engine.made if "r2" in name]
    assert world.shares() == {"r1": 1.0}


def test_a_first_deploy_that_fails_leaves_no_front_and_no_network(world: World) -> None:
    first = deployment(1)
    world.steps().stage(first, "")
    assert world.steps().discard(first.release.id, "", first).ok
    assert world.engine.made == {}
    assert world.engine.networks == {}


def test_a_canary_shares_callers_and_a_later_step_only_changes_weights(world: World) -> None:
    world.live(deployment(1))
    second = deployment(2)
    world.steps().stage(second, world.history.live)
    for share in (0.25, 0.5):
        assert world.steps().weigh(second, world.history.live, share).ok
        assert world.shares() == pytest.approx({"r1": 1 - share, "r2": share}, abs=0.001)
    names = [server["name"] for server in (world.records.document or {})["servers"]]
    assert [name.split("-")[0] for name in names] == ["r1", "r1", "r2", "r2"]
    assert not [done for done in world.engine.did if done.startswith("stop")]


def test_restore_sends_callers_back_before_the_failed_replicas_go(world: World) -> None:
    world.live(deployment(1))
    second = deployment(2)
    world.steps().stage(second, world.history.live)
    world.steps().weigh(second, world.history.live, 0.5)
    world.engine.did.clear()
    assert world.steps().restore(second.release.id, world.history.live, second).ok
    did = world.engine.did
    assert at(did, "tell r1 256") < at(did, "old worker gone") < at(did, "stop r2-1")
    assert not [name for name in world.engine.made if "r2" in name]


def test_recreate_stops_the_old_ones_first_and_restore_starts_them_again(world: World) -> None:
    world.live(deployment(1))
    second = deployment(2, strategy=Strategy("recreate"))
    world.steps().stage(second, world.history.live)
    did = world.engine.did
    assert at(did, "tell nobody") < at(did, "stop r1-1") < at(did, "create r2-1")
    assert world.steps().restore(second.release.id, world.history.live, second).ok
    assert world.engine.running() == ["front", "r1-1", "r1-2"]
    assert world.shares() == {"r1": 1.0}


def test_without_memory_for_both_they_take_over_in_batches(world: World) -> None:
    first = world.live(deployment(1, (3, 3)))
    second = deployment(2, (3, 3))
    world.capacity = 4
    assert world.steps().stage(second, first.release.id).ok
    assert world.engine.running() == ["front", "r1-1", "r1-2", "r1-3", "r2-1"]
    outcome = world.steps().shift(second)
    assert outcome.ok
    assert outcome.notes == ("memory for 1 of 3 new replicas beside the old ones: they took over in 3 batches",)
    did = [done for done in world.engine.did if not done.startswith("create")]
    assert did == [
        *("start r2-1", "tell r1 256, r2 256", "old worker gone", "stop r1-3", "start r2-2"),
        *("tell r1 256, r2 256", "old worker gone", "stop r1-2", "start r2-3", "tell r2 256"),
    ]
    assert world.shares() == {"r2": 1.0}


def test_in_batches_every_later_replica_is_asked_for_the_sample_before_the_front_names_it(world: World) -> None:
    first = world.live(deployment(1, (3, 3)))
    second = deployment(2, (3, 3))
    world.capacity, world.wrong = 4, {"r2-3"}
    world.steps().stage(second, first.release.id)
    outcome = world.steps().shift(second)
    assert (outcome.ok, outcome.cause) == (False, "r2-3 answers otherwise")
    assert world.proved == ["r2-2", "r2-3"]
    assert world.shares() == pytest.approx({"r1": 1 / 3, "r2": 2 / 3})


def test_a_replica_that_is_added_is_asked_for_the_sample_and_those_that_serve_are_not(world: World) -> None:
    world.live(deployment(1))
    assert world.steps().operate(deployment(1, (3, 3))).ok
    assert world.proved == ["r1-3"]


def test_what_was_killed_between_shift_and_commit_is_taken_back_by_the_next_command(world: World) -> None:
    world.live(deployment(1))
    second = deployment(2)
    world.steps().stage(second, world.history.live)
    world.steps().shift(second)
    assert world.shares() == {"r2": 1.0}
    assert world.steps().stage(deployment(3), world.history.live).ok
    assert world.shares() == {"r1": 1.0}


def test_replicas_that_somebody_removed_come_back_under_the_same_addresses(world: World) -> None:
    world.live(deployment(1))
    addresses = {name: entry.addresses for name, entry in world.engine.made.items()}
    for name in [name for name in world.engine.made if "r1" in name]:
        world.engine.remove(name)
    assert world.steps().stage(deployment(2), world.history.live).ok
    again = {name: world.engine.made[name].addresses for name in addresses}
    assert again == addresses


def test_more_and_fewer_replicas_change_in_place(world: World) -> None:
    first = world.live(deployment(1))
    assert world.steps().operate(replace(first, replicas=(4, 4))).ok
    assert world.engine.running() == ["front", "r1-1", "r1-2", "r1-3", "r1-4"]
    assert not [done for done in world.engine.did if done.startswith(("stop", "remove"))]
    world.engine.did.clear()
    assert world.steps().operate(replace(first, replicas=(1, 1))).ok
    did = world.engine.did
    assert at(did, "tell r1 256") < at(did, "old worker gone") < at(did, "stop r1-4")
    assert world.engine.running() == ["front", "r1-1"]
    assert [name for name in world.engine.made if "r1" in name] == [f"mlship-churn-{first.release.id}-1"]


def test_a_new_release_has_as_many_replicas_as_the_autoscaler_made(world: World) -> None:
    first = world.live(deployment(1, (3, 3)))
    second = deployment(2, (1, 8))
    assert world.steps().stage(second, first.release.id).ok
    assert [name for name in world.engine.running() if name.startswith("r2")] == ["r2-1", "r2-2", "r2-3"]


def test_another_port_moves_the_front_and_a_taken_one_brings_it_back(world: World) -> None:
    first = world.live(deployment(1))
    world.engine.refused_ports = {9999}
    with pytest.raises(MlshipError, match="port is already allocated"):
        world.steps().operate(replace(first, settings={"port": 9999, "host": "127.0.0.1"}))
    front = world.engine.made["mlship-churn-front"]
    assert front.is_running and front.published is not None and front.published.port == 9090
    assert world.steps().operate(replace(first, settings={"port": 9091, "host": "127.0.0.1"})).ok
    moved = world.engine.made["mlship-churn-front"].published
    assert moved is not None and moved.port == 9091


def test_replicas_that_are_not_ready_are_never_named_to_the_front(world: World) -> None:
    world.live(deployment(1))
    world.statuses["172.20.0.5"] = 503
    outcome = world.steps().stage(deployment(2), world.history.live)
    assert not outcome.ok
    assert "not ready in 0 s (serve.startup_timeout): GET /readyz -> 503" in outcome.cause
    assert world.shares() == {"r1": 1.0}


def test_a_paused_command_stops_at_its_very_next_change_once_another_has_the_lease(world: World) -> None:
    """Whatever the instant: not one more container is made, started, stopped or removed."""
    world.live(deployment(1))
    second = deployment(2)
    for instant in range(7):
        fresh = World()
        fresh.live(deployment(1))
        fresh.records.lost_at = instant
        did: list[str] = []
        with pytest.raises(LeaseLost):
            fresh.steps().stage(second, fresh.history.live)
            fresh.steps().shift(second)
            fresh.commit(second)
            did = list(fresh.engine.did)
            fresh.steps().retire()
        changes = [done for done in (did or fresh.engine.did) if done != "old worker gone"]
        assert len(changes) <= instant, f"{instant}: {changes}"


def test_every_step_can_be_repeated(world: World) -> None:
    world.live(deployment(1))
    second = deployment(2)
    for _ in range(2):
        assert world.steps().stage(second, world.history.live).ok
    for _ in range(2):
        assert world.steps().shift(second).ok
    world.commit(second)
    for _ in range(2):
        world.steps().retire()
    assert world.engine.running() == ["front", "r2-1", "r2-2"]
