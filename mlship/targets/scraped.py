"""What one copy counted, read from its /metrics: only what callers ask for. Pure, and the same for every target.

Health checks, scrapes and descriptions are counted by the server, too; among the latencies they would make a model that
nobody calls look fast, and a slow one faster than it is.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping

from mlship.targets.base import Measures, Request, Spread, Spreads

# The routes of serve.protocols that reach the model, by the names under which the server counts them.
PREDICTIONS = (
    *("/predict", "/predict/{model}", "/v2/models/{model}/infer", "/v1/models/{model}:predict"),
    *("/invocations", "/vertex/predict", "/score"),
)
REQUESTS = "mlship_requests_total"
HISTOGRAM = "mlship_request_seconds"
DRIFT_BIN = "mlship_drift_bin"
METRICS = Request("GET", "/metrics?bins", accept="text/plain", timeout_s=5.0)  # bins: also the counts that drift is made of

_LINE = re.compile(r"(?P<name>[A-Za-z_:][A-Za-z0-9_:]*)(?:\{(?P<labels>.*)\})?\s+(?P<value>\S+)(?:\s+\d+)?")
_LABEL = re.compile(r'([A-Za-z_][A-Za-z0-9_]*)="((?:[^"\\]|\\.)*)"')


def counted(text: str) -> Measures:
    """The text format of Prometheus, version 0.0.4. Lines of anything else are passed over."""
    requests = errors = seconds = 0.0
    buckets: dict[float, float] = {}
    sides: dict[tuple[str, str, str], dict[str, dict[str, float]]] = {}
    for name, labels, value in samples(text):
        if name == DRIFT_BIN:
            key = labels.get("model", ""), labels.get("of", ""), _unescaped(labels.get("feature", ""))
            sides.setdefault(key, {}).setdefault(labels.get("side", ""), {})[labels.get("bin", "")] = value
        if labels.get("route") not in PREDICTIONS:
            continue
        if name == REQUESTS:
            requests += value
            errors += value if labels.get("status", "").startswith("5") else 0.0
        elif name == f"{HISTOGRAM}_bucket" and "le" in labels:
            bound = float(labels["le"])
            buckets[bound] = buckets.get(bound, 0.0) + value
        elif name == f"{HISTOGRAM}_sum":
            seconds += value
    spreads = {key: Spread(side.get("reference", {}), side.get("live", {})) for key, side in sides.items()}
    return Measures(requests, errors, buckets, seconds=seconds, spreads=spreads)


def together(one: Spreads, other: Spreads) -> Spreads:
    """Of two copies of a release, whose references are one. Live rows are added up."""
    return {**one, **{key: _added(one.get(key), spread) for key, spread in other.items()}}


def _added(one: Spread | None, other: Spread) -> Spread:
    if one is None:
        return other
    return Spread(one.reference, {name: one.live.get(name, 0.0) + count for name, count in other.live.items()})


def _unescaped(text: str) -> str:
    """Of the text format: a backslash, a quote and the end of a line stand behind a backslash."""
    return re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], text)


def samples(text: str) -> Iterator[tuple[str, Mapping[str, str], float]]:
    """Name, labels and value of every line that has a finite one."""
    for line in text.splitlines():
        found = _LINE.fullmatch(line.strip()) if not line.startswith("#") else None
        if found is None:
            continue
        try:
            value = float(found["value"])
        except ValueError:
            continue
        if math.isfinite(value):
            yield found["name"], dict(_LABEL.findall(found["labels"] or "")), value
