from __future__ import annotations

import pytest

from mlship.cli.arguments import Invocation


@pytest.mark.parametrize(
    ("said", "command", "rest"),
    [
        ("status", "status", []),
        ("rollback churn --target docker --env prod", "rollback", ["churn", "--target", "docker", "--env", "prod"]),
        ("-C shop --env prod status churn", "status", ["-C", "shop", "--env", "prod", "churn"]),
        ("--env=prod --json status", "status", ["--env=prod", "--json"]),
        ("-y -q deploy --again", "deploy", ["-y", "-q", "--again"]),
        ("help deploy", "deploy", ["--help"]),
        ("--wat", "--wat", []),
    ],
)
def test_shared_options_may_stand_in_front_of_the_command(said: str, command: str, rest: list[str]):
    invocation = Invocation.from_argv(said.split())
    assert (invocation.command, invocation.rest) == (command, rest)


@pytest.mark.parametrize("said", ["", "--help", "-h", "help", "--json", "--json --help", "-C shop"])
def test_without_a_command_the_overview_is_shown(said: str):
    assert Invocation.from_argv(said.split()).asks_for_help


@pytest.mark.parametrize("said", ["deploy --help", "status -h", "status"])
def test_with_a_command_the_help_is_the_commands(said: str):
    assert not Invocation.from_argv(said.split()).asks_for_help


@pytest.mark.parametrize(
    ("said", "wanted"),
    [("status --json", True), ("--json status", True), ("status", False), ("status -- --json", False)],
)
def test_json_is_known_before_anything_is_parsed(said: str, wanted: bool):
    assert Invocation.from_argv(said.split()).wants_json is wanted
