"""Without a terminal no command asks anything: those that would ask need --yes, and say so before any work."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

import pytest
from architecture import PACKAGE

from mlship.cli.table import COMMANDS

# `bench` loads what is on this machine without asking: it asks only for a service elsewhere, once it has found it.
ASKS_LATER = {"bench"}
READS = re.compile(r"(?<![\w.])(?<!def )input\(|getpass\.getpass\(|_stdin\.readline\(")


def asking() -> set[str]:
    folder = PACKAGE / "cli" / "commands"
    return {name for name in COMMANDS if ".agree(" in (folder / f"{name.replace('-', '_')}.py").read_text()}


def test_one_place_reads_from_the_person_and_one_asks_for_consent() -> None:
    ours = {path: path.read_text() for part in ("cli", "flows") for path in (PACKAGE / part).rglob("*.py")}
    assert {path.stem for path, text in ours.items() if READS.search(text)} == {"terminal"}
    assert {path.stem for path, text in ours.items() if "terminal.ask(" in text} == {"call"}


def test_every_command_that_asks_refuses_without_a_terminal_before_any_work(mlship, folder: Path) -> None:
    found = asking()
    assert {"deploy", "rollback", "promote", "abort", "destroy", "renew", "cache"} <= found
    for name in sorted(found - ASKS_LATER):
        line = "cache prune" if name == "cache" else name
        said = mlship(f"{line} --json --env prod")
        assert (said.exit, said.document["error"]["code"]) == (2, "consent-needed"), name
        assert said.document["error"]["fix"].endswith("--yes") and "no terminal to ask on" in said.stderr


@pytest.mark.parametrize("name", ["init", "predict", "ci", "logs", "cache", "run"])
def test_a_command_that_lacks_a_word_does_not_wait_for_it(
    mlship, folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    class Closed(io.StringIO):
        def readline(self, *_: object) -> str:
            raise AssertionError(f"{name} waits for somebody to type")

        read = readline  # type: ignore[assignment]

    monkeypatch.setattr(sys, "stdin", Closed())
    said = mlship(f"{name} --json")
    assert "waits for somebody" not in said.stderr and said.exit in (0, 2), said.stderr
