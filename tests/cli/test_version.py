"""The version is asked before anything is loaded, by people and by machines."""

import json

import pytest

from mlship import __version__
from mlship.cli.app import run


@pytest.mark.parametrize("said", ["--version", "-V", "version", "version -q"])
def test_the_version_is_one_line(said: str, capsys: pytest.CaptureFixture[str]):
    assert run(said.split()) == 0
    assert capsys.readouterr().out == f"mlship {__version__}\n"


@pytest.mark.parametrize("said", ["--version --json", "--json --version", "-q version --json"])
def test_machines_get_it_in_the_envelope(said: str, capsys: pytest.CaptureFixture[str]):
    assert run(said.split()) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"schema": "mlship/v1", "command": "version", "ok": True, "exit": 0, "version": __version__}


@pytest.mark.parametrize("said", ["--json", "-q --json -C shop"])
def test_machines_that_name_no_command_get_an_envelope_too(said: str, capsys: pytest.CaptureFixture[str]):
    assert run(said.split()) == 2
    told = json.loads(capsys.readouterr().out)
    assert (told["ok"], told["exit"], told["error"]["message"]) == (False, 2, "no command is named")
