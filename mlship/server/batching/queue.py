"""Calls of one model that wait to be computed, in the order in which they came."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Iterator
from typing import Protocol

from mlship.server.batching.admission import Backlog
from mlship.server.batching.pace import Pace
from mlship.server.core import ServedModel
from mlship.server.messages import Call, Response


class Lane(Protocol):
    """Requests of one model that wait beside its queue, unread, as long as nothing is in the queue."""

    @property
    def waiting(self) -> int:
        """Requests."""

    @property
    def oldest(self) -> float:
        """When the first had come (time.perf_counter)."""

    def run(self) -> int:
        """Answers them or puts them into the queue; returns how many it has answered."""

    def hand_over(self) -> None:
        """Puts them into the queue."""


class Job:
    """A call that waits or runs. is_over: nobody waits for its answer any more, or it is given."""

    __slots__ = ("call", "is_over", "is_waiting", "queue", "timer")

    call: Call
    queue: Queue

    def __init__(self) -> None:
        self.is_over = False
        self.is_waiting = False
        self.timer: asyncio.TimerHandle | None = None

    def done(self, response: Response) -> None:
        """Called once with the answer, in the loop's thread."""
        raise NotImplementedError

    def cancel(self) -> None:
        """Nobody waits any more: what has not begun is not computed."""
        self.is_over = True
        if self.is_waiting:
            self.queue.forget(self)
        if self.timer is not None:
            self.timer.cancel()

    def finish(self, response: Response) -> None:
        """Gives the answer, unless nobody waits for it."""
        if self.is_over:
            return
        self.is_over = True
        if self.is_waiting:
            self.queue.forget(self)
        if self.timer is not None:
            self.timer.cancel()
        self.done(response)


class Queue:
    """One model's waiting jobs. rows: of those that somebody still waits for. is_running: a group of it is in the thread.

    lane: of requests that came before any that is in the queue; None when there are none. jobs: also those whose callers have gone.
    pace: what a call costs. aside: for how long one in the thread lasts, whatever it waits for.
    """

    def __init__(self, model: ServedModel, max_rows: int, longest_s: float = math.inf) -> None:
        """max_rows: of a joined call. longest_s: see Pace.worth_joining."""
        self.model = model
        self.pace = Pace()
        self.aside = Pace()
        self.rows = 0
        self.is_running = False
        self.running_rows = 0
        self.lane: Lane | None = None
        self._max_rows = max_rows
        self._longest_s = longest_s
        self.jobs: deque[Job] = deque()

    def append(self, job: Job) -> None:
        """Takes a job at the end."""
        job.queue = self
        job.is_waiting = True
        self.jobs.append(job)
        self.rows += job.call.batch.count

    def forget(self, job: Job) -> None:
        """The job's caller is gone: its rows do not count, and it is passed over when its turn comes."""
        self.rows -= job.call.batch.count
        job.is_waiting = False

    def untimed(self) -> Iterator[Job]:
        """Those that somebody waits for and that have no end of time yet: the newest, but for those whose callers set one."""
        for job in reversed(self.jobs):
            if job.timer is None:
                if not job.is_over:
                    yield job
            elif not job.call.request.timeout_s:
                return

    def oldest(self) -> float:
        """When the first that waits had come (time.perf_counter); infinite where none does."""
        if self.lane is not None:
            return self.lane.oldest
        return self.jobs[0].call.request.started if self.jobs else math.inf

    @property
    def waiting(self) -> int:
        """Jobs that wait; those whose callers have gone since count until their turn comes."""
        return len(self.jobs) + (self.lane.waiting if self.lane is not None else 0)

    def backlog(self) -> Backlog:
        """What one more request meets that has as many rows as those that wait, without the call that runs but with its rows.

        All seconds are 0 while nothing was measured.
        """
        pace = self.pace
        rows = self.rows + (self.lane.waiting if self.lane is not None else 0)
        if pace.call_s == math.inf:
            return Backlog(rows + self.running_rows, 0.0)
        one = max(1.0, rows / max(1, self.waiting))
        full = max(1.0, self._full_rows() // one) * one  # nobody's rows are divided
        calls, joined = divmod(rows, full)
        own = full if calls else min(full, joined + one)  # who waits behind others has others behind
        return Backlog(rows + self.running_rows, calls * pace.expected_s(full), pace.expected_s(own), pace.expected_s(one))

    def takes_s(self, rows: int) -> float:
        """Seconds for which a call with so many rows would stop the loop.

        The cost line leaves out what the loop itself used while a call ran in the thread, and thinks little of a model that waits for
        something else meanwhile.
        """
        aside_s = self.aside.expected_s(rows)
        return max(self.pace.expected_s(rows), aside_s if aside_s != math.inf else 0.0)

    def running_s(self) -> float:
        """Seconds that the group in the thread is expected to take in all; 0 where there is none, or nothing was measured."""
        return self.pace.expected_s(self.running_rows) if self.is_running and self.pace.call_s != math.inf else 0.0

    def each_s(self) -> float:
        """What one more row costs where many wait: its own cost, and its share of the call that it joins."""
        pace = self.pace
        return 0.0 if pace.call_s == math.inf else pace.row_s + pace.call_s / self._full_rows()

    def _full_rows(self) -> int:
        """Rows of a call where many wait.

        No gain is believed in that was not seen: the cost line may be wrong beyond the largest call that it goes through.
        """
        return min(self.most_rows(), self.pace.most_seen) if self.model.is_joined else 1

    def most_rows(self) -> int:
        """Rows from which a call is not worth joining with more."""
        return min(self._max_rows, self.pace.worth_joining(self._longest_s))

    def late(self, now: float, timeout_s: float) -> Iterator[Job]:
        """Takes out those at the front that came more than so long ago. now: time.perf_counter.

        A caller who waits for less than the others has a timer of its own.
        """
        jobs = self.jobs
        while jobs and (jobs[0].is_over or jobs[0].call.request.started + timeout_s < now):
            if jobs[0].is_over:
                jobs.popleft()
            else:
                yield self._popped()

    def take(self) -> list[Job]:
        """The next jobs that one call computes, in their order; empty when none waits.

        Jobs of one kind follow each other into a call until it has the rows from which more gain nothing: a large request goes
        alone, small ones together.
        """
        jobs = self.jobs
        while jobs and jobs[0].is_over:
            jobs.popleft()
        if not jobs:
            return []
        taken = [self._popped()]
        if not self.model.is_joined:
            return taken
        kind, rows, most = taken[0].call.batch.kind, taken[0].call.batch.count, self.most_rows()
        while jobs:
            job = jobs[0]
            if job.is_over:
                jobs.popleft()
                continue
            batch = job.call.batch
            rows += batch.count
            if rows > most or batch.kind != kind:
                break
            taken.append(self._popped())
        return taken

    def _popped(self) -> Job:
        job = self.jobs.popleft()
        job.is_waiting = False
        self.rows -= job.call.batch.count
        return job
