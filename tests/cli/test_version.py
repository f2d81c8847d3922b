"""The version is asked before anything is loaded, by people and by machines."""

import json

import pytest

from mlship import __version__
from mlship.cli.app import run


@pytest.mark.parametrize("said", ["--version", "-V", "version", "version -q"])
def test_the_version_is_one_line(said: str, capsys: pytest.CaptureFixture[str]):
    assert run(said.split()) == 0
    assert capsys.readouterr().out == f"mlship {__version__}\n"


def test_machines_get_it_in_the_envelope(capsys: pytest.CaptureFixture[str]):
    assert run(["--version", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"schema": "mlship/v1", "command": "version", "ok": True, "exit": 0, "version": __version__}
