"""bench: loads a release, or a server of the built image, until it is known how fast it is; what was learned is kept."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

import mlship
from mlship.bench.generator import Generator, Seen
from mlship.bench.machine import Processor, allowed_cores, this_processor
from mlship.bench.quantiles import quantile, quantiles
from mlship.bench.question import Address, questions, raw
from mlship.bench.records import Benches, Measured
from mlship.bench.search import OUTER, Attempt, Kept, Peak, highest_rate, peak, seconds_for
from mlship.errors import Exit, MlshipError
from mlship.flows.benching.answers import Counted, Judge, attempt
from mlship.flows.benching.server import Recipe, Started, served
from mlship.flows.benching.subject import Subject, Wishes
from mlship.flows.context import Context

QUANTILES = 500  # of the service time that are kept
LONE_LEAST = 1000  # answers that they are drawn from, unless that takes longer than generator.LONGEST_S
RESTED_LEAST = 400  # the same after rests
RESTS = 2.5  # service times that a rest lasts on average: as long as one server has nothing to do that is 40 % busy
RESTED_LONGEST_S = 30.0
WARM_S = 0.5  # before anything is measured: the first answers of a model are its slowest
CURVE = (0.2, 0.4, 0.6, 0.8)  # of the peak: rates of an open loop that are always measured
LEAST, LONGEST = 300, 10  # requests of an open loop, and how many times as long as said it may last for them
PEAK_LEAST = 100  # answers of a closed loop: of fewer, those that the end cuts off would count
FULL = 0.9  # of a core: a load that takes more may be what is slow


@dataclass(frozen=True)
class Benched:
    """attempts: rates that were tried for the promise, in their order. is_kept: beside the image, for the estimate of costs."""

    subject: Subject
    measured: Measured
    answers: Counted = Counted()
    attempts: tuple[Attempt, ...] = ()
    notes: tuple[str, ...] = ()
    is_kept: bool = False
    seconds: float = 0.0

    @property
    def exit(self) -> Exit:
        if self.answers.wrong:
            return Exit.BUILD_FAILED
        missed = self.measured.slo_p99_s is not None and self.measured.highest_rate is None
        return Exit.DRIFTED if missed else Exit.OK


def bench(context: Context, subject: Subject, wishes: Wishes) -> Benched:
    """Loads it for some minutes at most, and keeps what was learned where the load did not leave this machine.

    Raises MlshipError with exit 5 when the first answers are wrong already, 13 when nothing answers.
    """
    began = time.perf_counter()
    course = _Course(context, subject, wishes)
    done = course.of(address_of(subject.endpoint)) if subject.endpoint else _of_built(context, subject, wishes, course)
    if not done.answers.wrong and not subject.is_far:
        Benches(context.home.images).write(subject.content, done.measured)
        done = replace(done, is_kept=True)
    return replace(done, seconds=time.perf_counter() - began)


def _of_built(context: Context, subject: Subject, wishes: Wishes, course: _Course) -> Benched:
    """With all cores, then a moment with one alone."""
    recipe = Recipe(subject.content, subject.settings, course.first, course.judge.is_right, subject.startup_s)
    context.progress.step("start", "the built image, on this machine")
    with served(context, recipe) as started:
        done = course.of(started.address, started)
    if len(allowed_cores()) < 2:
        return replace(done, measured=replace(done.measured, throughput_one_core=done.measured.throughput))
    context.progress.step("start", "again, on one core")
    with served(context, recipe, one_core=True) as started:
        alone = course.peak(started.address, 1).rps
    return replace(done, measured=replace(done.measured, throughput_one_core=alone), answers=course.judge.counted)


class _Course:
    """The measurements of a server, one after the other."""

    def __init__(self, context: Context, subject: Subject, wishes: Wishes) -> None:
        self._context = context
        self._subject = subject
        self._wishes = wishes
        self._asked = questions(subject.proof.instances, subject.proof.answers, wishes.rows)
        self.judge = Judge(self._asked, subject.proof)
        self._seed = 0

    def first(self, address: Address) -> bytes:
        """The first request, as it is sent."""
        return raw(self._asked[0], address, self._subject.path, self._subject.key)

    def of(self, address: Address, started: Started | None = None) -> Benched:
        """All of them. started: where the server is bench's own."""
        subject, p99_s = self._subject, self._subject.p99_s
        workers = subject.workers or max(1, len(allowed_cores()))
        lone = self.lone(address)
        rested = self.rested(address, _mean(lone))
        most = self.peak(address, workers)

        def at(rate: float) -> Attempt:
            return self.open(address, rate)

        curve = tuple(at(share * most.rps) for share in CURVE)
        is_possible = p99_s is not None and quantile(lone.times, 0.99) <= p99_s
        kept = highest_rate(at, p99_s, most.rps * OUTER) if p99_s is not None and is_possible else Kept(None)
        measured = Measured(
            model=subject.model,
            where=subject.endpoint or "this machine",
            measured=self._context.clock(),
            mlship=mlship.__version__,
            machine=Processor("", 0) if subject.is_far else this_processor(),
            workers=workers,
            rows=len(self._asked[0].rows),
            requests=len(lone.times),
            mean_s=_mean(lone),
            service_time_sample=quantiles(lone.times, QUANTILES),
            rested_mean_s=_mean(rested),
            rested_sample=quantiles(rested.times, QUANTILES),
            throughput=most.rps,
            connections=most.connections,
            slo_p99_s=p99_s,
            highest_rate=kept.rate,
            curve=curve,
            memory_bytes=started.memory() if started else None,
            cold_start_s=started.cold_start_s if started else None,
            busy=most.busy,
        )
        return Benched(subject, measured, self.judge.counted, kept.attempts, self._notes(measured))

    def lone(self, address: Address) -> Seen:
        """One caller, who asks again when it is answered. Raises MlshipError with exit 5 where an answer is wrong."""
        self._context.progress.step("alone", "one caller")
        generator = self._generator(address)
        generator.closed(1, min(WARM_S, self._wishes.seconds))
        seen = generator.closed(1, self._wishes.seconds, LONE_LEAST)
        if self.judge.judge(seen) or not seen.times:
            raise MlshipError(
                f"{self.judge.wrong or seen.sent} of {seen.sent} requests were not answered as the build answered them",
                fix="mlship verify; where callers are judged: mlship bench --key NAME",
                exit=Exit.BUILD_FAILED,
                code="wrong-answers",
                details=self.judge.counted.complaints,
            )
        return seen

    def rested(self, address: Address, service_s: float) -> Seen:
        """One caller, who leaves the server in peace for a while before each request."""
        self._context.progress.step("rested", "one caller, who pauses")
        rest_s = RESTS * service_s
        seen = self._generator(address).rested(rest_s, self._wishes.seconds, RESTED_LEAST, RESTED_LONGEST_S)
        self.judge.judge(seen)
        return seen

    def peak(self, address: Address, workers: int) -> Peak:
        """With as many callers as it takes, who ask again at once."""
        generator = self._generator(address)

        def measure(connections: int) -> Peak:
            self._context.progress.step("peak", f"{connections} callers at once")
            seen = generator.closed(connections, self._wishes.seconds, PEAK_LEAST, self._wishes.seconds * LONGEST)
            self.judge.judge(seen)
            return Peak(seen.throughput, connections, seen.busy)

        found = peak(measure, workers)
        if not found.rps:
            what = f"nothing was answered in {self._wishes.seconds:g} s"
            raise MlshipError(what, fix="mlship bench --seconds 30", exit=Exit.BUILD_FAILED, code="no-answers")
        return found

    def open(self, address: Address, rate: float) -> Attempt:
        """Callers who come when they come."""
        self._seed += 1
        seconds = seconds_for(rate, self._wishes.seconds, LEAST, LONGEST)
        self._context.progress.step("rate", f"{rate:.4g} requests a second for {seconds:.3g} s")
        seen = self._generator(address).open(rate, seconds, self._seed)
        return attempt(seen, rate, self.judge.judge(seen))

    def _generator(self, address: Address) -> Generator:
        subject = self._subject
        return Generator(
            self._context.runner, address, [raw(question, address, subject.path, subject.key) for question in self._asked]
        )

    def _notes(self, measured: Measured) -> tuple[str, ...]:
        found = []
        if measured.busy > FULL:
            found.append(f"the load itself took {measured.busy:.0%} of a core at the peak: the server may be faster than this")
        if self.judge.counted.uncompared:
            found.append(
                f"{self.judge.counted.uncompared} answers differ from all that were compared, and were not compared themselves"
            )
        if self._subject.is_far:
            found.append("the times hold the way there and back; they are not kept for the estimate of costs")
        return tuple(found)


def _mean(seen: Seen) -> float:
    return sum(seen.times) / len(seen.times) if seen.times else 0.0


def address_of(endpoint: str) -> Address:
    """Pure."""
    said = urlsplit(endpoint)
    is_tls = said.scheme == "https"
    return Address(said.hostname or "", said.port or (443 if is_tls else 80), is_tls, said.path.rstrip("/"))
