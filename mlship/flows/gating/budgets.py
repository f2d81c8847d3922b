"""Gates of what a server takes: memory, time to start, latency under a short load. Pure but for the load itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mlship.bench.generator import Generator, Seen
from mlship.bench.quantiles import quantile
from mlship.errors import MlshipError
from mlship.flows.gating.results import Result
from mlship.targets.gates import QUANTILES
from mlship.units import Duration, Memory, size_text

SECONDS = 3.0
CALLERS = 2
LONGEST_S = 30.0  # of a load that waits for as many answers as it takes to tell
TAIL = 10  # answers beyond the quantile that it takes to tell it
CHANCE = 0.001  # of so many late answers, or more, from a server that keeps its promise: below that it does not


@dataclass(frozen=True)
class Promise:
    """metric: p50_ms, p90_ms, p95_ms or p99_ms. limit_s: seconds."""

    metric: str
    limit_s: float


def promise(said: str) -> Promise | None:
    """`p95_ms=40`, `p95=40ms` -> 0.04 s. Raises MlshipError with exit 2."""
    if not said:
        return None
    name, _, text = (part.strip() for part in said.partition("="))
    metric = name if name.endswith("_ms") else f"{name}_ms"
    try:
        limit = float(text) / 1000 if name.endswith("_ms") else Duration.parse(text).seconds
    except ValueError:
        limit = 0.0
    if metric not in QUANTILES or not 0 < limit < math.inf:
        raise MlshipError(
            f"--slo {said[:60]} is no promise that can be measured", fix="write --slo p95_ms=40, or --slo p99=40ms"
        )
    return Promise(metric, limit)


def memory_limit(said: str) -> Memory | None:
    """Raises MlshipError with exit 2."""
    try:
        return Memory.parse(said) if said else None
    except ValueError as error:
        raise MlshipError(f"--max-memory {said[:60]}: {error}", fix="write --max-memory 500MB") from None


def start_limit(said: str) -> Duration | None:
    """Raises MlshipError with exit 2."""
    try:
        return Duration.parse(said) if said else None
    except ValueError as error:
        raise MlshipError(f"--max-start {said[:60]}: {error}", fix="write --max-start 5s") from None


def memory_result(used: int | None, limit: Memory) -> Result:
    """used: bytes of all processes after the other gates asked them."""
    wanted = f"<= {size_text(limit.bytes)}"
    if used is None:
        why = "this system does not tell what a process and its children use"
        return Result("memory", "inconclusive", limit=wanted, why=why, fix="run mlship test on Linux")
    measured = f"{size_text(used)}, all processes"
    if used <= limit.bytes:
        return Result("memory", "pass", "", measured, wanted)
    fix = "a smaller model or model.engine: auto, fewer serve.workers; or a larger --max-memory"
    return Result("memory", "fail", "", measured, wanted, f"the server uses {size_text(used)}, wanted {wanted}", fix)


def start_result(took_s: float, limit: Duration) -> Result:
    """took_s: from the start of the server to ready."""
    measured, wanted = f"{took_s:.2f} s to ready", f"<= {limit.seconds:g} s"
    if took_s <= limit.seconds:
        return Result("start", "pass", "", measured, wanted)
    fix = "a smaller model, fewer packages (model.engine: auto); or a larger --max-start"
    return Result("start", "fail", "", measured, wanted, f"ready after {took_s:.2f} s, wanted {wanted}", fix)


def load(generator: Generator, wanted: Promise) -> Seen:
    """A few callers who ask again when they are answered, until it can be told. Raises MlshipError with exit 13."""
    return generator.closed(CALLERS, SECONDS, _least(wanted), LONGEST_S)


def slo_result(seen: Seen, wanted: Promise) -> Result:
    """Requests that were lost or refused count as never answered. Too few to tell the quantile may still tell that it is late."""
    failed = sum(seen.lost.values()) + sum(given.count for given in seen.given if given.status != 200)
    times: Sequence[float] = (*seen.times, *(math.inf,) * failed)
    share = QUANTILES[wanted.metric]
    value = quantile(times, share)
    limit = f"<= {wanted.limit_s * 1000:g} ms"
    measured = f"{_ms(value)} of {len(times)} requests, {CALLERS} callers" + (f", {failed} failed" if failed else "")
    least, late = _least(wanted), sum(time > wanted.limit_s for time in times)
    if len(times) < least and _chance(late, len(times), 1 - share) >= CHANCE:
        why = f"{len(times)} of the {least} requests that it takes to tell {wanted.metric}"
        return Result("slo", "inconclusive", wanted.metric, measured, limit, why, "mlship bench --seconds 30")
    if value <= wanted.limit_s:
        return Result("slo", "pass", wanted.metric, measured, limit)
    fix = "mlship bench shows where the time goes; more workers, a smaller model, or a limit that it can keep"
    return Result("slo", "fail", wanted.metric, measured, limit, f"{wanted.metric} is {_ms(value)}, wanted {limit}", fix)


def _least(wanted: Promise) -> int:
    return math.ceil(round(TAIL / (1 - QUANTILES[wanted.metric]), 6))


def _chance(late: int, count: int, share: float) -> float:
    """Of `late` or more out of `count`, where each is late with this share: the binomial distribution's upper tail."""
    return math.fsum(
        math.comb(count, found) * share**found * (1 - share) ** (count - found) for found in range(late, count + 1)
    )


def _ms(seconds: float) -> str:
    ms = seconds * 1000
    return "no answer" if not math.isfinite(ms) else f"{ms:.3g} ms" if ms < 1000 else f"{ms:.0f} ms"
