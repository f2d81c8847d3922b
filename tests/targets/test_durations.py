"""How long it usually takes is said where a platform is known for it, with the times that are watched."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cloud_deployment import deployment

from mlship.targets.base import Action, Strategy
from mlship.targets.durations import USUAL, expected
from mlship.targets.priced import priced

STEPS = (Action("deliver", "r2"), Action("stage", "r2"), Action("weigh", "r2", "r1", share=0.1), Action("shift", "r2"))


@pytest.mark.parametrize(("target", "service"), USUAL)
def test_only_services_that_there_are_have_one(target: str, service: str) -> None:
    assert service in priced(target).FEATURES


def test_a_canary_takes_as_long_as_its_steps_are_watched() -> None:
    canary = replace(deployment("aws", "ecs"), strategy=Strategy("canary", (0.1, 1.0), bake_s=600))
    assert expected(canary, STEPS, is_first=False) == "usually 2 to 5 min, and 10 min of watching"
    short = replace(canary, strategy=replace(canary.strategy, bake_s=1.0))
    assert expected(short, STEPS, is_first=False) == "usually 2 to 5 min, and 1 s of watching"
    assert expected(canary, STEPS, is_first=True) == "usually 5 to 10 min"


def test_nothing_is_said_of_your_own_machine_or_of_a_change_in_place() -> None:
    assert expected(replace(deployment("aws", "ecs"), target="docker"), STEPS, is_first=True) == ""
    assert expected(deployment("aws", "ecs"), (Action("operate", "r2"),), is_first=False) == ""
