"""What computes a model's answers, how much sooner, and how that was proved."""

from __future__ import annotations

from collections.abc import Mapping

from mlship.frameworks.engine_choice import ORIGINAL, Cost, EngineFacts
from mlship.units import size_text


def engine_rows(engines: Mapping[str, EngineFacts]) -> list[list[str]]:
    """One row a model; its name where there are several."""
    several = len(engines) > 1
    return [
        ["engine", f"{name}: {engine_text(engine)}" if several else engine_text(engine)] for name, engine in engines.items()
    ]


def engine_text(engine: EngineFacts) -> str:
    """`numpy, one row 9.1 times as fast (8 us, not 73 us), 64 rows 3.0 times; equal on 412 rows (numbers to 2.2e-16)`; of int8
    what it cost."""
    if engine.name == ORIGINAL:
        return f"original ({engine.reason})" if engine.reason else ORIGINAL
    speeds = ", ".join(_speed(rows, *pair) for rows, pair in sorted(engine.seconds.items(), key=lambda item: int(item[0])))
    proof = _cost(engine.cost) if engine.cost else _parity(engine)
    why_no_other = f" ({engine.reason})" if engine.reason else ""
    return f"{engine.name}{f', {speeds}' if speeds else ''}; {proof}{why_no_other}"


def _cost(cost: Cost) -> str:
    """`file 57 KB, not 205 KB; accuracy 0.9156, before 0.9178, on 450 rows of holdout (0.0022 lost, 0.01 allowed)`."""
    before, after = (size_text(size) for size in cost.sizes)
    lost = f"{cost.loss:.4f} lost" if cost.loss else "nothing lost"
    measured = f"{cost.measure} {cost.after:.4f}, before {cost.before:.4f}, on {cost.rows} rows of holdout"
    return f"file {after}, not {before}; {measured} ({lost}, {cost.allowed:g} allowed)"


def _speed(rows: str, original: float, other: float) -> str:
    what = "one row" if rows == "1" else f"{rows} rows"
    return f"{what} {_times(original / other)} ({_short(other)}, not {_short(original)})"


def _times(ratio: float) -> str:
    return f"{ratio:.0f} times as fast" if ratio >= 10 else f"{ratio:.1f} times as fast"


def _parity(engine: EngineFacts) -> str:
    refused = f", {engine.refused} of them refused by both" if engine.refused else ""
    numbers = f"numbers within {engine.difference:.1g}" if engine.difference else "to the last bit"
    return f"equal on {engine.rows} rows{_kinds(engine.kinds)}{refused}, {numbers}"


def _kinds(kinds: Mapping[str, int]) -> str:
    """` (20 of sample, 400 of reference, 612 generated)`; empty where the record does not tell."""
    said = [f"{count} generated" if kind == "generated" else f"{count} of {kind}" for kind, count in kinds.items()]
    return f" ({', '.join(said)})" if said else ""


def _short(seconds: float) -> str:
    """`8 us`, `2.3 ms`."""
    return f"{seconds * 1e6:.0f} us" if seconds < 1e-3 else f"{seconds * 1e3:.1f} ms"
