"""docs/ci.md shows what is written: parts of pipelines, files, and what the command says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from documents import CI, blocks, shown, table
from pipeline_parts import rendered

from mlship.cli.app import run
from mlship.config.load import load_project
from mlship.flows.pipelines.systems import SYSTEMS

PAGE = CI.read_text()


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_part_of_a_pipeline_is_as_it_is_written(system: str) -> None:
    (part,) = blocks(PAGE, system)
    assert part in rendered("local", system)


def test_the_files_of_the_page_are_those_that_are_written() -> None:
    rows = table(PAGE.partition("## What it does")[0])
    files = {row[0].strip("`"): [re.findall("`(.*?)`", cell)[0] for cell in row[1:]] for row in rows}
    assert files == {name: [system.file, system.file_of_several.format(name="NAME")] for name, system in SYSTEMS.items()}


def test_the_command_says_what_the_page_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (example,) = blocks(PAGE, "yaml")
    (tmp_path / "mlship.yaml").write_text(example)
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLSHIP_HOME", str(tmp_path / "home"))
    assert load_project(tmp_path / "mlship.yaml", "prod").targets.local.port == 8080
    (step,) = shown(PAGE)
    assert run(step.command.split()[1:]) == 0
    assert capsys.readouterr().out.replace(f"{tmp_path}/", "").splitlines() == list(step.output)
