"""Command lines as a whole: what is printed where, and how they end."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mlship.cli.answer import Answer
from mlship.cli.session import envelope
from mlship.errors import Exit


def test_an_unknown_command_names_the_near_one(mlship):
    said = mlship("deploi")
    assert said.exit == 2
    assert said.stdout == ""
    assert said.stderr == "error: there is no command 'deploi'; did you mean deploy?\n  fix    mlship --help\nexit 2\n"


def test_an_option_without_a_command_is_refused(mlship):
    said = mlship("--wat")
    assert (said.exit, said.stderr.splitlines()[0]) == (2, "error: --wat is not an option of mlship itself")


def test_a_misspelt_option_says_where_the_help_is(mlship):
    said = mlship("status --jsn")
    assert said.exit == 2
    assert "No such option: --jsn" in said.stderr
    assert "fix    mlship status --help" in said.stderr


def test_a_usage_error_is_json_too(mlship):
    said = mlship("status --jsn --json")
    assert said.exit == 2
    assert said.document["ok"] is False
    assert said.document["error"]["code"] == "usage"
    assert said.document["error"]["fix"] == "mlship status --help"


def test_an_error_without_a_yaml_names_commands_with_the_place_that_was_asked(mlship) -> None:
    said = mlship("status churn --env prod --target local --json")
    assert said.document["error"]["fix"] == (
        "mlship list --target local shows what is there; mlship deploy --env prod --target local puts it there"
    )
    assert "mlship deploy --env prod --target local puts it there\n" in said.stderr


def test_where_nobody_said_the_target_it_is_said_that_there_are_others(mlship) -> None:
    said = mlship("status churn --env prod --json")
    assert said.document["error"]["message"] == "churn is not deployed to local, environment prod"
    assert said.document["error"]["fix"] == (
        "mlship list shows what is on this machine, --target NAME asks another place; mlship deploy --env prod puts it there"
    )


@pytest.mark.parametrize("command", ["status", "rollback --yes", "logs"])
def test_in_a_folder_without_a_file_a_running_service_is_to_be_named(mlship, command: str) -> None:
    said = mlship(command)
    assert (said.exit, said.stderr.splitlines()[0]) == (2, "error: there is no mlship.yaml in this folder or above it")
    assert (
        "  fix    mlship init --model FILE; for a running service give its name (mlship list shows those on this" in said.stderr
    )


def test_destroy_says_where_nothing_is(mlship) -> None:
    said = mlship("destroy churn --env prod --yes")
    assert (said.exit, said.stdout) == (0, "Nothing to do: nothing of churn/prod is on local\n")


def test_a_region_without_a_cloud_is_not_ignored(mlship) -> None:
    said = mlship("list --region eu-west-1")
    assert (said.exit, said.stderr) == (
        2,
        "error: --region is of a cloud, and none is named\n  fix    mlship list --target aws --region eu-west-1\nexit 2\n",
    )
    assert "the target local has no region" in mlship("list --target local --region eu-west-1").stderr


def test_a_folder_that_is_not_there_is_named(mlship):
    said = mlship("-C nowhere status --json")
    assert said.exit == 2
    assert said.document == {
        "schema": "mlship/v1",
        "command": "status",
        "ok": False,
        "exit": 2,
        "error": {
            "code": "no-folder",
            "message": "-C nowhere is not a folder",
            "where": "",
            "fix": "name an existing folder",
            "details": [],
        },
        "findings": [],
    }


@pytest.mark.parametrize("command", ["deploy", "rollback", "destroy"])
def test_without_a_terminal_nothing_is_asked_and_the_hint_can_be_pasted(mlship, command: str):
    said = mlship(f"{command} --env prod")
    assert said.exit == 2
    assert f"error: {command} changes what is live, and there is no terminal to ask on" in said.stderr
    assert f"fix    mlship {command} --env prod --yes" in said.stderr


def test_init_without_a_model_says_how(mlship):
    said = mlship("init")
    assert (said.exit, said.stderr) == (2, "error: which model?\n  fix    mlship init --model model.joblib\nexit 2\n")


def test_init_without_a_model_takes_none_of_several(mlship, folder: Path):
    for name in ("scaler of 2026.pkl", "wine.joblib"):
        (folder / name).write_bytes(pickle.dumps([1.5]))
    (folder / "notes").write_text("least of all\n")  # which begins like an old pickle
    (folder / "settings").mkdir()
    (folder / "settings" / "config.json").write_text("{}")
    said = mlship("init")
    assert said.exit == 2
    assert said.stderr == (
        "error: which model? there are 2 here: scaler of 2026.pkl, wine.joblib\n"
        "  fix    mlship init --model 'scaler of 2026.pkl'\n"
        "exit 2\n"
    )
    assert not (folder / "mlship.yaml").exists()


def test_logs_that_go_on_are_not_one_json_object(mlship):
    said = mlship("logs churn --follow --json")
    assert said.exit == 2
    assert said.document["error"]["message"] == "--follow has no end, so there is no one JSON object"


def test_list_of_an_empty_machine_is_empty(mlship):
    said = mlship("list --target local --json")
    assert said.exit == 0
    assert said.document["services"] == []
    assert said.stderr == "no services\n"


def test_a_service_whose_records_are_damaged_is_named_beside_the_others_with_the_command_for_it(mlship, folder: Path):
    for place, text in (("churn/default-eu", "{"), ("fraud/default", "[]")):
        service = folder.parent / "home" / "local" / place
        service.mkdir(parents=True)
        (service / "history.json").write_text(text)
    said = mlship("list --target local --json")
    assert (said.exit, said.document["ok"]) == (2, False)
    churn, fraud = said.document["services"]
    assert (churn["project"], churn["environment"], churn["live"], churn["ready"]) == ("churn", "default-eu", "", False)
    assert churn["wrong"].startswith("the records cannot be read (")
    assert "mlship destroy churn --env default-eu --target local; mlship does not guess" in churn["fix"]
    assert "mlship destroy fraud --target local; mlship does not guess" in fraud["fix"]
    assert "churn/default-eu is unknown: the records cannot be read (" in said.stderr
    assert f"  fix    {churn['fix']}\n" in said.stderr


def test_schema_is_the_schema_and_nothing_else(mlship):
    assert json.loads(mlship("schema").stdout)["properties"]["name"]


def test_quiet_prints_only_the_answer(mlship):
    assert mlship("list --target local --quiet").stdout == ""


def test_the_envelope_names_schema_command_and_exit():
    assert json.loads(envelope("plan", Answer(payload={"undo": ""}, exit=Exit.CHANGES))) == {
        "schema": "mlship/v1",
        "command": "plan",
        "ok": True,
        "exit": 3,
        "undo": "",
    }


def test_every_command_has_the_shared_options(mlship):
    from mlship.cli.table import COMMANDS

    for command in COMMANDS:
        help_text = mlship(f"{command} --help").stdout
        for option in ("--json", "--env", "--target", "--file", "--directory", "--yes", "--quiet"):
            assert option in help_text, (command, option)


def test_the_overview_shows_every_command_once_and_the_every_day_ones_first(mlship):
    from mlship.cli.table import COMMANDS, EVERY_DAY

    shown = [line.split()[0] for line in mlship("--help").stdout.splitlines() if line.startswith("  ") and line[2] != "-"]
    assert shown == list(COMMANDS)
    assert shown[: len(EVERY_DAY)] == ["init", "check", "build", "deploy", "status", "rollback", "cost-estimate"]


INTERRUPTED = """
import os, signal, sys
from mlship.cli.call import Call
import mlship.cli.commands.list as command
def stuck(call):
    os.kill(os.getpid(), {signal})
    signal.pause()
