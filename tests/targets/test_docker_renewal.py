"""A front in the place of another: in which order, what is left alone, and how it is taken back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from docker_memory import SCOPE, SUBNET, World, deployment

from mlship.errors import MlshipError
from mlship.targets.docker.engine import EngineImage, Network
from mlship.targets.docker.front import Front
from mlship.targets.docker.renewal import Renewal, front_facts
from mlship.targets.docker.spec import Address

NEW = EngineImage("sha256:new", ("mlship/front:new",), {}, python="/usr/bin/python3")
NETWORK = Network(SCOPE.network, {}, SUBNET, True)
HERE = Address("127.0.0.1", 9090)


@pytest.fixture
def world() -> World:
    made = World()
    made.live(deployment(1))
    return made


def front_of(world: World) -> Front:
    engine: Any = world.engine
    records: Any = world.records
    return Front(engine, SCOPE, records, lambda: NEW, sleep=world.engine.read_to_the_end)


def renewed(world: World, answers: bool = True, seconds: float = 0.0) -> float:
    return Renewal(front_of(world), lambda: answers, seconds).run(NEW, NETWORK)


def test_the_new_front_reads_the_configuration_before_the_port_is_closed(world: World) -> None:
    before, document = world.engine.running(), world.records.document
    assert renewed(world) < 5
    assert world.engine.did == [
        "create front-reading", "start front-reading", "remove front-reading", "create front-next",
        "stop front", "start front-next", "rename front to front-former", "rename front-next to front", "remove front-former",
    ]  # fmt: skip
    assert (world.engine.running(), world.records.document) == (before, document)
    front = world.engine.container(SCOPE.front)
    assert front is not None and (front.published, front.addresses) == (HERE, {SCOPE.network: "172.20.0.254"})


def test_a_front_that_cannot_read_the_configuration_changes_nothing(world: World) -> None:
    former = world.engine.container(SCOPE.front)
    world.engine.exit_code = 1
    with pytest.raises(MlshipError, match="the new front does not take the configuration of the one that runs"):
        renewed(world)
    assert world.engine.container(SCOPE.front) == former
    assert "stop front" not in world.engine.did


def test_a_front_that_cannot_be_started_gives_the_port_back(world: World) -> None:
    former = world.engine.container(SCOPE.front)
    world.engine.refused_names.add(SCOPE.next_front)
    with pytest.raises(MlshipError, match="the engine refused: no such file"):
        renewed(world)
    assert world.engine.container(SCOPE.front) == former
    assert world.engine.container(SCOPE.next_front) is None


def test_a_front_that_does_not_reach_the_live_release_is_taken_back(world: World) -> None:
    former = world.engine.container(SCOPE.front)
    with pytest.raises(MlshipError, match="the live release is not reached through the new front"):
        renewed(world, answers=False)
    assert world.engine.container(SCOPE.front) == former
    assert world.engine.container(SCOPE.former_front) is None


@pytest.mark.parametrize("last", ["start front-next", "rename front to front-former", "rename front-next to front"])
def test_a_renewal_that_was_killed_is_ended_by_the_next_command(world: World, last: str) -> None:
    """last: what the killed one did last."""
    world.engine.die_after = last
    with pytest.raises(KeyboardInterrupt):
        renewed(world)
    world.engine.die_after = ""
    front_of(world).ensure(HERE, NETWORK)
    front = world.engine.container(SCOPE.front)
    assert front is not None and front.is_running and front.id == f"id of {SCOPE.next_front}"
    world.steps().retire()
    assert world.engine.container(SCOPE.former_front) is None


def test_a_renewal_that_was_killed_while_the_port_was_closed_leaves_the_former_front(world: World) -> None:
    world.engine.die_after = "stop front"
    with pytest.raises(KeyboardInterrupt):
        renewed(world)
    world.engine.die_after = ""
    front_of(world).ensure(HERE, NETWORK)
    front = world.engine.container(SCOPE.front)
    assert front is not None and front.is_running and front.id == f"id of {SCOPE.front}"
    world.steps().retire()
    assert world.engine.container(SCOPE.next_front) is None


def test_a_front_tells_what_it_is_made_of_as_far_as_it_knows() -> None:
    assert front_facts(None) is None
    facts = front_facts(replace(NEW, labels={"mlship.front.has": "HAProxy 3", "mlship.front": "k"}))
    assert facts is not None and (facts.has, facts.packages, facts.made, facts.key) == ("HAProxy 3", "", "", "k")
