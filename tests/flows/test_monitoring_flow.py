"""render --target monitoring: what is written for which project, and what is refused; the real programs judge it in a story."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlship.cli.app import run
from mlship.config.load import load_project
from mlship.errors import MlshipError
from mlship.flows.monitoring.alerts import Alert, alerts_of
from mlship.flows.monitoring.dashboard import dashboard
from mlship.flows.monitoring.documents import Watch, documents
from mlship.flows.monitoring.scrape import Scrape, scrape_of
from mlship.flows.monitoring.spending import Spending

LOCAL = "targets: {local: {port: 8123}}\n"
SPENDING = Spending(150.0, 0.05, 0.02, 0.0, "prices of a test")


def project_of(text: str, environment: str = "") -> Any:
    return load_project(Path("mlship.yaml"), environment, text=f"name: churn\nmodel: model.joblib\n{text}")


def scraped(text: str, environment: str = "") -> Scrape:
    return scrape_of(project_of(text, environment))


def watch_of(text: str, spending: Spending | None = SPENDING, environment: str = "") -> Watch:
    project = project_of(text, environment)
    scrape = scrape_of(project)
    return Watch(project, scrape, alerts_of(project, scrape, spending, True), (), True)


def alert(name: str, text: str) -> Alert:
    return next(one for one in watch_of(text).alerts if one.name == name)


def loaded(watch: Watch, name: str) -> Any:
    return yaml.load(documents(watch)[name], yaml.CSafeLoader)


# -- where the service is -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "scheme", "addresses"),
    [
        (LOCAL, "http", ("127.0.0.1:8123",)),
        ("targets: {local: {port: 80, host: 0.0.0.0}}\n", "http", ("127.0.0.1:80",)),
        ("targets: {local: {port: 80, host: '::1'}}\n", "http", ("[::1]:80",)),
        ("target: docker\n", "http", ("127.0.0.1:8080",)),
        (
            "target: docker\nsecrets: {K: {docker: env}}\ntargets: {docker: {tls: {cert: c.pem, key: secret:K}}}\n",
            "https",
            ("127.0.0.1:8080",),
        ),
        (
            'target: docker\ntargets: {docker: {host: 0.0.0.0, hosts: ["ssh://me@a:22", "ssh://me@b.lan"]}}\n',
            "http",
            ("a:8080", "b.lan:8080"),
        ),
        ('target: aws\nmonitoring: {addresses: ["https://churn.acme.example:443"]}\n', "https", ("churn.acme.example:443",)),
    ],
)
def test_prometheus_finds_it_where_the_target_puts_it(text: str, scheme: str, addresses: tuple[str, ...]) -> None:
    found = scraped(text)
    assert (found.scheme, found.addresses, found.copies) == (scheme, addresses, len(addresses))


def test_replicas_behind_one_address_are_found_one_by_one() -> None:
    text = "target: docker\nscale: {replicas: 2..4}\nenvironments: {prod: {}}\n"
    found = scraped(text, "prod")
    assert found.discovery and not found.addresses and (found.copies, found.sees_every_copy) == (2, True)
    [job] = loaded(watch_of(text, environment="prod"), "prometheus.yml")["scrape_configs"]
    [engine] = job["docker_sd_configs"]
    assert engine["filters"][0] == {"name": "label", "values": ["mlship.project=churn"]}
    kept = {rule["source_labels"][0]: rule["regex"] for rule in job["relabel_configs"] if rule.get("action") == "keep"}
    assert re.fullmatch(kept["__meta_docker_network_name"], "mlship-churn.prod")
    assert not re.fullmatch(kept["__meta_docker_network_name"], "mlship-churn-prod")
    assert job["job_name"] == "mlship-churn.prod" and "static_configs" not in job
    assert {rule.get("target_label"): rule.get("replacement") for rule in job["relabel_configs"]}["environment"] == "prod"


@pytest.mark.parametrize(
    ("text", "words", "fix"),
    [
        ("", "targets.local.port is left out", "write targets: {local: {port: 8080}}"),
        ("target: aws\n", "where Prometheus finds a service on aws", "addresses"),
        ('target: docker\ntargets: {docker: {hosts: ["ssh://me@a"]}}\n', "published on 127.0.0.1", "0.0.0.0"),
        (f'{LOCAL}env: {{MLSHIP_METRICS: "0"}}\n', "nothing is counted", "delete it"),
    ],
)
def test_what_prometheus_would_not_find_is_refused(text: str, words: str, fix: str) -> None:
    with pytest.raises(MlshipError, match=re.escape(words)) as refused:
        scraped(text)
    assert fix in refused.value.fix


def test_keys_and_certificates_come_from_files() -> None:
    auth = "serve: {auth: {api_keys: secret:K}}\nsecrets: {K: {local: env}}\n"
    assert scraped(LOCAL).key is None
    assert scraped(LOCAL + auth).key == "metrics.key"
    assert scraped(LOCAL + auth.replace("secret:K}", "secret:K, metrics: open}")).key is None
    said = "addresses: ['https://a:1'], key: /etc/key, ca: /etc/ca.pem, webhook: https://a/b, webhook_token: /etc/hook"
    text = f"{LOCAL}{auth}monitoring: {{{said}}}\n"
    assert scraped(text.replace("https://a:1", "a:1")).ca is None
    [job] = loaded(watch_of(text), "prometheus.yml")["scrape_configs"]
    assert job["authorization"] == {"credentials_file": "/etc/key"} and job["tls_config"] == {"ca_file": "/etc/ca.pem"}
    [people] = loaded(watch_of(text), "alertmanager.yml")["receivers"]
    assert people["webhook_configs"][0]["http_config"] == {"authorization": {"credentials_file": "/etc/hook"}}


# -- rules ----------------------------------------------------------------------------------------------------------------------


def test_thresholds_are_those_of_the_file() -> None:
    text = f"{LOCAL}slo: {{p99: 30ms}}\nmonitoring: {{alerts: {{p95: 25ms, errors: 2.5%, refusals: 7%, drift: 0.3, after: 90s}}}}\n"
    rules = {one.name: one for one in watch_of(text).alerts}
    ends = {name: one.expr.rpartition(" ")[2] for name, one in rules.items()}
    assert ends == {
        "MlshipDown": "1", "MlshipSlowP95": "0.025", "MlshipSlowP99": "0.03", "MlshipErrors": "0.025", "MlshipRefusals": "0.07",
        "MlshipWorkersDie": "3", "MlshipDrift": "0.3", "MlshipBudget": "150",
    }  # fmt: skip
    assert {name: one.after for name, one in rules.items() if name in ("MlshipErrors", "MlshipDown", "MlshipBudget")} == {
        "MlshipErrors": "90s", "MlshipDown": "60s", "MlshipBudget": "3600s",
    }  # fmt: skip
    assert "between 0.025 s and 0.05 s it is an estimate" in rules["MlshipSlowP99"].description
    assert "estimate" not in rules["MlshipSlowP95"].description


def test_every_alert_says_what_to_do() -> None:
    for one in watch_of(f"{LOCAL}slo: {{p99: 30ms}}\nenvironments: {{prod: {{}}}}\n", environment="prod").alerts:
        assert one.summary.startswith("churn (prod) ") and len(one.runbook) > 50 and one.command.startswith("mlship ")
        assert one.command.endswith("--env prod") and one.labels["environment"] == "prod"


def test_no_rule_waits_for_more_than_the_server_measures() -> None:
    assert [one.name for one in watch_of(f"{LOCAL}slo: {{p99: 10s}}\n").alerts if one.kind == "slow"] == []


def test_rates_are_taken_over_four_scrapes_at_least() -> None:
    assert "[300s]" in alert("MlshipErrors", LOCAL).expr
    slow = f"{LOCAL}monitoring: {{interval: 2m}}\n"
    assert "[480s]" in alert("MlshipErrors", slow).expr and alert("MlshipDown", slow).after == "240s"


def test_panels_lie_beside_and_below_each_other() -> None:
    panels = dashboard(scraped(LOCAL), True, {"slow": 0.03})["panels"]
    assert [panel["title"] for panel in panels if panel["type"] == "row"] == [
        "Traffic", "Latency", "Errors", "Saturation", "Drift", "Releases",
    ]  # fmt: skip
    cells = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells)) and max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in panels}) == len(panels)


# -- whom it tells --------------------------------------------------------------------------------------------------------------


def test_without_a_webhook_the_file_says_that_nobody_is_told() -> None:
    written = documents(watch_of(LOCAL))
    assert b"Nobody is told" in written["alertmanager.yml"] and "relay.py" not in written
    assert set(written) == {"alertmanager.yml", "alerts.yml", "alerts_test.yml", "dashboard.json", "prometheus.yml"}


def test_only_the_named_alerts_start_a_pipeline() -> None:
    text = f'{LOCAL}monitoring: {{retrain: {{url: "https://a.example/b", token: t, when: [slow, errors], port: 9999}}}}\nslo: {{p99: 1s}}\n'
    watch = watch_of(text)
    assert {one.name for one in watch.alerts if "retrain" in one.labels} == {"MlshipSlowP99", "MlshipErrors"}
    people, retrain = loaded(watch, "alertmanager.yml")["receivers"]
    assert "webhook_configs" not in people and retrain["webhook_configs"][0]["url"] == "http://127.0.0.1:9999/alerts"
    relay = json.loads(documents(watch)["relay.json"])
    assert (relay["listen"], relay["port"], relay["once_in_s"]) == ("127.0.0.1", 9999, 21600)
    assert len(relay["body"]["client_payload"]) <= 10


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ('retrain: {url: "http://a.example/b", token: t, when: [down]}', "over plain HTTP"),
        ('webhook: "http://a.example/b", webhook_token: t', "over plain HTTP"),
        ("webhook_token: t", "there is no monitoring.webhook"),
        ('retrain: {url: "https://a.example/b", token: t}', "no model has a model.reference"),
        ('retrain: {url: "https://a.example/b", token: t, when: [slow]}', "nothing says what is slow"),
        ('retrain: {url: "https://me:pw@a.example/b", token: t, when: [down]}', "is not an address"),
        ('addresses: ["a:1", "https://b:1"]', "some addresses are https://"),
        ('addresses: ["a:70000"]', "has no port from 1 to 65535"),
        ('addresses: ["a b:1"]', "is not host:port"),
        ("alerts: {errors: 0%}", "is not a share"),
    ],
)
def test_what_would_leak_or_never_fire_is_refused(keys: str, words: str) -> None:
    with pytest.raises(MlshipError) as refused:
        project_of(f"{LOCAL}monitoring: {{{keys}}}\n")
    assert words in str(refused.value)


# -- the command ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLSHIP_HOME", str(tmp_path / "home"))
    return tmp_path


def test_the_command_writes_files_and_keeps_what_lies_beside_them(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cost = "cost: {budget: {monthly: 100 USD}}\n"
    (folder / "mlship.yaml").write_text(f"name: churn\nmodel: model.joblib\n{LOCAL}slo: {{p99: 20s}}\n{cost}")
    (folder / "rendered/monitoring").mkdir(parents=True)
    (folder / "rendered/monitoring/metrics.key").write_text("kept")
    assert run(["render", "--target", "monitoring", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["files"][0] == "monitoring/alertmanager.yml" and len(said["files"]) == 5
    reasons = [
        "slo.p99: 20s is beyond the 10 s up to which the server measures",
        "drift: no model has a model.reference",
        "budget: local process bills nothing by the copy",
    ]
    assert said["left_out"] == reasons
    text = (folder / "rendered/monitoring/alerts.yml").read_text()
    assert all(f'# Left out: "{reason}"' in text for reason in reasons)
    assert (folder / "rendered/monitoring/metrics.key").read_text() == "kept"
    assert run(["render", "--target", "monitoring"]) == 0
    assert "Next: prometheus --config.file" in capsys.readouterr().out


def test_a_body_of_ones_own_is_read_and_must_be_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    retrain = '{url: "https://gitlab.example/api", token: t, header: PRIVATE-TOKEN, when: [down], body: body.json}'
    (folder / "mlship.yaml").write_text(f"name: churn\nmodel: model.joblib\n{LOCAL}monitoring: {{retrain: {retrain}}}\n")
    for content, words in (
        (None, "No such file"),
        ("{", "is not JSON"),
        ("[]", "is no JSON object"),
        ("[" * 70_000, "more than 64 KiB"),
    ):
        if content is not None:
            (folder / "body.json").write_text(content)
        assert run(["render", "--target", "monitoring"]) == 2
        assert words in (said := capsys.readouterr().err) and "mlship.yaml:4:" in said
    (folder / "body.json").write_text('{"ref": "main", "why": "{alert}"}')
    assert run(["render", "--target", "monitoring", "-q"]) == 0
    relay = json.loads((folder / "rendered/monitoring/relay.json").read_text())
    assert (folder / "rendered/monitoring/relay.py").exists()
    assert (relay["body"], relay["header"]) == ({"ref": "main", "why": "{alert}"}, "PRIVATE-TOKEN")
    (folder / "mlship.yaml").write_text(f"name: churn\nmodel: model.joblib\n{LOCAL}")
    assert run(["render", "--target", "monitoring", "-q"]) == 0
    assert not list((folder / "rendered/monitoring").glob("relay*"))


def test_where_nothing_can_be_written_that_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "mlship.yaml").write_text(f"name: churn\nmodel: model.joblib\n{LOCAL}")
    (folder / "taken").write_text("a file")
    assert run(["render", "--target", "monitoring", "--out", "taken"]) == 5
    assert "or name another one with --out" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["deploy", "--yes"], ["status"]])
def test_nothing_runs_on_monitoring(folder: Path, capsys: pytest.CaptureFixture[str], command: list[str]) -> None:
    (folder / "mlship.yaml").write_text("name: churn\nmodel: model.joblib\n")
    assert run([*command, "--target", "monitoring"]) == 2
    said = capsys.readouterr().err
    assert "monitoring is no place where a model runs" in said and "fix    mlship render --target monitoring" in said


def test_monitoring_is_of_no_image(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["render", "--target", "monitoring", "--image", "abc"]) == 2
    assert "--image" in capsys.readouterr().err
