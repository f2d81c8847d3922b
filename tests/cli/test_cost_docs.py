"""The guide's section Cost: what it shows is what is said."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from documents import GUIDE, blocks, section, shown, table

from mlship.cli.app import run
from mlship.cost.candidate import PURCHASES

TEXT = section(GUIDE, "Cost")


def pattern(output: tuple[str, ...]) -> str:
    """`...` stands for any lines."""
    return "".join(r"(?:.*\n)*?" if line == "..." else re.escape(line) + r"\n" for line in output)


def test_the_guide_shows_what_is_said(folder: Path, capsys: pytest.CaptureFixture[str]):
    for step in shown(TEXT):
        has_file = "--instance" not in step.command  # everything on the command line: without mlship.yaml
        (written,) = blocks(TEXT, "yaml")
        for name, text in (("mlship.yaml", written), ("more.yaml", written.replace("2..6", "3..6"))):
            (folder / name).write_text(text) if has_file else (folder / name).unlink(missing_ok=True)
        run(step.command.split()[1:])
        said = capsys.readouterr()
        assert re.fullmatch(pattern(step.output), said.out + said.err), f"$ {step.command}\n{said.out}{said.err}"


def test_the_purchases_of_the_guide_are_those_that_there_are():
    named = [row[0].strip("`") for row in table(TEXT) if row[0].strip("`") in PURCHASES]
    assert named == [*PURCHASES]
