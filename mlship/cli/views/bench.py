"""bench: what a server does under load."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mlship.bench.quantiles import quantile
from mlship.bench.records import Measured
from mlship.bench.search import Attempt
from mlship.cli.views.text import columns, lines, place, seconds_text, short_content
from mlship.flows.bench import Benched
from mlship.flows.benching.answers import Counted
from mlship.units import size_text


def bench_text(result: Benched) -> str:
    subject, measured = result.subject, result.measured
    where = f"{subject.release} at {subject.endpoint}" if subject.endpoint else "a server of the built image, on this machine"
    processor = f"{measured.machine.model}, {measured.machine.cores} cores; " if measured.machine.cores else ""
    return lines(
        f"{place(subject.project, subject.environment)}  {where}  content {short_content(subject.content)}",
        f"{processor}{_many(measured.workers, 'worker')}, {_many(measured.rows, 'row')} a request, each answer checked",
        columns([row for row in _rows(measured) if row]),
        *_promise(result),
        *_failed(result.answers),
        *(f"note: {note}" for note in result.notes),
        _end(result),
    )


def _rows(measured: Measured) -> list[list[str]]:
    sample = measured.service_time_sample
    alone = _shares(sample)
    return [
        ["alone", f"mean {latency(measured.mean_s)}", f"{alone}  ({measured.requests} requests of one caller)"],
        ["after rests", f"mean {latency(measured.rested_mean_s)}", _shares(measured.rested_sample)]
        if measured.rested_sample
        else [],
        ["peak", rate(measured.throughput), f"{_many(measured.connections, 'caller')} at once"],
        ["one core", rate(measured.throughput_one_core), ""] if measured.throughput_one_core is not None else [],
        *(_attempt(one, measured.throughput) for one in measured.curve),
        ["memory", size_text(measured.memory_bytes), "all processes, shared pages once"] if measured.memory_bytes else [],
        ["cold start", seconds_text(measured.cold_start_s), "to the first right answer"]
        if measured.cold_start_s is not None
        else [],
    ]


def _shares(sample: Sequence[float]) -> str:
    return "  ".join(f"p{share:g} {latency(quantile(sample, share / 100))}" for share in (50, 90, 99))


def _attempt(one: Attempt, peak: float) -> list[str]:
    return [f"at {one.rate / peak:.0%}", rate(one.rate), f"p50 {latency(one.p50_s)}  p99 {latency(one.p99_s)}"]


def _promise(result: Benched) -> list[str]:
    measured = result.measured
    if measured.slo_p99_s is None:
        return []
    promised = f"p99 within {latency(measured.slo_p99_s)}"
    if measured.highest_rate is None:
        tried = min(result.attempts, key=lambda one: one.rate, default=None)
        seen = (
            f"at {rate(tried.rate)} it is {latency(tried.p99_s)}"
            if tried
            else f"a caller who is alone has {latency(quantile(measured.service_time_sample, 0.99))}"
        )
        return [f"{promised} is kept at no rate: {seen}"]
    return [f"{promised} is kept up to {rate(measured.highest_rate)}"]


def _failed(answers: Counted) -> list[str]:
    if answers.wrong:
        return [f"WRONG {_many(answers.wrong, 'answer')}", *(f"  {said}" for said in answers.complaints)]
    kinds = ((answers.refused, "refused when there was more than it can do"), (answers.lost, "never answered"))
    return [f"{count} requests were {what}" for count, what in kinds if count]


def _end(result: Benched) -> str:
    kept = "kept for the estimate of costs" if result.is_kept else "not kept"
    return f"{kept}  ({seconds_text(result.seconds)})"


def latency(seconds: float) -> str:
    """`184 us`, `20.1 ms`, `1.24 s`; `-` where more than it takes were never answered."""
    if not math.isfinite(seconds):
        return "-"
    for factor, unit in ((1e6, "us"), (1e3, "ms")):
        if seconds * factor < 1000:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds:.3g} s"


def rate(rps: float | None) -> str:
    """`12,400 rps`, `48.7 rps`."""
    if rps is None:
        return "-"
    return f"{rps:,.0f} rps" if rps >= 100 else f"{rps:.3g} rps"


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
