"""Secrets reach the model's code as variables, and nothing else."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from served import Server, launched, running, until, written
from wired import prediction

from mlship.server.secrets import take_secrets
from mlship.server.settings import SettingsError

VALUE = "correct horse battery staple"

READS_IT = """
import os


class Doubler:
    def load(self, path):
        self.known = len(os.environ["SHOP_KEY"])

    def predict(self, rows):
        if -3 in (rows[0].values() if isinstance(rows[0], dict) else rows[0]):
            os._exit(3)
        return [self.known + len(os.environ["SHOP_KEY"]) for _ in rows]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "run-secrets"
    made.mkdir()
    (made / "SHOP_KEY").write_text(VALUE)
    return made


def test_each_file_becomes_a_variable(folder: Path) -> None:
    (folder / "lower_2").write_bytes(b"\xff\n")
    (folder / ".whole").write_text("the keeper's own")
    (folder / "no-name").write_text("x")
    (folder / "FOLDER").mkdir()
    environ = {"MLSHIP_SECRETS": str(folder)}
    take_secrets(environ)
    assert environ == {"MLSHIP_SECRETS": str(folder), "SHOP_KEY": VALUE, "lower_2": "\udcff\n"}


def test_without_a_folder_there_are_no_secrets() -> None:
    for environ in ({}, {"MLSHIP_SECRETS": ""}):
        before = dict(environ)
        take_secrets(environ)
        assert environ == before


def test_a_variable_that_is_set_stays_and_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    environ = {"MLSHIP_SECRETS": str(folder), "SHOP_KEY": "mine"}
    take_secrets(environ)
    assert environ["SHOP_KEY"] == "mine"
    said = capsys.readouterr().err
    assert "SHOP_KEY is set already; give the secret another name" in said
    assert VALUE not in said


def test_a_folder_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"MLSHIP_SECRETS is .*/none, which cannot be read: No such file or directory"):
        take_secrets({"MLSHIP_SECRETS": str(tmp_path / "none")})


def test_a_secret_that_no_variable_can_hold_is_named_without_its_value(folder: Path) -> None:
    (folder / "SHOP_KEY").write_text(VALUE + "\0")
    with pytest.raises(SettingsError, match="SHOP_KEY has a NUL in it") as raised:
        take_secrets({"MLSHIP_SECRETS": str(folder)})
    assert VALUE not in str(raised.value)


@pytest.mark.skipif(os.getuid() == 0, reason="root reads every file")
def test_a_secret_of_somebody_else_stops_the_start(folder: Path) -> None:
    (folder / "SHOP_KEY").chmod(0)
    with pytest.raises(SettingsError, match="SHOP_KEY cannot be read: Permission denied"):
        take_secrets({"MLSHIP_SECRETS": str(folder)})


def test_the_model_reads_it_while_it_loads_and_no_process_shows_it(tmp_path: Path, folder: Path) -> None:
    manifest = written(tmp_path)
    (tmp_path / "code" / "doubler.py").write_text(READS_IT)
    with running(manifest, MLSHIP_SECRETS=str(folder)) as server:
        assert predicted(server) == [2 * len(VALUE)]
        shown = Path(f"/proc/{server.process.pid}/environ").read_bytes()
        assert b"MLSHIP_SECRETS" in shown
        assert VALUE.encode() not in shown
        with suppress(OSError):
            server.exchange(prediction(-3))
        server.event("worker_lost")
        assert until(lambda: predicted(server)) == [2 * len(VALUE)], "a worker that is replaced has it too"
    assert VALUE not in str(server.errors)


def predicted(server: Server) -> Any:
    try:
        return server.ask("/predict", {"instances": [{"amount": 1, "city": None}]}).json["predictions"]
    except (OSError, IndexError):
        return None


def test_a_folder_that_is_missing_is_one_line_of_the_log(tmp_path: Path) -> None:
    with launched(written(tmp_path), MLSHIP_SECRETS=str(tmp_path / "none")) as server:
        assert "none, which cannot be read" in server.event("start_failed")["message"]
        assert server.wait() == 2
