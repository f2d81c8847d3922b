"""What a command says of a service that did not stand still."""

from __future__ import annotations

from mlship.flows.prepared import superseded
from mlship.releases.history import History
from mlship.targets.base import Observed


def seen(live: str) -> Observed:
    return Observed(history=History("churn", "", "docker", 3, live))


def test_a_command_that_ends_after_another_one_deployed_says_what_is_live_by_now() -> None:
    assert superseded(seen("r3-cccccc"), "r2-bbbbbb") == (
        "r3-cccccc is live by now: somebody else changed the service since; mlship status",
    )
    assert superseded(Observed(history=None), "r2-bbbbbb")[0].startswith("nothing is live by now")
    assert superseded(seen("r2-bbbbbb"), "r2-bbbbbb") == ()
