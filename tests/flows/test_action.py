"""action.yml: what its one step runs for its inputs, and that no input becomes part of the script."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from mlship.cli.job_notes import leave

ROOT = Path(__file__).parent.parent.parent
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
(STEP,) = ACTION["runs"]["steps"]
COMMAND = """#!/bin/sh
printf '%s\\n' "$@" > "$RUNNER_TEMP/words"
exit "${MLSHIP_ENDS:-0}"
"""


@dataclass(frozen=True)
class Ran:
    """words: of the command line that mlship was started with; none where it was not."""

    exit: int
    words: list[str]
    outputs: str
    summary: str
    stderr: str


@pytest.fixture
def act(tmp_path: Path):
    """Runs the step with these inputs; mlship is installed already, and writes down how it was called."""
    program = tmp_path / "mlship-action" / "bin" / "mlship"
    program.parent.mkdir(parents=True)
    program.write_text(COMMAND)
    program.chmod(0o755)

    def call(ends: int = 0, **inputs: str) -> Ran:
        given = {name.replace("-", "_"): str(of.get("default", "")) for name, of in ACTION["inputs"].items()} | inputs
        environ = {f"INPUT_{name.upper()}": value for name, value in given.items()}
        assert environ.keys() | {"ACTION_FOLDER"} == STEP["env"].keys()
        files = {name: tmp_path / name for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
        for file in (*files.values(), tmp_path / "words"):
            file.write_text("")
        places = {"RUNNER_TEMP": tmp_path, "GITHUB_WORKSPACE": tmp_path, "ACTION_FOLDER": tmp_path, **files}
        done = subprocess.run(
            ["bash", "-c", STEP["run"]],
            cwd=tmp_path,
            env={
                "PATH": "/usr/bin:/bin",
                "MLSHIP_ENDS": str(ends),
                **environ,
                **{name: str(path) for name, path in places.items()},
            },
            capture_output=True,
            text=True,
        )
        words = (tmp_path / "words").read_text().splitlines()
        return Ran(
            done.returncode, words, files["GITHUB_OUTPUT"].read_text(), files["GITHUB_STEP_SUMMARY"].read_text(), done.stderr
        )

    return call


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"command": "check"}, ["check"]),
        ({"command": "build", "environment": "prod"}, ["build", "--locked", "--env", "prod"]),
        ({"command": "test", "image": "a" * 12}, ["test", "--image", "a" * 12]),
        ({"command": "deploy", "image": "a" * 12}, ["deploy", "--yes", "--image", "a" * 12]),
        ({"command": "deploy", "image": f"sha256:{'a' * 64}"}, ["deploy", "--yes", "--image", f"sha256:{'a' * 64}"]),
        (
            {"command": "rollback", "release": "r11", "reason": "$(id) `id`"},
            ["rollback", "--yes", "--reason", "$(id) `id`", "--to", "r11"],
        ),
        ({"command": "plan", "plan": "plan.json", "from": "staging"}, ["plan", "--out", "plan.json", "--from", "staging"]),
        ({"command": "deploy", "plan": "plan.json"}, ["deploy", "--yes", "--plan", "plan.json"]),
        ({"command": "deploy", "from": "staging"}, ["deploy", "--yes", "--from", "staging"]),
        ({"command": "cost-estimate", "max_monthly": "150"}, ["cost-estimate", "--format", "markdown", "--max-monthly", "150"]),
    ],
)
def test_inputs_become_words_of_one_command(act, inputs: dict[str, str], words: list[str]) -> None:
    ran = act(**inputs)
    assert (ran.exit, ran.words) == (0, words), ran.stderr


def test_every_output_is_one_that_mlship_writes(tmp_path: Path) -> None:
    out = tmp_path / "out"
    release = {"id": "r2-aaaaaa", "content": "sha256:a"}
    leave({"GITHUB_OUTPUT": str(out)}, "deploy", {"release": release, "endpoint": "http://a", "unchanged": False}, "", 0)
    written = {line.partition("=")[0] for line in out.read_text().splitlines()}
    assert ACTION["outputs"].keys() <= written
    assert all(output["value"] == f"${{{{ steps.run.outputs.{name} }}}}" for name, output in ACTION["outputs"].items())


@pytest.mark.parametrize(
    "inputs",
    [
        {"command": "destroy"},
        {"command": "check; id"},
        {"command": "check", "environment": "prod --yes"},
        {"command": "check", "environment": "$(id)"},
        {"command": "check", "folder": "a b"},
        {"command": "check", "folder": "-C"},
        {"command": "deploy", "image": "latest"},
        {"command": "plan"},
        {"command": "deploy", "from": "prod --yes"},
        {"command": "deploy", "plan": "-h"},
        {"command": "rollback", "release": "r1;id"},
        {"command": "rollback", "release": "r1\nr2"},
        {"command": "rollback", "reason": "--to=r1"},
        {"command": "cost-estimate", "max_monthly": "1e9"},
        {"command": "check", "package": "--index-url=x"},
    ],
)
def test_an_input_that_is_none_is_refused_before_anything_runs(act, inputs: dict[str, str]) -> None:
    ran = act(**inputs)
    assert (ran.exit, ran.words) == (2, [])
    assert ran.stderr.startswith("::error::")


def test_the_step_ends_as_mlship_does_and_leaves_outputs_and_summary_to_it(act) -> None:
    ran = act(ends=6, command="deploy")
    assert (ran.exit, ran.outputs, ran.summary) == (6, "", "")
    assert "GITHUB_OUTPUT" not in STEP["run"] and "GITHUB_STEP_SUMMARY" not in STEP["run"]


def test_no_input_stands_in_the_script() -> None:
    assert "${{" not in STEP["run"]
    assert ACTION["runs"]["using"] == "composite"
