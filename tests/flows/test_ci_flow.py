"""Pipelines: what stands in them, where they are written, and what is refused."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from pipeline_parts import CASES, PROJECTS, pipeline_of, rendered, scripts

from mlship.cli.app import run
from mlship.cli.table import COMMANDS
from mlship.config.load import load_project
from mlship.errors import MlshipError
from mlship.flows.pipelines.pipeline import Source, in_order, pipeline
from mlship.flows.pipelines.systems import SYSTEMS, file_of
from mlship.templating import templates_folder

ACTIONS = yaml.safe_load((templates_folder() / "ci" / "actions.yaml").read_text())["actions"]
ROOT = Path(__file__).parent.parent.parent


def loaded(text: str) -> Any:
    return yaml.load(text, yaml.CSafeLoader)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a project at its top."""
    (tmp_path / ".git").mkdir()
    (tmp_path / "mlship.yaml").write_text(f"name: churn\nmodel: model.joblib\n{PROJECTS['local']}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLSHIP_HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.mark.parametrize(("name", "system"), CASES)
def test_every_pipeline_has_commands_of_this_mlship_alone(name: str, system: str) -> None:
    found = scripts(rendered(name, system), system)
    called = {word for script in found for word in re.findall(r'bin/mlship" ([a-z-]+)', script)}
    called |= {word for script in found for word in re.findall(r"^said (?:'[^']*'|\w+) ([a-z-]+)", script, re.MULTILINE)}
    called |= {word for script in found for word in re.findall(r"set -- ([a-z][a-z-]*)", script)}
    assert {"check", "build", "plan", "cost-estimate", "deploy", "verify", "rollback", "promote", "abort"} <= called
    assert called <= {*COMMANDS, "--version"}
    assert ("test" in called) == ("test" in COMMANDS)


@pytest.mark.parametrize("system", SYSTEMS)
def test_no_step_of_a_shell_holds_a_value_of_the_file_or_an_expression(system: str) -> None:
    for script in scripts(rendered("ssh", system), system):
        assert "churn" not in script and "staging" not in script and "requirements.txt" not in script
        assert "${{" not in script and not re.search(r"\$\([A-Z]", script)


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_step_is_shell_that_can_be_read(system: str) -> None:
    found = {script for name, of in CASES if of == system for script in scripts(rendered(name, system), system)}
    text = "\n".join(f"step{number}() {{\n{script}\n}}" for number, script in enumerate(sorted(found)))
    assert len(found) >= 7
    done = subprocess.run(["sh", "-n"], input=text, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_actions_are_pinned_by_the_commits_that_were_verified() -> None:
    used = set()
    for text in (*(rendered(name, "github") for name in PROJECTS), (ROOT / ".github/workflows/ci.yml").read_text()):
        lines = [line for line in text.splitlines() if "uses:" in line]
        found = [re.fullmatch(r"\s*(?:- )?uses: ([\w/-]+)@([0-9a-f]{40}) # (v[\d.]+)", line) for line in lines]
        assert lines and all(found), lines
        used |= {match.groups() for match in found if match}
    assert used == {(name, action["commit"], action["version"]) for name, action in ACTIONS.items()}
    assert all(len(action["seen"]) >= 2 for action in ACTIONS.values())


def test_production_comes_last_and_every_stage_waits_for_the_one_before() -> None:
    assert in_order(("prod", "dev", "staging", "production")) == ("dev", "staging", "prod", "production")
    found = pipeline_of("ssh")
    assert [(stage.title, stage.needs, stage.needs_approval) for stage in found.stages] == [
        ("staging", ("build",), False),
        ("prod", ("build", "plan-prod"), True),
    ]
    assert found.stages[0].variables == ("CHURN_KEYS",) and found.stages[0].over_ssh
    assert found.stages[1].plan_needs == ("build", "deploy-staging")


def test_a_plan_stands_before_every_approval_and_the_approved_one_is_deployed() -> None:
    assert [(stage.source, stage.plan_file) for stage in pipeline_of("local").stages] == [
        ("", ""),
        ("staging", "plan-prod.json"),
    ]
    assert [stage.source for stage in pipeline_of("clouds").stages] == ["", "", ""], "a cloud's job is let into one stage only"
    jobs = loaded(rendered("ssh", "github"))["jobs"]
    plan, deploy = jobs["plan-prod"], jobs["deploy-prod"]
    assert plan["env"] == {"MLSHIP_ENV": "prod", "MLSHIP_FROM": "staging", "MLSHIP_PLAN": "plan-prod.json"}
    assert (plan["environment"], deploy["environment"]) == ("prod-plan", "prod")
    assert deploy["env"]["MLSHIP_PLAN"] == "plan-prod.json" and "MLSHIP_PLAN" not in jobs["deploy-staging"]["env"]
    kept = next(step["with"] for step in plan["steps"] if "upload-artifact" in step.get("uses", ""))
    taken = [step["with"]["name"] for step in deploy["steps"] if "download-artifact" in step.get("uses", "")]
    assert kept["path"] == ".mlship-ci/out/plan-prod.json" and taken == ["mlship-image", kept["name"]]
    assert "environment" not in loaded(rendered("local", "github"))["jobs"]["plan-prod"]


@pytest.mark.parametrize("system", SYSTEMS)
def test_test_results_are_kept_also_when_a_gate_fails(system: str) -> None:
    text = rendered("local", system)
    words = {
        "github": "        if: ${{ !cancelled() }}\n        with:\n          name: mlship-tests\n",
        "gitlab": "    when: always\n    paths: [.mlship-ci/out]\n    reports: {junit: .mlship-ci/out/tests.xml}\n",
        "azure": "          - task: PublishTestResults@2\n            condition: not(canceled())\n",
        "jenkins": "      post { always { junit testResults: '.mlship-ci/out/tests.xml', allowEmptyResults: true } }\n",
    }
    assert words[system] in text


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_key_of_a_job_leaves_the_account_that_it_runs_under_alone(system: str) -> None:
    shell = [script for script in scripts(rendered("ssh", system), system) if "MLSHIP_SSH" in script]
    assert shell
    for script in shell:
        assert "$HOME" not in script and "~/.ssh/" not in script.replace("~/.ssh stays", "") and "Host *" not in script


SSH_STEP = (ROOT / "templates/ci/steps/ssh.sh").read_text()


@pytest.mark.parametrize("ends", ["true", "exit 3", "kill -TERM $$"])
def test_the_key_is_private_while_the_step_runs_and_gone_when_it_ends(tmp_path: Path, ends: str) -> None:
    venv, home = tmp_path / "ci" / "venv", tmp_path / "home"
    venv.mkdir(parents=True)
    home.mkdir()
    (tmp_path / "hosts").write_text("shop ssh-ed25519 AAAA\n")
    shown = 'ls -l "$MLSHIP_SSH"; cat "$MLSHIP_SSH_CONFIG" "$MLSHIP_SSH/key" "$MLSHIP_SSH/known_hosts"'
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(home), "MLSHIP_VENV": str(venv)}
    secrets = {"MLSHIP_SSH_KEY": "KEY\nLINE", "MLSHIP_SSH_KNOWN_HOSTS": str(tmp_path / "hosts")}
    done = subprocess.run(
        ["sh", "-c", f"{SSH_STEP}{shown}\n{ends}\n"], env={**environ, **secrets}, capture_output=True, text=True
    )
    folder = tmp_path / "ci" / "ssh"
    assert f"IdentityFile {folder}/key\nIdentitiesOnly yes\nUserKnownHostsFile {folder}/known_hosts\n" in done.stdout
    assert done.stdout.endswith("KEY\nLINE\nshop ssh-ed25519 AAAA\n") and done.stdout.count("-rw------- ") == 2
    assert not folder.exists() and list(home.iterdir()) == []
    assert done.returncode == {"true": 0, "exit 3": 3}.get(ends, 130)


def test_a_login_is_there_for_clouds_and_for_nothing_else() -> None:
    jobs = loaded(rendered("clouds", "github"))["jobs"]
    assert jobs["deploy-staging"]["permissions"] == {"contents": "read", "id-token": "write"}
    assert "mlship[aws,azure,gcp]==0.1.0" in rendered("clouds", "gitlab")
    for name in ("bare", "local", "ssh"):
        for system in SYSTEMS:
            text = rendered(name, system)
            assert not re.search("id-token|id_token|ID_TOKEN|OIDC|aws|azure/login|AzureCLI", text)
            assert ("MLSHIP_SSH_KEY" in text) == (name == "ssh")


def test_a_job_of_github_has_the_least_rights_and_no_deploy_is_cancelled() -> None:
    document = loaded(rendered("local", "github"))
    assert document["permissions"] == {}
    for name, job in document["jobs"].items():
        writes = {right for right, level in job["permissions"].items() if level == "write"}
        assert writes == ({"pull-requests"} if name == "report" else set())
        assert job["timeout-minutes"] <= 120
        assert all(step["with"]["persist-credentials"] is False for step in job["steps"] if "checkout" in step.get("uses", ""))
        if name.startswith(("deploy", "by-hand")):
            assert job["concurrency"] == {"group": f"mlship-churn-{name.split('-')[-1]}", "cancel-in-progress": False}
            assert job["environment"] == name.split("-")[-1] and job["runs-on"] == ["self-hosted", "linux"]


def test_a_project_without_environments_is_told_how_to_add_them() -> None:
    for system in SYSTEMS:
        text = rendered("bare", system)
        assert "For staging and production write `environments: {staging: {...}, prod: {...}}` into mlship.yaml" in text
        assert "One stage" not in rendered("local", system)


def test_a_region_that_a_pipeline_would_read_as_its_own_is_refused() -> None:
    text = "name: churn\nmodel: model.joblib\ntarget: aws\ntargets: {aws: {region: '${{ secrets.KEY }}'}}\n"
    with pytest.raises(MlshipError, match=r"targets.aws.region  \$\{\{ secrets.KEY }} is not a region of AWS"):
        pipeline(Source("", (load_project(Path("mlship.yaml"), text=text),)), "0.1.0", ())


def test_stages_are_deployed_to_and_taken_back_from_main_alone() -> None:
    jobs = loaded(rendered("ssh", "github"))["jobs"]
    assert all("github.ref == 'refs/heads/main'" in job["if"] for name, job in jobs.items() if name.startswith("by-hand"))
    stages = loaded(rendered("ssh", "azure"))["stages"]
    acting = [stage for stage in stages if stage["stage"].startswith(("deploy", "by_hand"))]
    assert len(acting) == 4
    assert all("eq(variables['Build.SourceBranch'], 'refs/heads/main')" in stage["condition"] for stage in acting)
    assert rendered("ssh", "jenkins").count("branch 'main'") == 5
    assert "!env.CHANGE_FORK" in rendered("ssh", "jenkins")


@pytest.mark.parametrize("folder", ["a b", "$(id)", "${{ github.token }}", "x'y", 'x"y', "-rf", "a\nb", "größe"])
def test_a_path_that_a_pipeline_would_read_as_its_own_is_refused(folder: str) -> None:
    found = pipeline_of("bare")
    assert found.folder == "."
    with pytest.raises(MlshipError, match="holds characters that a pipeline would read as its own"):
        pipeline(Source(folder, (load_project(Path("mlship.yaml"), text="name: churn\nmodel: model.joblib\n"),)), "0.1.0", ())


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_pipeline_is_written_where_its_system_looks(system: str, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["ci", system, "--write"]) == 0
    said = capsys.readouterr().out
    assert (project / SYSTEMS[system].file).read_text().count("mlship ci") >= 1
    assert "stages     staging, prod" in said and "mlship.lock: mlship lock, and commit it" in said


def test_a_file_that_was_changed_is_only_replaced_with_force(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = project / "Jenkinsfile"
    assert run(["ci", "jenkins"]) == 0 and not file.exists()
    shown = capsys.readouterr().out
    assert run(["ci", "jenkins", "--write"]) == 0 and file.read_text() == shown
    assert run(["ci", "jenkins", "--write"]) == 0
    assert "is as it should be" in capsys.readouterr().out
    file.write_text("mine\n")
    assert run(["ci", "jenkins", "--write"]) == 2 and file.read_text() == "mine\n"
    assert "mlship ci jenkins --write --force replaces it" in capsys.readouterr().err
    assert run(["ci", "jenkins", "--write", "--force"]) == 0 and file.read_text() == shown


def test_a_project_below_the_top_has_a_file_and_a_folder_of_its_own(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "ml").mkdir()
    (project / "mlship.yaml").rename(project / "ml" / "mlship.yaml")
    assert run(["ci", "github", "--write", "-C", "ml"]) == 0
    document = yaml.safe_load((project / ".github/workflows/mlship-churn.yml").read_text())
    assert document["defaults"]["run"]["working-directory"] == "ml"
    assert file_of(SYSTEMS["jenkins"], "churn", "ml") == "Jenkinsfile-churn"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("ci", "which CI system?"),
        ("ci travis", "there is no pipeline for 'travis'; one of: github, gitlab, azure, jenkins"),
        ("ci github --write --comment report.md", "--comment writes no pipeline"),
        ("ci jenkins --comment report.md", "Jenkins has no pull requests of its own"),
        ("ci azure --target aws", "Azure Pipelines has no keyless login for aws"),
    ],
)
def test_what_cannot_be_meant_is_refused(line: str, words: str, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(line.split()) == 2
    said = capsys.readouterr().err
    assert words.partition(";")[0] in said and words.rpartition("; ")[2] in said
