"""The files for Prometheus, Alertmanager, Grafana and the relay, by name. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlship.config.project import Project
from mlship.config.schema import Retrain
from mlship.flows.monitoring.alerts import Alert, share
from mlship.flows.monitoring.dashboard import dashboard
from mlship.flows.monitoring.promql import duration
from mlship.flows.monitoring.scrape import Discovery, Scrape
from mlship.templating import render, templates_folder

RELAY = "relay.py"
OF_RELAY = ("relay.json", RELAY)
# What GitHub's `POST /repos/OWNER/NAME/dispatches` takes: event_type, and at most ten properties.
GITHUB: Mapping[str, Any] = {
    "event_type": "mlship-retrain",
    "client_payload": {
        name: f"{{{name}}}" for name in ("project", "environment", "model", "alert", "summary", "since", "fingerprint")
    },
}


@dataclass(frozen=True)
class Watch:
    """All that is rendered. left_out: alerts that cannot be, and why. body: what the relay sends, None for GitHub's form."""

    project: Project
    scrape: Scrape
    alerts: tuple[Alert, ...]
    left_out: tuple[str, ...]
    has_drift: bool
    body: Any = None

    # -- what the templates print ------------------------------------------------------------------------------------------------

    @property
    def job(self) -> str:
        return self.scrape.job

    @property
    def interval(self) -> str:
        return duration(self.scrape.interval_s)

    @property
    def scheme(self) -> str:
        return self.scrape.scheme

    @property
    def key(self) -> str | None:
        return self.scrape.key

    @property
    def ca(self) -> str | None:
        return self.scrape.ca

    @property
    def addresses(self) -> list[str]:
        return list(self.scrape.addresses)

    @property
    def labels(self) -> Mapping[str, str]:
        return self.scrape.labels

    @property
    def discovery(self) -> Discovery | None:
        return self.scrape.discovery

    @property
    def alertmanagers(self) -> list[str]:
        return [self.project.monitoring.alertmanager.rpartition("//")[2]]

    @property
    def alertmanager_scheme(self) -> str:
        return "https" if self.project.monitoring.alertmanager.startswith("https://") else "http"

    @property
    def webhook(self) -> str | None:
        return self.project.monitoring.webhook

    @property
    def webhook_token(self) -> str | None:
        return self.project.monitoring.webhook_token

    @property
    def group_wait(self) -> str:
        """Alerts that begin together are told together."""
        return duration(min(2 * self.scrape.interval_s, 30.0))

    @property
    def retrain(self) -> Retrain | None:
        return self.project.monitoring.retrain

    @property
    def relay_url(self) -> str:
        return f"http://127.0.0.1:{self.retrain.port}/alerts" if self.retrain else ""


def documents(watch: Watch) -> dict[str, bytes]:
    """By file name."""
    names = ("prometheus.yml", "alerts.yml", "alerts_test.yml", "alertmanager.yml")
    found = {name: render(f"monitoring/{name}.j2", watch) for name in names}
    board = dashboard(watch.scrape, watch.has_drift, _limits(watch.project))
    found["dashboard.json"] = _json(board)
    if watch.retrain is not None:
        found["relay.json"] = _json(_relay(watch.retrain, watch.body))
        found[RELAY] = (templates_folder() / "monitoring" / RELAY).read_bytes()
    return found


def _limits(project: Project) -> dict[str, float]:
    alerts = project.monitoring.alerts
    slow = project.slo.p99 or alerts.p95
    return {"errors": share(alerts.errors), "drift": alerts.drift, **({"slow": slow.seconds} if slow else {})}


def _relay(retrain: Retrain, body: Any) -> dict[str, Any]:
    return {
        "listen": "127.0.0.1",
        "port": retrain.port,
        "url": retrain.url,
        "token": retrain.token,
        "header": retrain.header,
        "once_in_s": retrain.once_in.seconds,
        "timeout_s": 10,
        "attempts": 3,
        "backoff_s": 1,
        "state": "relay-state.json",
        "body": GITHUB if body is None else body,
    }


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=True) + "\n").encode()
