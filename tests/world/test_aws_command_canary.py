"""The unmodified command against an account of AWS: releases that callers meet by steps, killed and asked about on the way."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

pytest.importorskip("moto", reason="no moto: pip install 'moto[server]'")
pytest.importorskip("ministack", reason="no ministack: pip install ministack")

from approving import given_up
from aws_account import REGION, Account, emulators
from aws_gateway import Gateway
from aws_machine import YAML, built, fronted, give_lease_back, machine
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


def test_a_canary_that_is_killed_goes_on_when_the_command_runs_again(
    account: Account, front: tuple[Gateway, Mapping[str, str]], here: Story
) -> None:
    first, second = built(here, account, 1), built(here, account, 2)
    here.mlship("deploy", "--env", "changed", "--image", first, "--yes")
    words = ["deploy", "--env", "changed", "--image", second, "--yes"]
    running = subprocess.Popen([*here.command, *words], cwd=here.folder, env=dict(here.environ), stderr=subprocess.DEVNULL)
    try:
        front[0].heard = lambda asked: running.kill() if asked == "elasticloadbalancing modify_rule" else None
        assert running.wait(timeout=120) == -signal.SIGKILL
    finally:
        front[0].heard = lambda asked: None
        running.kill()
    shares = here.mlship("status", "--env", "changed")
    give_lease_back(account, "changed")
    done = here.mlship(*words)
    assert done["release"]["content"] == second and shares["serving"]
    assert {copy.content for copy in account.copies.values()} == {second}


def test_a_release_that_waits_for_a_person_is_promoted_from_another_machine(
    tmp_path: Path, account: Account, front: tuple[Gateway, Mapping[str, str]], here: Story
) -> None:
    content = built(here, account, 1)
    paused = here.mlship("deploy", "--env", "asked", "--image", content, "--yes", exit=12)
    assert "mlship promote churn --target aws --env asked --region us-east-1 goes on" in paused["error"]["fix"]
    there = machine(tmp_path / "there", account, front[1])
    words = ("churn", "--target", "aws", "--region", REGION, "--env", "asked")
    live = there.mlship("promote", *words, "--yes")["release"]
    assert live["content"] == content
    assert [line["text"] for line in there.mlship("logs", *words)["lines"]] == ["ready"]
    given_up(here, built(here, account, 2), live, "asked")
    assert {copy.content for copy in account.copies.values()} == {content}
