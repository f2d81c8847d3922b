"""Every alert and every panel that `render --target monitoring` writes reads what a server exports."""

from __future__ import annotations

import re
from pathlib import Path

from wired import Wire, prediction, request

from mlship.config.load import load_project
from mlship.flows.monitoring.alerts import BUCKETS, alerts_of
from mlship.flows.monitoring.dashboard import dashboard
from mlship.flows.monitoring.scrape import scrape_of
from mlship.server import board

YAML = "name: churn\nmodel: model.joblib\ntargets: {local: {port: 8123}}\nslo: {p99: 30ms}\nmonitoring: {alerts: {p95: 20ms}}\n"
DRIFT = {"mlship_drift_psi": {"model", "of", "feature"}, "mlship_drift_rows": {"model"}}  # only of models with a reference


def exported() -> dict[str, set[str]]:
    """Labels by metric, of a server that answered, failed and refused."""
    wire = Wire()
    wire.send(prediction(2), prediction(-2), request("GET", "/nowhere"))
    wire.connect()
    wire.send(request("GET", "/metrics"))
    found: dict[str, set[str]] = {}
    for line in wire.answers[0].body.decode().splitlines():
        if not line.startswith("#"):
            name, _, labels = line.partition("{")
            found.setdefault(name.partition(" ")[0], set()).update(re.findall(r'(\w+)="', labels))
    return found


def test_every_expression_reads_what_a_server_exports() -> None:
    known = {**exported(), "up": set(), **DRIFT}
    project = load_project(Path("mlship.yaml"), text=YAML)
    scrape = scrape_of(project)
    panels = dashboard(scrape, True, {})["panels"]
    exprs = [one.expr for one in alerts_of(project, scrape, None, True)]
    exprs += [line["expr"] for panel in panels for line in panel.get("targets", ())]
    assert len(exprs) > 25
    for expr in exprs:
        found = re.findall(r'([a-z][a-z0-9_]*)\{((?:[^"{}]|"(?:[^"\\]|\\.)*")*)\}', expr)
        assert found
        for name, matchers in found:
            assert set(re.findall(r'(\w+)=~?"', matchers)) <= {"job", *known[name]}, expr


def test_limits_are_told_from_the_bounds_that_the_server_has() -> None:
    assert BUCKETS == board.BUCKETS
