"""A canary that waits for a person's word, by the command: the same at every service of a cloud."""

from __future__ import annotations

from typing import Any

from story import Story

CAREFUL = "careful: {rollout: {strategy: canary, steps: [20%, 100%], approve: manual}}"


def promoted_twice_and_given_up_once(here: Story, first: str, second: str, third: str) -> None:
    """The environment is `careful`, and there is nothing in it yet. Every command that a pause names is run as it stands."""
    one = _promoted(here, paused(here, first))["release"]
    assert one["content"] == first
    waits = paused(here, second)
    assert sorted(here.mlship("status", "--env", "careful")["weights"].values()) == [20.0, 80.0]
    two = _promoted(here, waits)["release"]
    assert two["content"] == second
    given_up(here, third, two)


def given_up(here: Story, content: str, live: dict[str, Any], environment: str = "careful") -> None:
    """A release that waits, and that nobody wants: what is live serves alone again."""
    waits = paused(here, content, environment)
    gone = here.mlship(*_named(waits, "abort"), "--yes")
    assert gone["release"]["id"] == live["id"] and gone["aborted"]["id"] in waits["error"]["message"]
    told = here.mlship("status", "--env", environment)
    assert (told["serving"], told["weights"], told["underway"]) == (live["id"], {live["id"]: 100.0}, None)


def paused(here: Story, content: str, environment: str = "careful") -> dict[str, Any]:
    return here.mlship("deploy", "--env", environment, "--image", content, "--yes", exit=12)


def _promoted(here: Story, waits: dict[str, Any]) -> dict[str, Any]:
    return here.mlship(*_named(waits, "promote"), "--yes")


def _named(waits: dict[str, Any], verb: str) -> list[str]:
    """The words of one of the commands that go on, as the pause names them."""
    said: str = waits["error"]["fix"]
    return said[said.index(f"mlship {verb} ") :].partition(" goes on")[0].partition(" takes it back")[0].split()[1:]
