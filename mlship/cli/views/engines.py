"""What computes a model's answers, how much sooner, and how that was proved."""

from __future__ import annotations

from collections.abc import Mapping

from mlship.frameworks.engine_choice import ORIGINAL, EngineFacts


def engine_rows(engines: Mapping[str, EngineFacts]) -> list[list[str]]:
    """One row a model; its name where there are several."""
    several = len(engines) > 1
    return [
        ["engine", f"{name}: {engine_text(engine)}" if several else engine_text(engine)] for name, engine in engines.items()
    ]


def engine_text(engine: EngineFacts) -> str:
    """`numpy, one row 9.1 times as fast (8 us, not 73 us), 64 rows 3.0 times; equal on 412 rows (numbers to 2.2e-16)`."""
    if engine.name == ORIGINAL:
        return f"original ({engine.reason})" if engine.reason else ORIGINAL
    speeds = ", ".join(_speed(rows, *pair) for rows, pair in sorted(engine.seconds.items(), key=lambda item: int(item[0])))
    return f"{engine.name}{f', {speeds}' if speeds else ''}; {_parity(engine)}"


def _speed(rows: str, original: float, other: float) -> str:
    what = "one row" if rows == "1" else f"{rows} rows"
    return f"{what} {_times(original / other)} ({_short(other)}, not {_short(original)})"


def _times(ratio: float) -> str:
    return f"{ratio:.0f} times as fast" if ratio >= 10 else f"{ratio:.1f} times as fast"


def _parity(engine: EngineFacts) -> str:
    refused = f", {engine.refused} of them refused by both" if engine.refused else ""
    numbers = f"numbers within {engine.difference:.1g}" if engine.difference else "to the last bit"
    return f"equal on {engine.rows} rows{refused}, {numbers}"


def _short(seconds: float) -> str:
    """`8 us`, `2.3 ms`."""
    return f"{seconds * 1e6:.0f} us" if seconds < 1e-3 else f"{seconds * 1e3:.1f} ms"
