"""bench as a flow: a runner that answers as the load would takes its place, so that nothing is loaded."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlship.bench.generator import Given, Seen
from mlship.bench.question import Address, Question
from mlship.bench.records import Benches
from mlship.errors import Exit, MlshipError
from mlship.flows.bench import address_of, bench
from mlship.flows.benching.answers import Judge, attempt
from mlship.flows.benching.subject import Subject, Wishes, promise
from mlship.flows.context import Context
from mlship.home import Home
from mlship.progress import Silent
from mlship.releases.release import Proof
from mlship.runner import Command, LocalRunner, Result

RIGHT, WRONG = b'{"predictions": [1.0], "took": 3}', b'{"predictions": [1.5]}'
PROOF = Proof(([1], [2]), {"predictions": [1.0, 2.0]}, {"rtol": 1e-6})
SUBJECT = Subject(
    "churn", "", "local", "sha256:" + "ab" * 32, "churn", PROOF, "/predict", 1, "http://127.0.0.1:9", "r1-abc", p99_s=0.05
)
CAPACITY, SERVICE_S = 100.0, 0.01


class Loaded(LocalRunner):
    """An M/M/1 server of CAPACITY requests a second. body: what it answers to the first row under an open loop."""

    def __init__(self, body: bytes = RIGHT) -> None:
        self.body = body
        self.jobs: list[dict[str, Any]] = []

    def run(self, command: Command) -> Result:
        job = json.loads(command.stdin or b"")
        self.jobs.append(job)
        return Result(0, json.dumps(self._seen(job)).encode(), b"")

    def _seen(self, job: dict[str, Any]) -> dict[str, Any]:
        rate = job["rate"] or min(job["connections"], 1.2) / 1.2 * CAPACITY
        spare = CAPACITY - job["rate"]
        shares = [(index + 0.5) / 400 for index in range(400)]
        times = [-math.log(1 - share) / spare if job["rate"] else SERVICE_S for share in shares] if spare > 0 else []
        body = self.body if job["rate"] else RIGHT
        lost = {"never answered": 400} if spare <= 0 else {}
        return {
            "times": times, "seconds": 400 / rate, "sent": 400, "answers": [[0, 200, body.decode(), 400 - sum(lost.values())]],
            "lost": lost, "uncompared": 0, "cpu_s": 0.4 / rate, "late_s": 0.0,
        }  # fmt: skip


@pytest.fixture
def context_of(tmp_path: Path) -> Callable[[Loaded], Context]:
    return lambda runner: Context(Home(tmp_path), runner, Silent(), {}, tmp_path, lambda: 1_795_000_000.0, "anna pid 1")


def test_a_live_release_is_measured_and_kept(context_of: Callable[[Loaded], Context]) -> None:
    context = context_of(runner := Loaded())
    done = bench(context, SUBJECT, Wishes(seconds=2))
    measured = done.measured
    assert done.exit == Exit.OK and done.is_kept
    assert (measured.throughput, measured.connections, measured.requests) == (pytest.approx(100), 2, 400)
    assert measured.service_time_sample == (SERVICE_S,) * 500
    assert measured.mean_s == pytest.approx(SERVICE_S)
    (rested,) = [job for job in runner.jobs if job.get("rest_s")]
    assert rested["rest_s"] == pytest.approx(2.5 * SERVICE_S)
    assert (measured.rested_sample, measured.rested_mean_s) == ((SERVICE_S,) * 500, pytest.approx(SERVICE_S))
    p99 = math.log(400 / 4.5)  # of 400 quantiles, in mean response times
    assert measured.highest_rate == pytest.approx(100 - p99 / 0.05, abs=1)
    assert [one.rate for one in measured.curve] == pytest.approx([20, 40, 60, 80])
    assert (measured.memory_bytes, measured.cold_start_s, measured.throughput_one_core) == (None, None, None)
    assert Benches(context.home.images).of_content(SUBJECT.content) == measured
    assert len({job["seed"] for job in runner.jobs if job["rate"]}) == sum(job["rate"] > 0 for job in runner.jobs)


def test_a_promise_that_no_rate_keeps_has_its_own_exit(context_of: Callable[[Loaded], Context]) -> None:
    done = bench(context_of(Loaded()), replace(SUBJECT, p99_s=0.04), Wishes())
    assert (done.exit, done.measured.highest_rate, len(done.attempts)) == (Exit.DRIFTED, None, 2)


def test_where_a_lone_caller_waits_too_long_no_rate_is_tried(context_of: Callable[[Loaded], Context]) -> None:
    done = bench(context_of(Loaded()), replace(SUBJECT, p99_s=0.009), Wishes())
    assert (done.exit, done.attempts) == (Exit.DRIFTED, ())


def test_wrong_answers_under_load_are_counted_and_not_kept(context_of: Callable[[Loaded], Context]) -> None:
    context = context_of(Loaded(WRONG))
    done = bench(context, replace(SUBJECT, p99_s=None), Wishes())
    assert (done.exit, done.is_kept, done.answers.wrong) == (Exit.BUILD_FAILED, False, 4 * 400)
    assert done.answers.complaints == ("predictions[0] is 1.5, the build's own answer is 1.0",)
    assert Benches(context.home.images).of_content(SUBJECT.content) is None


def test_a_server_that_is_wrong_from_the_start_is_not_loaded_further(context_of: Callable[[Loaded], Context]) -> None:
    runner = Loaded()
    subject = replace(SUBJECT, proof=replace(PROOF, answers={"predictions": [7.0, 2.0]}))
    with pytest.raises(MlshipError, match="400 of 400 requests were not answered as the build answered them") as failed:
        bench(context_of(runner), subject, Wishes())
    assert failed.value.exit is Exit.BUILD_FAILED
    assert len(runner.jobs) == 2


def test_what_left_this_machine_is_not_kept(context_of: Callable[[Loaded], Context]) -> None:
    context = context_of(Loaded())
    far = replace(SUBJECT, endpoint="https://ml.example.org/churn")
    assert far.is_far and not SUBJECT.is_far
    done = bench(context, far, Wishes())
    assert not done.is_kept and "not kept for the estimate" in done.notes[0]
    assert Benches(context.home.images).of_content(SUBJECT.content) is None


def test_refusals_and_losses_are_endless_and_not_wrong() -> None:
    judge = Judge([Question(([1],), {"predictions": [1.0]})], PROOF)
    seen = Seen((0.1, 0.2), 1.0, 6, (Given(0, 200, RIGHT, 2), Given(0, 503, b"", 3)), {"the connection was closed": 1})
    assert judge.judge(seen) == 0
    assert (judge.counted.refused, judge.counted.lost) == (3, 1)
    assert judge.counted.complaints == ("1 requests: the connection was closed",)
    told = attempt(seen, 6, 0)
    assert (told.p50_s, told.p99_s, told.requests, told.is_clean) == (math.inf, math.inf, 6, True)


@pytest.mark.parametrize("status", [400, 401, 404, 422, 500])
def test_any_other_status_is_a_wrong_answer(status: int) -> None:
    judge = Judge([Question(([1],), {"predictions": [1.0]})], PROOF)
    assert judge.judge(Seen((), 1.0, 2, (Given(0, status, b"", 2),))) == 2
    assert judge.counted.complaints == (f"POST /predict answers {status}",)


@pytest.mark.parametrize(("said", "seconds"), [("", None), ("p99=40ms", 0.04), ("p99 = 2s", 2.0)])
def test_a_promise_is_read(said: str, seconds: float | None) -> None:
    assert promise(said) == seconds


@pytest.mark.parametrize("said", ["40ms", "p95=40ms", "p99=", "p99=40", "p99=0ms", "p99=fast", "=1s"])
def test_what_is_no_promise_is_refused(said: str) -> None:
    with pytest.raises(MlshipError) as failed:
        promise(said)
    assert failed.value.exit is Exit.USAGE and failed.value.fix == "write --slo p99=40ms"


def test_an_endpoint_becomes_an_address() -> None:
    assert address_of("http://[::1]:8080") == Address("::1", 8080)
    assert address_of("https://ml.example.org/churn/") == Address("ml.example.org", 443, True, "/churn")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "localhost", "[::1]"])
def test_loopback_is_this_machine(host: str) -> None:
    assert not replace(SUBJECT, endpoint=f"http://{host}:1").is_far


@pytest.mark.parametrize("host", ["10.0.0.1", "127.0.0.1.example.org", "127.example.org", "0.0.0.0", "localhost.evil"])
def test_everything_else_is_not(host: str) -> None:
    assert replace(SUBJECT, endpoint=f"http://{host}:1").is_far


class Silenced(Loaded):
    """A server that takes every connection and answers none."""

    def _seen(self, job: dict[str, Any]) -> dict[str, Any]:
        nothing = {"times": [], "answers": [], "lost": {}} if job["connections"] > 1 else {}
        return {**super()._seen(job), **nothing}


def test_a_server_that_answers_nobody_at_once_is_told_so(context_of: Callable[[Loaded], Context]) -> None:
    with pytest.raises(MlshipError, match="nothing was answered in") as raised:
        bench(context_of(Silenced()), SUBJECT, Wishes())
    assert raised.value.exit == Exit.BUILD_FAILED
