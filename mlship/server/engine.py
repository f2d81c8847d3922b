"""When and where the model runs: at once for quick calls, in one thread for slow ones, so that health always answers."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue

from mlship.server import log
from mlship.server.board import IN_FLIGHT, Slot
from mlship.server.messages import Call, Response, refused, refused_input
from mlship.server.problems import InputError, ModelFailed

INLINE_S = 0.010  # the loop may stand still for so long without a caller noticing
SMOOTHING = 0.2  # share of the newest measurement

Done = Callable[[Response], None]


class Pace:
    """What a call is expected to cost: so much for the call, so much for each row beyond the first."""

    def __init__(self) -> None:
        self._call_s: float | None = None
        self._row_s: float | None = None

    def expected_s(self, rows: int) -> float:
        """Seconds for a call with so many rows; infinite before the first measurement."""
        if self._call_s is None:
            return float("inf")
        return self._call_s + (self._call_s if self._row_s is None else self._row_s) * (rows - 1)

    def learn(self, rows: int, seconds: float) -> None:
        """Takes one measured call into account."""
        if rows == 1 or self._call_s is None:
            per_call = seconds / rows if self._call_s is None else seconds
            self._call_s = _smoothed(self._call_s, per_call)
        else:
            self._row_s = _smoothed(self._row_s, max(0.0, seconds - self._call_s) / (rows - 1))


class Job:
    """A call that waits for the model's thread or runs in it."""

    __slots__ = ("call", "done", "is_over", "timer")

    def __init__(self, call: Call, done: Done) -> None:
        self.call = call
        self.done = done
        self.is_over = False
        self.timer: asyncio.TimerHandle | None = None

    def cancel(self) -> None:
        """Nobody waits any more: what has not begun is not computed."""
        self.is_over = True
        if self.timer is not None:
            self.timer.cancel()


class Engine:
    """Runs calls one at a time, in the order in which they came."""

    def __init__(self, loop: asyncio.AbstractEventLoop, slot: Slot, timeout_s: float) -> None:
        self._loop = loop
        self._slot = slot
        self._timeout_s = timeout_s
        self._pace: dict[int, Pace] = {}
        self._jobs: SimpleQueue[Job] = SimpleQueue()
        self._waiting = 0
        self._running_since: float | None = None
        self._thread: threading.Thread | None = None

    def run(self, call: Call, done: Done) -> Response | Job:
        """The answer, when the call is quick; else a job whose answer is given to `done` in the loop's thread."""
        if not self._waiting and self.pace(call).expected_s(call.batch.count) <= INLINE_S:
            return self.answer(call)
        job = Job(call, done)
        job.timer = self._loop.call_later(self._timeout_s, self._expire, job)
        self._waiting += 1
        self._slot.cells[IN_FLIGHT] = self._waiting
        self._start_thread()
        self._jobs.put(job)
        return job

    def answer(self, call: Call) -> Response:
        """Runs the call here and now; every way in which it can fail becomes an answer."""
        request_id = call.request.id
        started = time.perf_counter()
        try:
            outcome = call.model.run(call.batch)
            seconds = time.perf_counter() - started
            self.pace(call).learn(call.batch.count, seconds)
            waited_s = started - call.request.started
            self._slot.count_batch(1, call.batch.count, waited_s, seconds, call.model.index)
            return call.respond(outcome)
        except InputError as error:
            return refused_input(error, request_id)
        except ModelFailed as error:
            log.failure("model_failed", error.__cause__ or error, request_id=request_id, model=call.model.entry.name)
            return refused(
                500, "the model failed on this input; the log has the reason under this request id", request_id, "model_failed"
            )
        except Exception as error:
            log.failure("answer_failed", error, request_id=request_id, model=call.model.entry.name)
            return refused(500, "the answer could not be written; the log has the reason under this request id", request_id)

    def pace(self, call: Call) -> Pace:
        """What is known of the cost of the call's model."""
        return self._pace.setdefault(id(call.model), Pace())

    def running_s(self) -> float:
        """For how long the thread has been in one call; 0 when it is idle."""
        since = self._running_since
        return 0.0 if since is None else time.monotonic() - since

    def _start_thread(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="model", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            response = None
            if not job.is_over:
                self._running_since = time.monotonic()
                response = self.answer(job.call)
                self._running_since = None
            try:
                self._loop.call_soon_threadsafe(self._finish, job, response)
            except RuntimeError:  # the loop has closed: the worker is going
                return

    def _finish(self, job: Job, response: Response | None) -> None:
        self._waiting -= 1
        self._slot.cells[IN_FLIGHT] = self._waiting
        if job.is_over or response is None:
            return
        job.cancel()
        job.done(response)

    def _expire(self, job: Job) -> None:
        job.is_over = True
        message = f"no answer within {self._timeout_s:g} s (serve.request_timeout)"
        job.done(refused(504, message, job.call.request.id))


def _smoothed(before: float | None, newest: float) -> float:
    return newest if before is None else before + SMOOTHING * (newest - before)
