"""Gates are written as people say them, and what is no gate is answered with one."""

from __future__ import annotations

import re

import pytest

from mlship.config.gates import METRICS, Gate, parse


@pytest.mark.parametrize(
    ("text", "gate"),
    [
        ("p95_ms < 40", Gate("p95_ms", "<", 40.0)),
        ("  p99_ms<=12.5 ", Gate("p99_ms", "<=", 12.5)),
        ("error_rate < 0.5%", Gate("error_rate", "<", 0.005)),
        ("error_rate < 0.005", Gate("error_rate", "<", 0.005)),
        ("prediction_change <= 10 %", Gate("prediction_change", "<=", 0.1)),
        ("prediction_change < 150%", Gate("prediction_change", "<", 1.5)),
        ("requests >= 500", Gate("requests", ">=", 500.0)),
    ],
)
def test_gates_are_read(text: str, gate: Gate) -> None:
    assert parse(text) == gate


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", 'write for example "p95_ms < 40"'),
        ("p95_ms", "is not a gate"),
        ("p95_ms = 40", "is not a gate"),
        ("p95_ms < -4", "is not a gate"),
        ("p95_ms < 1e3", "is not a gate"),
        ("p95_ms < 40 and p99_ms < 50", "is not a gate"),
        ("p95_ms < ٤٠", "is not a gate"),
        ("p95_ms < 40" + " " * 100, "is not a gate"),
        ("\x1b[31mp95 < 4", "<U+001B>"),
        ("p95 < 40", "p95 is not measured; did you mean p95_ms?"),
        ("warmth < 40", "known: p50_ms, p90_ms"),
        ("p95_ms < 40%", "p95_ms is no share of anything; write p95_ms < 40"),
        ("error_rate < 5", "error_rate is a share: 5 would be 500 %; write error_rate < 5%"),
    ],
)
def test_what_is_no_gate_is_answered_with_what_to_write(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        parse(text)


def test_the_limit_itself_holds_only_where_the_operator_says_so() -> None:
    assert [parse(f"p50_ms {sign} 40").holds(40.0) for sign in ("<", "<=", ">", ">=")] == [False, True, False, True]


def test_only_the_comparison_of_predictions_needs_no_callers() -> None:
    assert [name for name in METRICS if not Gate(name, "<", 1).is_measured] == ["prediction_change"]


@pytest.mark.parametrize(
    ("text", "shown"), [("error_rate < 0.5%", "< 0.5 %"), ("p95_ms <= 40", "<= 40"), ("requests > 1000", "> 1000")]
)
def test_what_is_wanted_is_shown_as_it_was_written(text: str, shown: str) -> None:
    assert parse(text).wanted == shown
