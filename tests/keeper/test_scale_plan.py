"""What the autoscaler does next, from what it sees."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from test_scale_document import DOCUMENT

from mlship.keeper.engine_api import Container
from mlship.keeper.scale_document import scale_from
from mlship.keeper.scale_plan import Admit, Bring, Clear, Rest, Seen, Settle, Step, TakeOut, next_step
from mlship.keeper.scaling import Sample

SCALE = scale_from(json.dumps(DOCUMENT))
QUIET = (Sample(0.0, 10.0), Sample(2.0, 10.0))
BUSY = (Sample(0.0, 120.0), Sample(2.0, 120.0))  # 50 a replica: three are needed
LONG_QUIET = (Sample(0.0, 10.0), Sample(290.0, 10.0), Sample(300.0, 10.0))


def server(number: int, weight: int = 256, release: str = "r1-0a1b2c") -> dict[str, Any]:
    name = f"{release}-{number}"
    return {"name": name, "release": release, "address": f"172.20.0.{number + 1}", "port": 8080, "weight": weight}


def container(number: int, state: str = "running", made_as: str = "0123456789ab") -> Container:
    labels = {"mlship.spec": made_as}
    addresses = {"mlship-churn.prod": f"172.20.0.{number + 1}"}
    return Container(f"id{number}", f"mlship-churn.prod-r1-0a1b2c-{number}", labels, state, addresses)


def world(serving: int, *others: Container, **seen: Any) -> Seen:
    """So many serve, beside containers that do not."""
    fixed: dict[str, Any] = {"room": 9, **seen}
    numbers = range(1, serving + 1)
    return Seen([server(number) for number in numbers], [*(container(number) for number in numbers), *others], **fixed)


def step(seen: Seen, samples: tuple[Sample, ...] = QUIET, coming: Mapping[str, float] | None = None, now: float = 2.0) -> Step:
    return next_step(SCALE, seen, samples, coming or {}, now)


def test_nothing_is_done_when_the_number_is_right() -> None:
    assert step(world(1)) == Rest()
    assert step(world(2), (Sample(0, 80), Sample(2, 80))) == Rest()


def test_load_brings_replicas_under_the_lowest_free_numbers() -> None:
    assert step(world(1), BUSY) == Bring("1 -> 2: rps 120.0, 50 a replica, more than 1 should carry", numbers=(2,))
    seen = Seen([server(2)], [container(2), container(1, "exited", made_as="otherwise")], room=9)
    assert isinstance(found := step(seen, BUSY), Bring) and found.numbers == (3,)


def test_what_runs_or_is_stopped_is_used_before_new_ones_are_made() -> None:
    found = step(world(2, container(3), container(4, "exited")), BUSY)
    assert isinstance(found, Bring) and (found.keep, found.start, found.numbers) == (("r1-0a1b2c-3",), (), ())
    found = step(world(2, container(3, "exited")), BUSY)
    assert isinstance(found, Bring) and (found.start, found.numbers) == ((container(3, "exited"),), ())
    found = step(world(2, container(3, "exited", made_as="otherwise")), BUSY)
    assert isinstance(found, Bring) and (found.start, found.numbers) == ((), (4,))


def test_one_that_is_coming_counts_and_is_waited_for() -> None:
    coming = {"r1-0a1b2c-2": 0.0}
    load = (Sample(0, 60), Sample(2, 60))
    assert step(world(1, container(2)), load, coming) == Rest()
    assert step(world(1, container(2)), QUIET, coming) == Rest(), "a moment of quiet does not call it back"


def test_a_ready_one_gets_callers_like_the_others() -> None:
    found = step(world(1, container(2), ready=frozenset({"r1-0a1b2c-2"})), BUSY, {"r1-0a1b2c-2": 0.0})
    assert isinstance(found, Admit)
    assert (found.names, found.servers) == (("r1-0a1b2c-2",), (server(1), server(2)))


def test_one_that_does_not_become_ready_goes() -> None:
    found = step(world(1, container(2, "restarting")), QUIET, {"r1-0a1b2c-2": 0.0}, now=60.5)
    assert found == Clear("r1-0a1b2c-2 not ready in 60 s", (container(2, "restarting"),), failed=True)
    ready = world(1, container(2), ready=frozenset({"r1-0a1b2c-2"}))
    assert isinstance(step(ready, QUIET, {"r1-0a1b2c-2": 0.0}, now=60.5), Admit)


def test_no_more_are_brought_while_something_stands_against_it() -> None:
    held = step(world(1, held="no more for a while"), BUSY)
    assert isinstance(held, Rest) and (held.kind, held.reason.endswith("; no more for a while")) == ("held", True)
    short = step(world(1, room=0), BUSY)
    assert isinstance(short, Rest) and short.kind == "memory"


def test_those_that_are_coming_have_their_memory_still_to_take() -> None:
    found = step(world(1, container(2), room=1), BUSY, {"r1-0a1b2c-2": 0.0})
    assert isinstance(found, Rest) and found.kind == "memory"


def test_after_quiet_the_highest_numbers_lose_their_callers_first() -> None:
    found = step(world(3), LONG_QUIET)
    assert found == TakeOut("3 -> 1: 1 would have been enough for 300 s", ("r1-0a1b2c-2", "r1-0a1b2c-3"), (server(1),))


def test_one_that_is_still_coming_is_given_up_first() -> None:
    found = step(world(1, container(2)), LONG_QUIET, {"r1-0a1b2c-2": 299.0}, now=300.0)
    assert isinstance(found, Clear) and (found.containers, found.failed) == ((container(2),), False)


def test_nothing_is_stopped_before_the_old_worker_is_gone() -> None:
    waits = step(world(1, container(2), old_workers=1))
    assert isinstance(waits, Rest) and waits.kind == "drain"
    assert step(world(1, container(2))) == Clear("r1-0a1b2c-2: no caller reaches them", (container(2),))
    assert isinstance(step(world(1, container(2, "created"), old_workers=1)), Clear)


def test_after_a_start_nothing_is_cleared_away_before_the_load_is_known() -> None:
    assert step(world(1, container(2)), ()) == Rest()
    assert step(world(1, container(2)), QUIET[:1]) == Rest()
    found = step(world(1, container(2)), BUSY)
    assert isinstance(found, Bring) and found.keep == ("r1-0a1b2c-2",)


def test_a_rollout_is_left_alone() -> None:
    canary = world(1)
    mixed = replace(canary, servers=[*canary.servers, server(1, 64, "r2-0d1e2f")])
    found = step(mixed, BUSY)
    assert isinstance(found, Rest) and found.kind == "rollout" and "r2-0d1e2f" in found.reason
    staged = replace(canary, servers=[*canary.servers, server(1, 0, "r2-0d1e2f")])
    assert isinstance(step(staged, BUSY), Bring), "nobody reaches it"


def test_a_release_that_nobody_reaches_is_left_alone() -> None:
    found = step(Seen([server(1, 256, "r2-0d1e2f")], [container(1)], room=9), BUSY)
    assert isinstance(found, Rest) and found.kind == "idle"


def test_a_server_that_leads_nowhere_goes_unless_it_is_the_last() -> None:
    lost = Seen([server(1), server(2)], [container(1)], room=9)
    assert isinstance(found := step(lost), TakeOut) and found.servers == (server(1),)
    weightless = Seen([server(1), server(2, 0)], [container(1), container(2)], room=9)
    assert isinstance(found := step(weightless), TakeOut) and found.servers == (server(1),)
    alone = Seen([server(1)], [], room=9)
    assert isinstance(found := step(alone, ()), Bring) and found.numbers == (2,)


def test_a_front_that_does_not_run_its_document_is_brought_to_it_first() -> None:
    assert step(world(1, applied=False), BUSY) == Settle()
