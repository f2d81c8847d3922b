"""When and where the model runs: all calls that have come by now in one, at once where it is quick, else in one thread.

Drain batching: the first call of a turn of the loop asks for `flush` with call_soon. uvloop reads every readable socket before it
runs what call_soon was given (libuv: poll, then idle handles), so flush finds all that had arrived, and nobody waits for a timer.
Where that is more than a call of one model gains from, `run` computes it before the rest is read.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue

from mlship.server.batching.admission import Backlog, Correction, Overhead, allowed_s, longest_call_s
from mlship.server.batching.pace import MOST
from mlship.server.batching.queue import Job, Lane, Queue
from mlship.server.batching.together import apart, together
from mlship.server.board import IN_FLIGHT, Slot
from mlship.server.core import ServedModel
from mlship.server.messages import Call, Request, Response, refused

KNOWN_S = 0.02  # for so long what a row and a request cost is taken as it was
EXPECTED_S = 0.05  # shorter waits than this say little about how right the expectation was
INLINE_S = 0.010  # the loop may stand still for so long without a caller noticing
SHARE_S = 5e-7  # of what a call costs, that each of its requests may bear: beside reading and answering one it is nothing
LEAST = 0.1  # of the time of a call in the thread is the model's own, at least: it may wait for something else meanwhile
FEW = 64  # requests, at least, that are read before any is answered
# Seconds of a turn, after which what it reads is answered at its end. Who is answered asks again: of more than 1024 such callers libuv
# reads on up to 48 times (uv__io_poll), and timers, new connections and what the thread has answered would wait for that.
TURN_S = 1.0

Seen = tuple[Sequence[Call], float, float]  # one call of a model: what it answered, when it began, seconds


@dataclass(frozen=True)
class Batching:
    """max_rows: of one call of a model. max_delay_s: how long a call may wait for others, for models that gain from it."""

    max_rows: int = MOST
    max_delay_s: float = 0.0


class Engine:
    """Runs the calls of each model one after another, in the order in which they came."""

    def __init__(self, loop: asyncio.AbstractEventLoop, slot: Slot, timeout_s: float, batching: Batching | None = None) -> None:
        self._loop = loop
        self._slot = slot
        self._timeout_s = timeout_s
        self._batching = batching or Batching()
        self._queues: dict[int, Queue] = {}
        self._armed: asyncio.Handle | None = None
        self._is_delayed = False
        self._groups: SimpleQueue[tuple[Queue, list[Job]]] = SimpleQueue()
        self._running_since: float | None = None
        self._thread: threading.Thread | None = None
        self._overhead = Overhead()
        self.correction = Correction()
        self._answered = 0
        self._computed_s = self._used_s = 0.0
        self._row_s = self._known_until = 0.0
        self._aside_since = self._aside_used_s = 0.0  # when the thread began to be looked at; what the loop had used then
        self._aside_share = 1.0  # of that time, what the loop did not use
        self._longest_s = longest_call_s(timeout_s)
        self._idle_s = allowed_s(timeout_s)
        self.ease_s = 0.0  # of work that may still come before it must be looked at whether to refuse
        self.one_s = 0.0  # of it, a request of one row
        self.settled = 0  # how often it was looked at what waits
        self.began = math.inf  # time.perf_counter, when this turn's first call came; infinite before it, and after each `run`
        self._turn_began = 0.0  # as `began`, of those that `flush` is asked for

    def submit(self, job: Job) -> None:
        """Takes a job with its call; the job is told the answer, in the loop's thread, never before this returns."""
        queue = self._queues.get(id(job.call.model)) or self.queue(job.call.model)
        if queue.lane is not None:
            queue.lane.hand_over()  # they came before
        queue.append(job)
        self.ease_s -= self._overhead.each_s + job.call.batch.count * self._row_s
        if job.call.request.timeout_s:
            self._time(job)
        if self._armed is None:
            self._arm(job.call.request.started)
        elif self.began == math.inf:
            self.began = job.call.request.started
        elif self._is_delayed and queue.rows >= self._batching.max_rows:
            self._armed.cancel()
            self._armed, self._is_delayed = self._loop.call_soon(self.flush), False

    def opens(self, queue: Queue, lane: Lane, now: float, is_alone: bool = False) -> bool:
        """Whether requests may wait in the lane from now on, until the next `flush` runs it. now: time.perf_counter.

        is_alone: nobody else can have sent anything, so the caller of this calls `flush` at once.
        """
        if queue.lane is not None or queue.rows or queue.is_running or self._batching.max_delay_s:
            return False
        queue.lane = lane
        if self._armed is None and not is_alone:
            self._armed, self._turn_began = self._loop.call_soon(self.flush), now
        if self.began == math.inf:
            self.began = now
        return True

    def enough(self, queue: Queue) -> int:
        """So many requests of one row that further ones are worth little: each bears next to nothing of the call, and of what was read
        of them much is still in the processor's caches. Of 4,000 callers a row of a linear model takes 16 us so, and took 35."""
        pace = queue.pace
        if pace.call_s == math.inf:
            return FEW
        count = min(max(FEW, math.ceil(pace.call_s / SHARE_S)), MOST)
        is_right = count <= queue.most_rows() and self._is_quick(queue.takes_s(count))
        return count if is_right else MOST

    def joins(self, queue: Queue, requests: int, rows: int) -> bool:
        """Whether one call, here and now, is right for so many requests with so many rows."""
        is_one = requests == 1 or (queue.model.is_joined and rows <= queue.most_rows())
        return is_one and self._is_quick(queue.takes_s(rows))

    def queue(self, model: ServedModel) -> Queue:
        """The waiting calls of a model, and what a call of it costs."""
        queue = self._queues.get(id(model))
        if queue is None:
            queue = self._queues[id(model)] = Queue(model, self._batching.max_rows, self._longest_s)
        return queue

    def backlog(self) -> Backlog:
        """The work that waits or runs, of all models: by their cost lines, and by what requests cost beside them."""
        rows, jobs, seconds, running_s, call_s, alone_s = 0, 0, 0.0, 0.0, 0.0, 0.0
        for queue in self._queues.values():
            own = queue.backlog()
            if own.rows:
                rows += own.rows
                jobs += queue.waiting
                seconds += own.seconds
                running_s += queue.running_s()
                call_s, alone_s = max(call_s, own.call_s), max(alone_s, own.alone_s)
        # a call that takes longer than it should is believed to take as long again
        seconds += abs(running_s - self.running_s()) + jobs * self._overhead.each_s
        factor = self.correction.factor
        return Backlog(rows, seconds * factor, call_s * factor, alone_s)

    def flush(self) -> None:
        """Computes what waits; stops after a while, so that the loop reads what has come since, and goes on then."""
        self._armed = None
        self._run(list(self._queues.values()))

    def run(self, queue: Queue) -> None:
        """As `flush`, in the midst of a turn, for one model: a call of another may still gain from what is read next."""
        if time.perf_counter() - self._turn_began < TURN_S:
            self._run([queue])

    def _run(self, queues: list[Queue]) -> None:
        now = time.perf_counter()
        until = now + INLINE_S
        if len(queues) > 1:
            queues.sort(key=Queue.oldest)  # who is asked much must not starve the others
        for queue in queues:
            lane = queue.lane
            if lane is not None:
                if now < until and now - lane.oldest <= self._timeout_s:
                    self._answered += lane.run()
                else:
                    lane.hand_over()
                now = time.perf_counter()
            if queue.jobs:
                self._refuse_late(queue, now)
            while queue.rows and not queue.is_running and now < until:
                jobs = queue.take()
                self._start(queue, jobs)
                now = time.perf_counter()
                self._answered += 0 if queue.is_running else len(jobs)
        self.began = math.inf
        self._settle(now)

    def _note_overhead(self) -> None:
        """What requests cost since the last time. Processor time: a busy machine that halts us is no cost of theirs."""
        used_s = time.thread_time()
        if self._answered and self._used_s:  # what was used before the first turn was used to start
            self._overhead.learn(self._answered, used_s - self._used_s - self._computed_s)
        self._used_s, self._computed_s, self._answered = used_s, 0.0, 0

    def too_late(self, request: Request) -> Response:
        """The answer where there is none in time."""
        said = "X-Request-Timeout-Ms" if request.timeout_s else "serve.request_timeout"
        return refused(504, f"no answer within {request.timeout_s or self._timeout_s:g} s ({said})", request.id)

    def running_s(self) -> float:
        """For how long the thread has been in one call; 0 when it is idle."""
        since = self._running_since
        return 0.0 if since is None else time.monotonic() - since

    def computed(self, queue: Queue, requests: int, rows: int, waited_s: float, seconds: float) -> None:
        """As `measured`, for requests that nothing was before. waited_s: their mean, from the last byte to the call."""
        self._computed_s += seconds
        queue.pace.learn(rows, seconds)
        self._slot.count_batch(requests, rows, max(0.0, waited_s), seconds, queue.model.index)

    def measured(self, calls: Sequence[Call], started: float, seconds: float) -> None:
        """One call of the model has answered so many calls, in the loop's thread."""
        self._computed_s += seconds
        self._learn(calls, started, seconds, seconds)

    def _learn(self, calls: Sequence[Call], started: float, seconds: float, own_s: float) -> None:
        """The cost line learns, the counters count; in the loop's thread only, where both are read. own_s: of the seconds."""
        rows, all_s, waited_s, expected_s = 0, 0.0, 0.0, 0.0
        for call in calls:
            rows += call.batch.count
            one_s = started - call.request.started
            all_s += one_s
            if call.request.expected_s > EXPECTED_S:
                expected_s += call.request.expected_s
                waited_s += one_s
        if expected_s:
            self.correction.learn(expected_s, waited_s)
        model = calls[0].model
        self.queue(model).pace.learn(rows, own_s)
        self._slot.count_batch(len(calls), rows, max(0.0, all_s / len(calls)), seconds, model.index)

    def _arm(self, began: float) -> None:
        delay_s = self._batching.max_delay_s
        self._is_delayed = bool(delay_s)
        self._armed = self._loop.call_later(delay_s, self.flush) if delay_s else self._loop.call_soon(self.flush)
        self.began = self._turn_began = began

    def _settle(self, now: float) -> None:
        """What must wait for the thread gets its end of time; what need not is computed in the next turn."""
        self.settled += 1
        rows = 0
        for queue in self._queues.values():
            rows += queue.rows + queue.running_rows + (queue.lane.waiting if queue.lane is not None else 0)
            if queue.is_running:
                for job in queue.untimed():
                    self._time(job)
            elif queue.rows and self._armed is None:
                self._armed = self._loop.call_soon(self.flush)
                self.began = self._turn_began = now
        self._slot.cells[IN_FLIGHT] = rows
        if now > self._known_until:
            self._note_overhead()
            self._row_s = max((queue.each_s() for queue in self._queues.values()), default=0.0)
            self._known_until = now + KNOWN_S
        self.one_s = self._overhead.each_s + self._row_s
        self.ease_s = self._ease_s() if rows else self._idle_s

    def _ease_s(self) -> float:
        backlog = self.backlog()
        return allowed_s(self._timeout_s, backlog.call_s, backlog.alone_s) - backlog.seconds

    def _start(self, queue: Queue, jobs: list[Job]) -> None:
        calls = [job.call for job in jobs]
        rows = sum(call.batch.count for call in calls)
        answers = None
        if self._is_quick(queue.takes_s(rows)):
            answers = together(queue.model, calls, self.measured)
            if answers is None and self._is_quick(queue.takes_s(1) * 2 * len(calls)):
                answers = apart(queue.model, calls, self.measured)
        if answers is None:
            self._hand_over(queue, jobs, rows)
            return
        for job, response in zip(jobs, answers, strict=True):
            job.finish(response)

    def _hand_over(self, queue: Queue, jobs: list[Job], rows: int) -> None:
        """Gives the jobs to the thread."""
        for job in jobs:
            self._time(job)
        if not any(each.is_running for each in self._queues.values()):
            self._aside_since, self._aside_used_s = time.perf_counter(), time.thread_time()
        queue.is_running, queue.running_rows = True, rows
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="model", daemon=True)
            self._thread.start()
        self._groups.put((queue, jobs))

    def _is_quick(self, seconds: float) -> bool:
        return seconds <= INLINE_S

    def _work(self) -> None:
        while True:
            queue, jobs = self._groups.get()
            jobs = [job for job in jobs if not job.is_over]
            answers: list[Response] = []
            seen: list[Seen] = []
            if jobs:
                self._running_since = time.monotonic()
                calls = [job.call for job in jobs]
                measured = partial(_note, seen)
                answers = together(queue.model, calls, measured) or apart(queue.model, calls, measured)
                self._running_since = None
            try:
                self._loop.call_soon_threadsafe(self._finish, queue, jobs, answers, seen)
            except RuntimeError:  # the loop has closed: the worker is going
                return

    def _refuse_late(self, queue: Queue, now: float) -> None:
        for job in queue.late(now, self._timeout_s):
            self._slot.count_refusal("deadline")
            self._expire(job)

    def _finish(self, queue: Queue, jobs: list[Job], answers: list[Response], seen: list[Seen]) -> None:
        queue.is_running, queue.running_rows = False, 0
        share = self._share_of_the_thread(sum(seconds for _, _, seconds in seen))
        for calls, started, seconds in seen:
            queue.aside.learn(sum(call.batch.count for call in calls), seconds)
            self._learn(calls, started, seconds, seconds * share)
        for job, response in zip(jobs, answers, strict=True):
            job.finish(response)
        self._answered += len(jobs)
        self._settle(time.perf_counter())

    def _share_of_the_thread(self, seconds: float) -> float:
        """Of the time since it was last looked at, what the loop did not use. seconds: of it, those of the calls.

        What requests cost beside the model is counted apart (`Overhead`). In the time that a call took it would be counted twice, and
        as rows' own: the loop has most to do while the largest calls run. Where two models' calls ended in one turn, the time since
        the first was seen is the loop's alone, and says nothing of the second.
        """
        now, used_s = time.perf_counter(), time.thread_time()
        took_s = now - self._aside_since
        if 0 < seconds <= took_s:
            self._aside_share = max(LEAST, 1 - (used_s - self._aside_used_s) / took_s)
            self._aside_since, self._aside_used_s = now, used_s
        return self._aside_share

    def _time(self, job: Job) -> None:
        if job.timer is None:
            request = job.call.request
            left_s = request.started + (request.timeout_s or self._timeout_s) - time.perf_counter()
            job.timer = self._loop.call_later(max(0.0, left_s), self._expire, job)

    def _expire(self, job: Job) -> None:
        if job.is_waiting:
            self._slot.count_refusal("deadline")
        job.finish(self.too_late(job.call.request))


def _note(seen: list[Seen], calls: Sequence[Call], started: float, seconds: float) -> None:
    seen.append((calls, started, seconds))
