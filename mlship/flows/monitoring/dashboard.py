"""The dashboard as Grafana's own JSON (schema 38, Grafana 10), built as data. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlship.flows.monitoring.alerts import DRIFT
from mlship.flows.monitoring.promql import OF_CALLERS, number, select
from mlship.flows.monitoring.scrape import Scrape
from mlship.targets.scraped import HISTOGRAM, REQUESTS

SOURCE = {"type": "prometheus", "uid": "${datasource}"}
RATE = "$__rate_interval"  # Grafana's own: never shorter than four scrapes
ACROSS, HEIGHT = 24, 8


@dataclass(frozen=True)
class Panel:
    """lines: (expression, legend), such as `{{status}}`. unit: one of Grafana's names. limit: drawn as a line."""

    title: str
    unit: str
    lines: tuple[tuple[str, str], ...]
    limit: float | None = None


@dataclass(frozen=True)
class Row:
    title: str
    panels: tuple[Panel, ...]


def dashboard(scrape: Scrape, has_drift: bool, limits: Mapping[str, float]) -> dict[str, Any]:
    """limits: by `slow` (seconds), `errors` and `drift`, where there are any."""
    place = f"{scrape.project} ({scrape.environment})" if scrape.environment else scrape.project
    return {
        "uid": hashlib.sha256(scrape.job.encode()).hexdigest()[:16],
        "title": f"mlship: {place}",
        "tags": ["mlship"],
        "timezone": "browser",
        "editable": True,
        "schemaVersion": 38,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [_source_choice()]},
        "annotations": {"list": [_releases(scrape)]},
        "panels": list(_placed(rows(scrape, has_drift, limits))),
    }


def rows(scrape: Scrape, has_drift: bool, limits: Mapping[str, float]) -> tuple[Row, ...]:
    def of(metric: str, *more: str) -> str:
        return select(metric, {"job": scrape.job}, *more)

    def rate(metric: str, *more: str) -> str:
        return f"rate({of(metric, *more)}[{RATE}])"

    def quantile(share: float, metric: str, by: str, *more: str) -> str:
        return f"histogram_quantile({number(share)}, sum by ({by}) ({rate(f'{metric}_bucket', *more)}))"

    good = (OF_CALLERS, 'status_class="2xx"')
    failed, asked = rate(REQUESTS, OF_CALLERS, 'status=~"5.."'), rate(REQUESTS, OF_CALLERS)
    found = [
        Row(
            "Traffic",
            (
                Panel("Requests by status", "reqps", ((f"sum by (status) ({asked})", "{{status}}"),)),
                Panel("Requests by route", "reqps", ((f"sum by (route) ({rate(REQUESTS)})", "{{route}}"),)),
                Panel("Rows by model", "rowsps", ((f"sum by (model) ({rate('mlship_rows_total')})", "{{model}}"),)),
            ),
        ),
        Row(
            "Latency",
            (
                Panel(
                    "Answers",
                    "s",
                    tuple((quantile(share, HISTOGRAM, "le", *good), f"p{share * 100:g}") for share in (0.5, 0.95, 0.99)),
                    limits.get("slow"),
                ),
                Panel("Model, p95", "s", ((quantile(0.95, "mlship_model_seconds", "le, model"), "{{model}}"),)),
                Panel("Queue, p95", "s", ((quantile(0.95, "mlship_queue_seconds", "le, model"), "{{model}}"),)),
            ),
        ),
        Row(
            "Errors",
            (
                Panel("Answered with 5xx", "percentunit", ((f"sum({failed}) / sum({asked})", "5xx"),), limits.get("errors")),
                Panel("Refused", "reqps", ((f"sum by (reason) ({rate('mlship_refusals_total')})", "{{reason}}"),)),
                Panel(
                    "Workers replaced", "short", ((f"sum(increase({of('mlship_worker_restarts_total')}[1h]))", "in an hour"),)
                ),
            ),
        ),
        Row(
            "Saturation",
            (
                Panel("Rows in flight", "short", ((f"sum({of('mlship_rows_in_flight')})", "rows"),)),
                Panel("Open connections", "short", ((f"sum({of('mlship_connections')})", "connections"),)),
                Panel("Rows in a call of the model, mean", "short", ((_mean(rate, "mlship_batch_rows"), "{{model}}"),)),
                Panel("Cores used", "short", ((f"sum by (instance) ({rate('process_cpu_seconds_total')})", "{{instance}}"),)),
                Panel("Memory", "bytes", ((of("process_resident_memory_bytes"), "{{instance}}"),)),
                Panel(
                    "Workers",
                    "short",
                    ((f"sum({of('mlship_workers_ready')})", "ready"), (f"sum({of('mlship_workers')})", "wanted")),
                ),
            ),
        ),
        Row(
            "Releases",
            (
                Panel("Copies by release", "short", ((f"count by (release) ({of('mlship_release_info')})", "{{release}}"),)),
                Panel("Copies that answer", "short", ((f"sum({of('up')})", "up"),)),
                Panel(
                    "Models",
                    "short",
                    ((f"count by (model, engine, sha256) ({of('mlship_model_info')})", "{{model}} {{engine}} {{sha256}}"),),
                ),
            ),
        ),
    ]
    if has_drift:
        shift = Panel(
            "Population stability index", "short", ((of(DRIFT), "{{model}} {{of}} {{feature}}"),), limits.get("drift")
        )
        rows_seen = Panel("Rows compared", "short", ((of("mlship_drift_rows"), "{{model}}"),))
        found.insert(4, Row("Drift", (shift, rows_seen)))
    return tuple(found)


