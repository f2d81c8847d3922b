"""What a command says of a service that did not stand still."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_project import built, empty_world, made_context

from mlship.errors import Exit, Finding, FindingsError
from mlship.flows.context import Where
from mlship.flows.loading import project_of
from mlship.flows.opening import open_project
from mlship.flows.plan import prepare
from mlship.flows.prepared import prepared, superseded
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


@pytest.mark.parametrize(("codes", "exit"), [(("denied", "quota"), Exit.DENIED), (("denied", "bad-name"), Exit.USAGE)])
def test_what_somebody_has_to_allow_has_an_exit_code_of_its_own(tmp_path: Path, codes: tuple[str, ...], exit: Exit) -> None:
    with empty_world():
        context = made_context(tmp_path)
        place = open_project(context, project_of(context, Where()))
        decided = prepare(context, Where(), image=built(context, 1))
    with pytest.raises(FindingsError) as raised:
        prepared(place, decided.plan, decided.observed, tuple(Finding("no", code=code) for code in codes), decided.facts)
    assert raised.value.exit is exit
