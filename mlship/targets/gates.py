"""Whether a new release does well enough: gates against what was measured. Pure, and the same for every target."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mlship.config.gates import Gate
from mlship.targets.base import Measures

Verdict = Literal["pass", "fail", "inconclusive"]

QUANTILES: Mapping[str, float] = {"p50_ms": 0.5, "p90_ms": 0.9, "p95_ms": 0.95, "p99_ms": 0.99}


@dataclass(frozen=True)
class Judged:
    """One gate. text: `p95 22 ms < 40`. why: what is wrong or missing, empty when it passed."""

    verdict: Verdict
    text: str
    why: str = ""


@dataclass(frozen=True)
class Judgement:
    """All gates together: one that fails outweighs one that is inconclusive."""

    parts: tuple[Judged, ...] = ()

    @property
    def verdict(self) -> Verdict:
        found = {part.verdict for part in self.parts}
        return "fail" if "fail" in found else "inconclusive" if "inconclusive" in found else "pass"

    @property
    def why(self) -> str:
        """What made the verdict, for people."""
        return "; ".join(dict.fromkeys(part.why for part in self.parts if part.verdict == self.verdict and part.why))

    @property
    def text(self) -> str:
        """`p95 22 ms < 40   errors 0/812 < 0.5 %  pass`."""
        shown = "   ".join(part.text for part in self.parts)
        return f"{shown}  {self.verdict}" if shown else "no gates"


def judge(gates: Iterable[Gate], seen: Measures, min_requests: int) -> Judgement:
    """The measured gates. seen: what the new release's copies counted in the time that is judged."""
    return Judgement(tuple(_judged(gate, seen, max(min_requests, 1)) for gate in gates if gate.is_measured))


def judge_change(gates: Iterable[Gate], change: float | None) -> Judgement:
    """The gates that need no callers. change: how far the sample's predictions moved, None where they cannot be compared."""
    return Judgement(tuple(_judged_change(gate, change) for gate in gates if not gate.is_measured))


def between(earlier: Measures, later: Measures) -> Measures:
    """What was counted from `earlier` to `later`; all of `later` where the counters began anew in between."""
    counts = {bound: later.buckets[bound] - earlier.buckets.get(bound, 0.0) for bound in later.buckets}
    requests, errors = later.requests - earlier.requests, later.errors - earlier.errors
    if min(requests, errors, *counts.values()) < 0:
        return later
    return Measures(requests, errors, counts, later.rps, max(later.seconds - earlier.seconds, 0.0))


def quantile_s(buckets: Mapping[float, float], share: float) -> float:
    """The latency that `share` of the requests keep, in seconds; linear inside a bucket, as Prometheus' histogram_quantile.

    Infinity when it lies above the last finite bound; NaN when nothing was counted.
    """
    bounds = sorted(buckets)
    total = buckets[bounds[-1]] if bounds else 0.0
    if total <= 0:
        return math.nan
    rank, below, lower = share * total, 0.0, 0.0
    for bound in bounds:
        if buckets[bound] >= rank:
            if math.isinf(bound):
                return math.inf
            return lower + (bound - lower) * (rank - below) / max(buckets[bound] - below, 1e-12)
        below, lower = buckets[bound], bound
    return math.inf


def measures_to_plain(measures: Mapping[str, Measures]) -> dict[str, Any]:
    """As records keep them: JSON has no numbers for keys."""
    return {
        release: {
            "requests": counted.requests,
            "errors": counted.errors,
            "buckets": {str(bound): count for bound, count in counted.buckets.items()},
            "seconds": counted.seconds,
        }
        for release, counted in measures.items()
    }


def measures_from_plain(plain: Mapping[str, Any], release: str) -> Measures:
    """What records say of one release; nothing counted where they do not name it."""
    said = dict(plain.get(release, {}))
    buckets = {float(bound): count for bound, count in said.pop("buckets", {}).items()}
    return Measures(**said, buckets=buckets)


def _judged(gate: Gate, seen: Measures, min_requests: int) -> Judged:
    if gate.metric == "requests":
        return _judged_requests(gate, seen)
    if gate.metric == "error_rate":
        return _judged_errors(gate, seen, min_requests)
    return _judged_latency(gate, seen, min_requests)


def _judged_requests(gate: Gate, seen: Measures) -> Judged:
    """Too few may become enough: that is for a person to wait for, and no fault of the release."""
    text = f"requests {seen.requests:.0f} {gate.wanted}"
    if gate.holds(seen.requests):
        return Judged("pass", text)
    why = f"requests is {seen.requests:.0f}, wanted {gate.wanted}"
    return Judged("inconclusive" if gate.wants_more else "fail", text, why)


def _judged_errors(gate: Gate, seen: Measures, min_requests: int) -> Judged:
    """So many errors that no further good answer could save it fail at once, however few requests there were."""
    text = f"errors {seen.errors:.0f}/{seen.requests:.0f} {gate.wanted}"
    at_best = seen.errors / max(seen.requests, min_requests)
    if not gate.holds(at_best) and (seen.requests >= min_requests or not gate.wants_more):
        rate = seen.errors / seen.requests if seen.requests else 1.0
        why = f"error_rate is {gate.text(rate)} ({seen.errors:.0f} of {seen.requests:.0f}), wanted {gate.wanted}"
        return Judged("fail", text, why)
    if seen.requests < min_requests:
        return Judged("inconclusive", text, _too_few(seen.requests, min_requests))
    return Judged("pass", text)


def _judged_latency(gate: Gate, seen: Measures, min_requests: int) -> Judged:
    label = gate.metric.removesuffix("_ms")
    counted = max(seen.buckets.values(), default=0.0)
    if counted < min_requests:
        return Judged("inconclusive", f"{label} of {counted:.0f} requests", _too_few(counted, min_requests))
    if gate.metric == "mean_ms" and not seen.seconds:
        return Judged("inconclusive", "mean unknown", "this target does not tell how long requests took together")
    value = _latency_ms(gate.metric, seen, counted)
    shown = gate.text(value) if math.isfinite(value) else _beyond(seen)
    text = f"{label} {shown} {gate.wanted}"
    return (
        Judged("pass", text) if gate.holds(value) else Judged("fail", text, f"{gate.metric} is {shown}, wanted {gate.wanted}")
    )


def _latency_ms(metric: str, seen: Measures, counted: float) -> float:
    if metric == "mean_ms":
        return seen.seconds / counted * 1000
    return quantile_s(seen.buckets, QUANTILES[metric]) * 1000


def _beyond(seen: Measures) -> str:
    highest = max((bound for bound in seen.buckets if math.isfinite(bound)), default=0.0)
    return f"over {highest * 1000:g} ms"


def _judged_change(gate: Gate, change: float | None) -> Judged:
    if change is None:
        why = "the sample's predictions of both releases cannot be compared"
        return Judged("inconclusive", "prediction_change unknown", why)
    text = f"prediction_change {gate.text(change)} {gate.wanted}"
    if gate.holds(change):
        return Judged("pass", text)
    return Judged("fail", text, f"prediction_change is {gate.text(change)}, wanted {gate.wanted}")


def _too_few(counted: float, wanted: int) -> str:
    return f"{counted:.0f} of the {wanted} requests that it takes to judge"