def _mean(rate: Any, metric: str) -> str:
    return f"sum by (model) ({rate(f'{metric}_sum')}) / sum by (model) ({rate(f'{metric}_count')})"


def _placed(found: Sequence[Row]) -> Iterator[dict[str, Any]]:
    """Rows below each other, up to three panels side by side."""
    number, top = 0, 0
    for row in found:
        number += 1
        yield {
            "id": number,
            "type": "row",
            "title": row.title,
            "collapsed": False,
            "panels": [],
            "gridPos": _grid(0, top, ACROSS, 1),
        }
        top += 1
        width = ACROSS // min(len(row.panels), 3)
        for place, panel in enumerate(row.panels):
            number += 1
            yield _panel(panel, number, _grid(place % 3 * width, top + place // 3 * HEIGHT, width, HEIGHT))
        top += -(-len(row.panels) // 3) * HEIGHT


def _panel(panel: Panel, number: int, grid: Mapping[str, int]) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"value": None, "color": "green"}]
    if panel.limit is not None:
        steps.append({"value": panel.limit, "color": "red"})
    custom = {"thresholdsStyle": {"mode": "line" if panel.limit is not None else "off"}}
    return {
        "id": number,
        "type": "timeseries",
        "title": panel.title,
        "datasource": SOURCE,
        "gridPos": dict(grid),
        "fieldConfig": {
            "defaults": {"unit": panel.unit, "min": 0.0, "thresholds": {"mode": "absolute", "steps": steps}, "custom": custom},
            "overrides": [],
        },
        "targets": [
            {"refId": chr(ord("A") + place), "datasource": SOURCE, "expr": expr, "legendFormat": legend, "range": True}
            for place, (expr, legend) in enumerate(panel.lines)
        ],
    }


def _grid(left: int, top: int, width: int, height: int) -> dict[str, int]:
    return {"x": left, "y": top, "w": width, "h": height}


def _source_choice() -> dict[str, Any]:
    return {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "hide": 0}


def _releases(scrape: Scrape) -> dict[str, Any]:
    """A mark where another release begins to answer."""
    info = select("mlship_release_info", {"job": scrape.job})
    return {
        "name": "Releases",
        "datasource": SOURCE,
        "enable": True,
        "iconColor": "blue",
        "expr": f"count by (release) ({info}) unless count by (release) ({info} offset 2m)",
    }