command.command = stuck
stuck.__annotations__ = {{"call": Call}}
from mlship.cli.app import run
sys.exit(run(["list"]))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_ends_with_130_and_says_what_to_do(number: int, tmp_path: Path):
    program = [sys.executable, "-c", INTERRUPTED.format(signal=int(number))]
    done = subprocess.run(program, capture_output=True, text=True, cwd=tmp_path, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (130, "interrupted; run the same command again: it converges\n")


BUG = """
import sys
from mlship.cli.call import Call
import mlship.cli.commands.list as command
def broken(call):
    raise ValueError("two and two")
command.command = broken
broken.__annotations__ = {"call": Call}
from mlship.cli.app import run
sys.exit(run(sys.argv[1:]))
"""


def test_a_bug_shows_its_trace_and_where_to_report_it(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-c", BUG, "list", "--json"], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback")
    assert "error: this is a bug in mlship" in done.stderr
    assert "report it with the lines above" in done.stderr
    assert json.loads(done.stdout)["error"]["code"] == "bug"


def test_a_reader_that_leaves_changes_neither_exit_code_nor_peace():
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([sys.executable, "-m", "mlship", "schema"], stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("option", ["--env prod", "-f other.yaml"])
def test_an_option_that_init_could_only_ignore_is_refused(mlship, option):
    said = mlship(f"init --model model.joblib {option}")
    assert said.exit == 2
    assert f"{option.split()[0]} means nothing to init" in said.stderr


def test_a_loader_that_is_none_is_refused_before_anything_is_read(mlship):
    said = mlship("init --model centres.json --loader iris.model")
    assert said.exit == 2
    assert "iris.model is not module:Class, such as churn.model:Churn" in said.stderr
