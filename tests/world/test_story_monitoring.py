"""What `render --target monitoring` writes, judged by the real Prometheus and Alertmanager while a service is made to fail."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from free_ports import free_port
from shop import Shop
from story import posted
from watchers import (
    Prometheus,
    alertmanager,
    expressions,
    far_side,
    judge,
    judged,
    need_programs,
    prometheus,
    relay,
    selectors,
    wait_for,
)

from mlship.cli.app import run

pytestmark = pytest.mark.world

# 7 pieces take their time, 13 fail
FAULTS = "import time; time.sleep(0.06 if rows[0]['pieces'] == 7 else 0); rows[0]['pieces'] == 13 and 1 / 0"
TOKEN = "token-of-the-story-4711"


def watched(port: int, manager: int, hook: int, side: int) -> str:
    return f"""\
targets: {{local: {{port: {port}}}}}
serve: {{workers: 1}}
slo: {{p99: 25ms}}
monitoring:
  interval: 1s
  alertmanager: 127.0.0.1:{manager}
  webhook: http://127.0.0.1:{side}/hook
  alerts: {{errors: 10%, after: 1s}}
  retrain: {{url: "http://127.0.0.1:{side}/dispatches", token: token, when: [down, drift], port: {hook}}}
"""


@contextmanager
def calling(endpoint: str, pieces: int, rows: int = 1) -> Iterator[None]:
    """Somebody asks all the while."""
    over = threading.Event()

    def ask() -> None:
        while not over.wait(0.02):
            posted(endpoint, json.dumps({"instances": [{"pieces": pieces}] * rows}).encode())

    caller = threading.Thread(target=ask, daemon=True)
    caller.start()
    try:
        yield
    finally:
        over.set()
        caller.join()


@pytest.mark.alone
def test_a_fault_is_seen_told_and_starts_a_pipeline(shop: Shop, tmp_path: Path) -> None:
    need_programs()
    port, manager, hook, own = (free_port() for _ in range(4))
    with far_side(dispatches=4) as side, ExitStack() as running:
        shop.configure({"ON_PREDICT": FAULTS}, watched(port, manager, hook, side.port))
        file = shop.story.folder / "mlship.yaml"
        file.write_text(file.read_text().replace("sample: sample.json}", "sample: sample.json, reference: train.csv}"))
        shop.story.write("train.csv", "pieces\n" + "\n".join(str(row % 6 + 1) for row in range(600)))
        shop.story.mlship("build")
        endpoint = shop.story.mlship("deploy", "--yes")["endpoint"]
        refused = shop.story.refused("deploy", "--target", "monitoring", "--yes")
        assert "monitoring is no place where a model runs" in refused and "mlship render --target monitoring" in refused

        said = shop.story.mlship("render", "--target", "monitoring")
        assert said["left_out"] == []
        folder = Path(said["folder"]) / "monitoring"
        judge(folder)
        token = folder / "token"
        token.write_text(f"{TOKEN}\n")
        logs = tmp_path / "logs"
        logs.mkdir()
        running.enter_context(relay(folder, logs))
        running.enter_context(alertmanager(folder, logs, manager))
        watcher = running.enter_context(prometheus(folder, logs, own))
        wait_for("the target is up", watcher.is_up)

        assert watcher.firing() == side.alerts() == set()

        with calling(endpoint, 7), calling(endpoint, 13), calling(endpoint, 40, rows=50):
            wait_for("slowness and errors are told", lambda: {"MlshipSlowP99", "MlshipErrors"} <= side.alerts())
            # the far side fails four times: three attempts of the relay, and one of what Alertmanager repeats
            wait_for("drift starts a pipeline", lambda: len(side.bodies("/dispatches")) >= 5)
        assert watcher.firing() == side.alerts() == {"MlshipSlowP99", "MlshipErrors", "MlshipDrift"}
        told = [
            alert for body in side.bodies("/hook") for alert in body["alerts"] if alert["labels"]["alertname"] == "MlshipErrors"
        ]
        assert told[0]["labels"]["project"] == "till" and told[0]["annotations"]["next"] == "mlship logs till --target local"
        said = r"[\d.]+% of the requests are answered with 5xx, and 10% is the limit\."
        assert re.fullmatch(said, told[0]["annotations"]["description"])
        sent = [(headers, body) for where, headers, body in side.seen if where == "/dispatches"]
        assert {headers["authorization"] for headers, _ in sent} == {f"Bearer {TOKEN}"}
        words = sent[-1][1]["client_payload"]
        assert sent[-1][1]["event_type"] == "mlship-retrain" and len(words) <= 10
        assert (words["alert"], words["project"], words["model"]) == ("MlshipDrift", "till", "till")

        every_expression_reads_what_is_there(watcher, folder)

        token.write_text("token-of-tomorrow\n")  # read at each call
        for process in shop.processes():
            os.kill(process, signal.SIGKILL)
        wait_for("the end of the service is told", lambda: "MlshipDown" in side.alerts())
        last = wait_for("a pipeline starts", lambda: [one for one in side.seen if one[0] == "/dispatches"][5:])
        assert last[0][1]["authorization"] == "Bearer token-of-tomorrow"
        assert last[0][2]["client_payload"]["summary"] == "till does not answer"
        written = "".join(file.read_text() for file in logs.glob("*.log"))
        assert TOKEN not in written and '"passed on"' in written and "status 500 (attempt 3 of 3)" in written


PRICED = "cost: {budget: {monthly: 20 USD}, traffic: {rps: 5}, service_time: 5ms}\nslo: {p99: 30ms}\nscale: {replicas: 2}\n"
HOSTILE = """it's "a" $HOME {{ $value }} %s \\ # [x]: - é"""
EVERY = {
    "local": "targets: {local: {port: 8123}}\nmonitoring: {alerts: {p95: 1ms, errors: 99.9%, refusals: 0.1%, after: 1h}}\n",
    "copies on aws": f'target: aws\n{PRICED}targets: {{aws: {{region: us-east-1}}}}\nmonitoring: {{addresses: ["a:1", "b:1"]}}\n',
    "requests on aws": (
        f"target: aws\n{PRICED}targets: {{aws: {{region: us-east-1, service: lambda}}}}\n"
        'monitoring: {addresses: ["https://a.example:443"], interval: 2m, alertmanager: "https://am.example:443"}\n'
    ),
    "replicas on docker": 'target: docker\nscale: {replicas: 2..9}\nmonitoring: {alerts: {drift: 3, after: 1s}, webhook: "https://a/b"}\n',
    "hostile": (
        f"monitoring: {{addresses: ['https://a.example:1'], webhook: 'https://a.example/x?${{HOME}}\"{{{{.}}}}', "
        f"ca: {json.dumps(HOSTILE)}, webhook_token: {json.dumps(HOSTILE)}, "
        f"retrain: {{url: 'https://a.example/\"', token: {json.dumps(HOSTILE)}, when: [down, errors]}}}}\n"
    ),
}


