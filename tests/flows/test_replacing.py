"""A change of the cloud's service is a replacement: refused unless it is wanted, and then what was there goes first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fake_project import built, empty_world, made_context

from mlship.errors import Exit, MlshipError
from mlship.flows.context import Context, Where
from mlship.flows.deploy import deploy
from mlship.flows.loading import project_of
from mlship.flows.opening import Opened, as_recorded, open_project
from mlship.flows.plan import prepare
from mlship.flows.replacing import former_service
from mlship.targets import fake


@pytest.fixture
def context(tmp_path: Path) -> Iterator[Context]:
    with empty_world():
        yield made_context(tmp_path)


class OfService(fake.FakeTarget):
    """One of two services that share their records, as those of a cloud do."""

    service = "disk"


def opened(context: Context) -> Opened:
    found = open_project(context, project_of(context, Where()))
    return replace(found, target=OfService("churn", "", fake.WORLD), service="disk")


def test_another_service_is_refused_with_the_words(context: Context) -> None:
    deploy(context, prepare(context, Where(), image=built(context, 1)))
    with pytest.raises(MlshipError) as raised:
        former_service(context, opened(context), is_wanted=False)
    assert raised.value.exit is Exit.USAGE
    assert raised.value.what == (
        "churn runs on fake service memory, and disk is wanted: that is a replacement, with a time in which nobody is served"
    )
    assert raised.value.fix == "mlship deploy --replace, or an environment of its own for disk"


def test_what_was_there_goes_first_where_it_is_wanted(context: Context) -> None:
    deploy(context, prepare(context, Where(), image=built(context, 1)))
    former = former_service(context, opened(context), is_wanted=True)
    assert former is not None and former.service == "memory"
    decided = prepare(context, Where(), image=built(context, 2))
    deploy(context, replace(decided, opened=opened(context), former=former))
    history = decided.opened.target.records.read()
    assert history is not None and history.generation == 1
    assert [release.id for release in history.releases] == [decided.plan.deployment.release.id]


def test_what_is_there_is_asked_where_it_runs_whatever_the_file_says(context: Context) -> None:
    deploy(context, prepare(context, Where(), image=built(context, 1)))
    place = as_recorded(context, opened(context))
    assert (place.service, place.project is None) == ("memory", False)


def test_the_same_service_and_an_empty_place_replace_nothing(context: Context) -> None:
    assert former_service(context, opened(context), is_wanted=False) is None
    deploy(context, prepare(context, Where(), image=built(context, 1)))
    same = replace(opened(context), service="memory")
    assert former_service(context, same, is_wanted=False) is None
