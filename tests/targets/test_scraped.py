"""Only what callers asked for counts; the server itself says how its text looks."""

from __future__ import annotations

import math

import pytest

from mlship.targets.base import Measures
from mlship.targets.scraped import counted

TEXT = """# HELP mlship_requests_total Answered requests.
# TYPE mlship_requests_total counter
mlship_requests_total{route="/readyz",status="200"} 900.0
mlship_requests_total{route="/readyz",status="503"} 30.0
mlship_requests_total{route="/predict",status="200"} 7.0
mlship_requests_total{route="/predict",status="422"} 1.0
mlship_requests_total{route="/predict",status="503"} 2.0
mlship_requests_total{route="/invocations",status="200"} 1.0
# TYPE mlship_request_seconds histogram
mlship_request_seconds_bucket{le="0.01",route="/readyz"} 930.0
mlship_request_seconds_bucket{le="+Inf",route="/readyz"} 930.0
mlship_request_seconds_sum{route="/readyz"} 0.5
mlship_request_seconds_bucket{le="0.01",route="/predict"} 4.0
mlship_request_seconds_bucket{le="+Inf",route="/predict"} 10.0
mlship_request_seconds_sum{route="/predict"} 1.25
mlship_request_seconds_bucket{le="0.01",route="/invocations"} 1.0
mlship_request_seconds_bucket{le="+Inf",route="/invocations"} 1.0
mlship_request_seconds_sum{route="/invocations"} 0.25
mlship_model_seconds_bucket{le="+Inf"} 11.0
"""


def test_health_checks_do_not_make_a_model_look_fast() -> None:
    assert counted(TEXT) == Measures(11, 2, {0.01: 5.0, math.inf: 11.0}, seconds=1.5)


@pytest.mark.parametrize("text", ["", "<html>", 'mlship_requests_total{route="/predict"} NaN', 'x{route="/predict"} many'])
def test_what_is_no_such_text_counts_nothing(text: str) -> None:
    assert counted(text) == Measures()
