"""A planted secret that an error, a server's log line or a result repeats: it reaches no output of any kind."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import fromstring

import pytest
from fake_project import YAML, built, empty_world, made_context

from mlship import masks
from mlship.cli.answer import Answer
from mlship.cli.job_notes import leave, outputs_text, summary_text
from mlship.cli.session import envelope
from mlship.cli.terminal import Terminal
from mlship.flows import deploy, plan
from mlship.flows.context import Where
from mlship.flows.gating.junit import junit
from mlship.flows.gating.results import Report, Result
from mlship.targets import fake

PLANTED = "hunter-two-9000"
FROM_FILE = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG\n-----END KEY-----\n"


@pytest.fixture
def project(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project whose secrets stand in a variable and in a file; nothing in it reads them."""
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DATABASE_URL", PLANTED)
    (folder / "key.pem").write_text(FROM_FILE)
    places = "secrets:\n  DATABASE_URL: {docker: env, local: env}\n  KEY: {docker: file:key.pem}\n"
    made_context(folder, f"name: churn\nmodel: model.joblib\ntarget: local\n{places}")
    with empty_world():
        yield folder
    masks.forget()


@pytest.mark.parametrize("shown", [PLANTED, base64.b64encode(PLANTED.encode()).decode()])
@pytest.mark.parametrize("line", ["status --env {}", "deploy --yes --image {}", "rollback --yes --{}"])
def test_an_error_that_repeats_it_covers_it_on_stderr_and_in_json(mlship, project: Path, line: str, shown: str) -> None:
    for form in (line, f"{line} --json"):
        said = mlship(form.format(shown))
        assert said.exit == 2
        assert shown not in said.stdout + said.stderr
        assert "::add-mask::" not in said.stdout + said.stderr


@pytest.mark.parametrize("place", ["", "-C . ", "-f mlship.yaml "])
def test_a_line_of_a_secret_file_is_covered_wherever_the_file_is_named(mlship, project: Path, place: str) -> None:
    assert "there is no environment ***;" in mlship(f"{place}status --env MIIEvQIBADANBgkqhkiG").stderr


def test_a_log_line_that_repeats_it_covers_it(mlship, project: Path) -> None:
    context = made_context(project, YAML)
    deploy.deploy(context, plan.prepare(context, Where(git=""), image=built(context, 1)))
    made_context(project, "name: churn\nmodel: model.joblib\ntarget: local\nsecrets: {DATABASE_URL: {local: env}}\n")
    for copy in fake.WORLD.services[("churn", "")].copies:
        copy.name = f"url={PLANTED}"
    for line in ("logs churn --target fake", "logs churn --target fake --json"):
        said = mlship(line)
        assert (said.exit, PLANTED in said.stdout + said.stderr) == (0, False), said.stderr
        assert "url=***" in said.stdout


def test_github_is_told_only_in_a_job_of_github_and_never_where_a_file_would_keep_it(project: Path) -> None:
    masks.learn(PLANTED)
    masks.learn(FROM_FILE)
    for environ, told in (({}, False), ({"GITHUB_ACTIONS": "false"}, False), ({"GITHUB_ACTIONS": "true"}, True)):
        stdout, stderr = io.StringIO(), io.StringIO()
        terminal = Terminal(io.StringIO(), stdout, stderr, environ, json=False)
        terminal.say("one")
        terminal.answer("two")
        assert stdout.getvalue() == "one\ntwo\n"
        announced = f"::add-mask::{PLANTED}\n::add-mask::MIIEvQIBADANBgkqhkiG\n"
        assert stderr.getvalue() == (announced if told else "")
    with (project / "errors").open("w+") as kept:
        Terminal(io.StringIO(), io.StringIO(), kept, {"GITHUB_ACTIONS": "true"}, json=False).complain(f"no {PLANTED}")
        kept.seek(0)
        assert kept.read() == "no ***\n"


def test_the_envelope_covers_values_and_stays_json(project: Path) -> None:
    masks.learn('quo"ted\nsecret')
    masks.learn("command")
    told = json.loads(envelope("plan", Answer(payload={"why": 'said quo"ted\nsecret', "command": "a command"})))
    assert (told["why"], told["command"]) == ("said ***", "a ***")


def test_a_report_of_tests_is_covered_and_stays_xml(project: Path) -> None:
    masks.learn('hunter<two>&"x"')
    failed = Result("golden", "fail", "native", "", "", 'cannot log in with hunter<two>&"x"', "")
    report = Report("churn", "", "the built image", "sha256:a", (failed,), (), seconds=1.0)
    told = masks.masked(junit(report).decode())
    assert "hunter" not in told and "cannot log in with ***" in "".join(fromstring(told).itertext()) + told


def test_a_command_leaves_a_page_and_outputs_without_it(mlship, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT"):
        monkeypatch.setenv(name, str(project / name))
    (project / "GITHUB_OUTPUT").write_text("before=1\n")
    assert mlship(f"deploy --yes --image {PLANTED}").exit == 2
    assert mlship("status").exit == 2
    summary, outputs = ((project / name).read_text() for name in ("GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT"))
    assert outputs == "before=1\nexit=2\n"
    assert summary.startswith("### mlship deploy exit 2\n\n    error: ") and PLANTED not in summary and "***" in summary


def test_a_plan_and_a_deploy_name_what_a_job_goes_on_with(mlship, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_OUTPUT", str(folder / "outputs"))
    content = built(made_context(folder, YAML), 1)
    monkeypatch.setenv("MLSHIP_HOME", str(folder / "home"))
    with empty_world():
        assert mlship(f"plan --image {content} --out plan.json").exit == 0
        assert mlship("deploy --plan plan.json --yes").exit == 0
        stale = mlship("deploy --plan plan.json --yes --json")
        assert mlship(f"deploy --image {content} --yes --quiet").exit == 0
    assert (stale.exit, stale.document["error"]["code"]) == (14, "world-moved")
    told = (folder / "outputs").read_text().splitlines()
    assert told.count("changed=true") == 2 and told.count("changed=false") == 1
    assert told.count(f"content={content}") == 3 and told.count("exit=14") == 1
    assert any(line.startswith("release=r1-") for line in told) and "endpoint=memory:" in told


def test_what_cannot_be_written_there_fails_nothing(project: Path) -> None:
    for place in (str(project), str(project / "none" / "file"), "/dev/full", "\0"):
        leave({"GITHUB_STEP_SUMMARY": place, "GITHUB_OUTPUT": place}, "deploy", {"unchanged": True}, "done", 0)


def test_no_value_becomes_markup_or_another_output() -> None:
    facts = {"release": "r1\nendpoint=http://evil", "endpoint": "<b>|`x`"}
    assert outputs_text(facts) == "release=r1 endpoint=http://evil\nendpoint=<b>|`x`\n"
    page = summary_text("deploy", facts, "# heading\n```\n" + "x" * 20_000, 0)
    assert r"\<b\>\|\`x\`" in page and "\n    # heading\n    ```\n" in page and len(page) < 17_000 and "cut off" in page


def test_facts_of_several_hosts_stand_beside_each_other(tmp_path: Path) -> None:
    hosts = [
        {"release": {"id": "r2-aaaaaa", "content": "sha256:c"}, "endpoint": f"http://{name}", "unchanged": False}
        for name in "ab"
    ]
    leave({"GITHUB_OUTPUT": str(tmp_path / "out")}, "deploy", {"hosts": hosts}, "", 0)
    told = (tmp_path / "out").read_text().splitlines()
    assert told == ["content=sha256:c", "release=r2-aaaaaa", "endpoint=http://a http://b", "changed=true", "exit=0"]