@pytest.mark.parametrize("name", EVERY)
def test_the_programs_own_tools_take_every_kind_of_project(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    need_programs()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLSHIP_HOME", str(tmp_path / "home"))
    (tmp_path / "mlship.yaml").write_text(f"name: churn\nmodel: {{uri: model.joblib, reference: train.csv}}\n{EVERY[name]}")
    assert run(["render", "--target", "monitoring", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    folder = Path(said["folder"]) / "monitoring"
    for beside in ("ca.pem", HOSTILE):
        (folder / beside).touch()
    judge(folder)
    rules = [{"record": "seen", "expr": expr} for expr in expressions(folder)]
    (folder / "panels.yml").write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    judged(folder, "promtool", "check", "rules", "panels.yml")
    assert ("MlshipBudget" in (folder / "alerts.yml").read_text()) == ("aws" in name) and said["left_out"] == []
    assert lost_by_grafana(json.loads((folder / "dashboard.json").read_text())) == []
    if name == "hostile":
        [job] = yaml.safe_load((folder / "prometheus.yml").read_text())["scrape_configs"]
        people, _ = yaml.safe_load((folder / "alertmanager.yml").read_text())["receivers"]
        assert job["tls_config"]["ca_file"] == HOSTILE == json.loads((folder / "relay.json").read_text())["token"]
        assert people["webhook_configs"][0]["http_config"]["authorization"]["credentials_file"] == HOSTILE


def lost_by_grafana(board: dict[str, Any]) -> list[str]:
    """What is not in the dashboard any more after Grafana's own types have read and written it: names or values that they do not have."""
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.cog.plugins import register_default_plugins
    from grafana_foundation_sdk.models.dashboard import Dashboard

    register_default_plugins()
    return list(lost(board, json.loads(JSONEncoder().encode(Dashboard.from_json(board)))))


def lost(before: Any, after: Any, at: str = "") -> Iterator[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        for name, value in before.items():
            yield from lost(value, after[name], f"{at}.{name}") if name in after else [f"{at}.{name}"]
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for place, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from lost(one, other, f"{at}[{place}]")
    elif before != after:
        yield at


def every_expression_reads_what_is_there(watcher: Prometheus, folder: Path) -> None:
    """Prometheus can read each, and every metric and label in it was scraped from this very server."""
    names = set(watcher.get("label/__name__/values"))
    found = expressions(folder)
    assert len(found) > 20
    for expr in found:
        watcher.query(expr)
        asked = selectors(expr)
        assert asked, expr
        for selector in asked:
            name = selector.partition("{")[0]
            assert name in names, f"{name} is no metric of the server: {expr}"
            labels = set(re.findall(r'(\w+)=~?"', selector))
            known = {label for series in watcher.get("series", **{"match[]": name}) for label in series}
            assert labels <= known, f"{selector}: {labels - known}"
