"""What follows a build takes the environment that the build was told."""

from __future__ import annotations

from pathlib import Path

from fake_project import made_context

from mlship.config.load import load_project
from mlship.flows.told_python import remember_python, told_python


def test_the_environment_that_a_build_was_told_counts_until_it_is_gone_or_a_build_finds_its_own(tmp_path: Path) -> None:
    context = made_context(tmp_path)
    project = load_project(tmp_path / "mlship.yaml", "", "")
    remember_python(context, project, "")
    assert told_python(context, project) == ""
    python = tmp_path / "lab" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    remember_python(context, project, "lab")
    assert told_python(context, project) == "lab", "beside mlship.yaml, as --python means it"
    python.unlink()
    assert told_python(context, project) == ""
    python.touch()
    remember_python(context, project, "")
    assert told_python(context, project) == ""
