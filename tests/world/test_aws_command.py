"""The unmodified command against an account of AWS: the whole way of a service on ECS, each step a process of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

pytest.importorskip("moto", reason="no moto: pip install 'moto[server]'")
pytest.importorskip("ministack", reason="no ministack: pip install ministack")

import aws_permissions
from aws_account import ACCOUNT, REGION, Account, emulators
from aws_gateway import Gateway
from aws_machine import YAML, built, fronted, machine
from story import Story

pytestmark = pytest.mark.world


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    with emulators(tmp_path_factory.mktemp("aws")) as environ:
        yield environ


@pytest.fixture
def account(running: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    for name, text in running.items():
        monkeypatch.setenv(name, text)
    found = Account(running)
    found.reset()
    yield found


@pytest.fixture
def front(account: Account) -> Iterator[tuple[Gateway, Mapping[str, str]]]:
    with fronted(account) as found:
        yield found


@pytest.fixture
def here(tmp_path: Path, account: Account, front: tuple[Gateway, Mapping[str, str]]) -> Story:
    found = machine(tmp_path / "here", account, front[1])
    found.write("mlship.yaml", YAML)
    found.write("model.joblib", "not read here")
    return found


def test_the_whole_way(tmp_path: Path, account: Account, front: tuple[Gateway, Mapping[str, str]], here: Story) -> None:
    first, second = built(here, account, 1), built(here, account, 2)
    one = here.mlship("deploy", "--env", "prod", "--image", first, "--yes")
    assert one["verify"]["predictions"] == 1 and one["endpoint"].startswith("http://")
    assert here.mlship("deploy", "--env", "prod", "--image", first, "--yes")["unchanged"] is True
    two = here.mlship("deploy", "--env", "prod", "--image", second, "--yes")
    assert two["release"]["content"] == second and {copy.content for copy in account.copies.values()} == {second}

    here.write("mlship.yaml", YAML.replace("aws: {region", "aws: {service: lambda, region"))
    said = here.refused("plan", "--env", "prod", "--image", first)
    assert "churn runs on aws service ecs, and lambda is wanted: that is a replacement" in said

    there = machine(tmp_path / "there", account, front[1])  # no checkout, no build, nothing but credentials
    words = ("churn", "--target", "aws", "--region", REGION, "--env", "prod")
    back = there.mlship("rollback", *words, "--yes")
    assert back["release"]["content"] == first and {copy.content for copy in account.copies.values()} == {first}
    assert there.mlship("status", *words)["serving"] == one["release"]["id"]
    assert [entry["action"] for entry in there.mlship("history", *words)["entries"]] == ["deploy", "deploy", "rollback"]
    (row,) = there.mlship("list", "--target", "aws", "--region", REGION)["services"]
    assert (row["project"], row["environment"], row["live"], row["ready"]) == ("churn", "prod", one["release"]["id"], True)
    assert there.mlship("destroy", *words, "--yes")["stays"] == [f"bucket mlship-{ACCOUNT}-{REGION}"]
    assert there.mlship("list", "--target", "aws", "--region", REGION)["services"] == [] and not account.copies


def test_the_wrong_account_is_refused_before_anything_is_changed(
    account: Account, front: tuple[Gateway, Mapping[str, str]], here: Story
) -> None:
    said = here.refused("deploy", "--env", "elsewhere", "--image", built(here, account, 1), "--yes", exit=8)
    assert "these credentials are of the account 123456789012, and targets.aws.account is 999999999999" in said
    assert not [asked for asked in front[0].asked if "create" in asked or "put" in asked]


def test_what_iam_denies_is_said_before_anything_is_changed(
    account: Account, front: tuple[Gateway, Mapping[str, str]], here: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aws_permissions, "DENIED", {"ecs:UpdateService"})
    said = here.refused("plan", "--image", built(here, account, 1), exit=8)
    assert "may not: ecs:UpdateService" in said
    assert not [asked for asked in front[0].asked if "create" in asked or "put" in asked]
