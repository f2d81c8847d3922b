"""PromQL as text: every value in it is written by one of these. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from mlship.targets.scraped import PREDICTIONS


def text(value: str) -> str:
    """A string of PromQL: those of JSON are read alike."""
    return json.dumps(value, ensure_ascii=True)


def number(value: float) -> str:
    return f"{value:.12g}"


def duration(seconds: float) -> str:
    """Whole milliseconds at least; Prometheus reads no fractions of a unit."""
    return f"{round(seconds)}s" if seconds == round(seconds) else f"{max(round(seconds * 1000), 1)}ms"


def any_of(values: tuple[str, ...]) -> str:
    """A regular expression that is one of these texts, in the syntax of RE2."""
    return "|".join(re.sub(r"[^A-Za-z0-9_/:-]", lambda found: f"[{found[0]}]", value) for value in values)


def select(metric: str, labels: Mapping[str, str], *more: str) -> str:
    """`metric{job="mlship-churn", route=~"/predict"}`. more: finished matchers."""
    return f"{metric}{{{', '.join([*(f'{name}={text(value)}' for name, value in labels.items()), *more])}}}"


# What callers ask for: the routes that the gates of a canary count, too.
OF_CALLERS = f"route=~{text(any_of(PREDICTIONS))}"
