"""Secrets of a platform's store: pinned when a release is planned, and all that is wrong with them said at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from fake_project import made_context

from mlship.errors import Exit, FindingsError, MlshipError
from mlship.flows.context import Where
from mlship.flows.loading import project_of
from mlship.flows.opening import open_project
from mlship.flows.plan import secret_versions
from mlship.flows.secrets import Given
from mlship.releases.history import History
from mlship.targets import fake
from mlship.targets.base import Target

GIVEN = Given(
    references={"A": "a", "GONE": "gone", "LOST": "lost"},
    places={name: f"mlship.yaml:5:3 {name}" for name in ("A", "GONE", "LOST")},
)


class Store(fake.FakeTarget):
    """With a secret store that has the secret `a` alone. exit: of the refusal for another one."""

    exit = Exit.USAGE

    def pinned(self, references: Mapping[str, str]) -> Mapping[str, str]:
        ((name, reference),) = references.items()
        if reference != "a":
            raise MlshipError(f"there is no secret {reference}", fix="make it", exit=self.exit)
        return {name: "7"}


def versions(folder: Path, target: Target, given: Given) -> Mapping[str, str]:
    context = made_context(folder)
    place = replace(open_project(context, project_of(context, Where())), target=target)
    return secret_versions(place, given, History("churn", "", "fake"))


def test_a_release_gets_the_version_that_is_the_newest(tmp_path: Path) -> None:
    only = Given(references={"A": "a"}, places={"A": "mlship.yaml:5:3 A"})
    assert versions(tmp_path, Store("churn", "", fake.WORLD), only) == {"A": "7"}


def test_every_secret_that_is_not_there_is_said_at_its_place(tmp_path: Path) -> None:
    with pytest.raises(FindingsError, match="a secret is not as needed") as raised:
        versions(tmp_path, Store("churn", "", fake.WORLD), GIVEN)
    assert [str(finding) for finding in raised.value.findings] == [
        "mlship.yaml:5:3 GONE  there is no secret gone; make it",
        "mlship.yaml:5:3 LOST  there is no secret lost; make it",
    ]


def test_a_store_that_may_not_be_asked_keeps_its_exit_code(tmp_path: Path) -> None:
    denied = Store("churn", "", fake.WORLD)
    denied.exit = Exit.DENIED
    with pytest.raises(MlshipError) as raised:
        versions(tmp_path, denied, GIVEN)
    assert raised.value.exit is Exit.DENIED


def test_a_service_without_a_store_refuses_them_at_their_place(tmp_path: Path) -> None:
    with pytest.raises(MlshipError) as raised:
        versions(tmp_path, fake.FakeTarget("churn", "", fake.WORLD), GIVEN)
    assert raised.value.where == "mlship.yaml:5:3 A" and raised.value.code == "not-yet"
    assert raised.value.what == "secrets for the target fake, service memory, are not yet built"
