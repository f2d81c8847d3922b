"""What bench says to people and to machines."""

import json
import math
from dataclasses import replace

from mlship.bench.machine import Processor
from mlship.bench.records import Measured
from mlship.bench.search import Attempt
from mlship.cli import payloads
from mlship.cli.answer import Answer
from mlship.cli.session import envelope
from mlship.cli.views.bench import bench_text, latency, rate
from mlship.flows.bench import Benched
from mlship.flows.benching.answers import Counted
from mlship.flows.benching.subject import Subject
from mlship.releases.release import Proof

SUBJECT = Subject("churn", "prod", "local", "sha256:c41e07f2a1b3", "churn", Proof(), "/predict", p99_s=0.04)
CURVE = (Attempt(18.0, 0.0112, 0.0204), Attempt(72.0, 0.021, math.inf))
MEASURED = Measured(
    "churn", "this machine", 0.0, "0.1.0", Processor("AMD EPYC", 2), 2, 1, 1000, 0.011, (0.01, 0.011, 0.014), 90.04, 45.4, 8,
    0.04, 71.3, CURVE, 98_000_000, 0.51,
)  # fmt: skip
TEXT = """\
churn/prod  a server of the built image, on this machine  content c41e07f2a1b3
AMD EPYC, 2 cores; 2 workers, 1 row a request, each answer checked
  alone       mean 11 ms  p50 11 ms  p90 14 ms  p99 14 ms  (1000 requests of one caller)
  peak        90 rps      8 callers at once
  one core    45.4 rps
  at 20%      18 rps      p50 11.2 ms  p99 20.4 ms
  at 80%      72 rps      p50 21 ms  p99 -
  memory      98 MB       all processes, shared pages once
  cold start  0.5 s       to the first right answer
p99 within 40 ms is kept up to 71.3 rps
3 requests were refused when there was more than it can do
kept for the estimate of costs  (1 min 2 s)"""


def test_a_bench_is_told() -> None:
    done = Benched(SUBJECT, MEASURED, Counted(refused=3), is_kept=True, seconds=62)
    assert bench_text(done) == TEXT


def test_times_after_rests_have_a_line_of_their_own() -> None:
    rested = replace(MEASURED, rested_mean_s=0.015, rested_sample=(0.014, 0.015, 0.016))
    assert "  after rests  mean 15 ms  p50 15 ms  p90 16 ms  p99 16 ms\n" in bench_text(Benched(SUBJECT, rested))


def test_wrong_answers_are_told_loudly() -> None:
    said = bench_text(Benched(SUBJECT, MEASURED, Counted(wrong=1, complaints=("predictions[0] is 1.5",))))
    assert "WRONG 1 answer\n  predictions[0] is 1.5\nnot kept" in said


def test_a_promise_that_is_not_kept_says_how_far_it_is() -> None:
    missed = Benched(SUBJECT, replace(MEASURED, highest_rate=None))
    assert "p99 within 40 ms is kept at no rate: a caller who is alone has 14 ms" in bench_text(missed)
    tried = replace(missed, attempts=(Attempt(1.8, 0.01, 0.2),))
    assert "p99 within 40 ms is kept at no rate: at 1.8 rps it is 200 ms" in bench_text(tried)


def test_machines_get_null_for_what_never_came() -> None:
    done = Benched(SUBJECT, MEASURED, attempts=CURVE)
    said = json.loads(envelope("bench", Answer(payload=payloads.benched(done), exit=int(done.exit))))
    assert (said["ok"], said["exit"], said["bench"]["highest_rate"]) == (True, 0, 71.3)
    assert said["attempts"][1] == {"rate": 72.0, "p50_s": 0.021, "p99_s": None, "is_clean": True, "requests": 0}
    assert "key" not in json.dumps(said)


def test_times_and_rates_have_three_digits() -> None:
    told = [latency(seconds) for seconds in (0, 9.96e-7, 1.84e-4, 0.0201, 1.239, 75, math.inf)]
    assert told == ["0 us", "0.996 us", "184 us", "20.1 ms", "1.24 s", "75 s", "-"]
    assert [rate(rps) for rps in (None, 0.123, 48.71, 99.96, 12_399.6)] == [
        "-",
        "0.123 rps",
        "48.7 rps",
        "100 rps",
        "12,400 rps",
    ]
