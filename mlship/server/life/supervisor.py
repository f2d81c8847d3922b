"""The first process: owns the sockets, starts the workers, replaces those that die or hang, and stops them in order.

It runs no model and no loop of its own, so that nothing a model does can stop it: what workers share is loaded in the nursery.
Works as process 1 of a container.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from mlship.server.app import paths
from mlship.server.board import BEAT, BOSS_CPU, BOSS_RSS, FAILING, OPEN, READY, RESTARTS, RETIRED_CPU, STARTED, STATE, Board
from mlship.server.core import ServedModel
from mlship.server.life.cards import take
from mlship.server.life.nursery import Nursery, shareable, tend
from mlship.server.life.seats import Report, Seat, ending
from mlship.server.life.sockets import Sockets, address
from mlship.server.life.worker import Post, resident_bytes, run, stuck_after_s
from mlship.server.manifest import Manifest
from mlship.server.monitoring import log
from mlship.server.monitoring.drift_window import Windows
from mlship.server.settings import Settings

TICK_S = 0.25
HALTED_S = 1.0  # between two looks: then the machine, or the container, stood still, and the workers with it
BACKOFF_S = (0.1, 0.5, 1.0, 2.0, 5.0)  # before the first, second, ... replacement of a slot within RECOVERED_S
RECOVERED_S = 30.0
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGCHLD, signal.SIGHUP)

EXIT_STOPPED, EXIT_FAILED, EXIT_FORCED = 0, 1, 143


@dataclass
class Supervisor:
    """Holds the workers. State is changed by `run` alone; signal handlers only make it look."""

    settings: Settings
    manifest: Manifest
    sockets: Sockets
    workers: int
    seats: list[Seat] = field(default_factory=list)
    _got: list[int] = field(default_factory=list)
    _terms: int = 0
    _drain_by: float = 0.0
    _told: set[int] = field(default_factory=set)
    _reason: dict[str, Any] | None = None
    _nursery: Nursery | None = None
    _looked: float = 0.0

    def run(self) -> int:
        """Until stopped, or until the models turn out not to load. Returns the exit status."""
        routes = len(paths(self.manifest))
        self._board = Board(self.workers, routes, len(self.manifest.models), self.settings.metrics)
        if self.settings.metrics and any(model.reference for model in self.manifest.models):
            self._board.windows = Windows(self.manifest, self.workers)
        self.seats = [Seat(index) for index in range(self.workers)]
        self._wake, waker = os.pipe()
        self._lifeline, self._lifeline_end = os.pipe()
        for descriptor in (self._wake, waker):
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        for number in SIGNALS:
            signal.signal(number, lambda got, frame: self._got.append(got))
        self._start_by = time.monotonic() + self.manifest.serving.startup_timeout_s
        if shared := shareable(self.manifest, self.workers):
            self._start_nursery(shared)
        while True:
            status = self._step()
            if status is not None:
                return status

    def _step(self) -> int | None:
        """One look at everything; the exit status when it is over."""
        self._heed_signals()
        self._reap()
        now = time.monotonic()
        if self._terms:
            return self._stopping(now)
        if self._has_started:
            self._replace_stuck(now)
        elif (failed := self._start_failure(now)) is not None:
            return self._give_up(failed)
        for seat in self.seats if self._nursery is None or self._nursery.is_ready else ():
            if not seat.is_taken and now >= seat.due:
                self._start(seat)
        self._note_use()
        self._wait()
        self._hear_reports()
        if all(self._board.slot(seat.index).cells[STATE] == READY for seat in self.seats):
            self._board.cells[FAILING] = 0.0
            if not self._has_started:
                self._started()
        return None

    # starting

    def _start_nursery(self, shared: frozenset[str]) -> None:
        report, said = Report.opened()
        orders, ordered = socket.socketpair()

        def live() -> int:
            orders.close()
            return tend(self.manifest, self.settings.manifest.parent, shared, ordered, said, self._serve)

        self._nursery = Nursery(self._forked(live), report, orders)
        ordered.close()
        os.close(said)

    def _start(self, seat: Seat) -> None:
        report, said = Report.opened()
        self._board.slot(seat.index).reset()
        is_ordered = self._nursery is not None and self._nursery.order(seat.index, said)
        pid = 0 if is_ordered else self._forked(lambda: self._serve(seat.index, said, {}))
        os.close(said)
        seat.take(pid, report, time.monotonic())

    def _serve(self, index: int, said: int, shared: Mapping[str, ServedModel]) -> int:
        """A worker's life, in its own process."""
        signal.signal(signal.SIGUSR1, signal.SIG_DFL)
        take(self.settings.cards, index, os.environ)
        return run(Post(self.manifest, self.settings, self.sockets, self._board, index, said, self._lifeline), shared)

    def _forked(self, live: Callable[[], int]) -> int:
        """A new process that lives and ends with what `live` returns; its pid."""
        everything = set(signal.valid_signals())
        signal.pthread_sigmask(signal.SIG_BLOCK, everything)
        pid = os.fork()
        if pid == 0:
            self._become(live)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, everything)
        return pid

    def _become(self, live: Callable[[], int]) -> NoReturn:
        """In the child: nothing of the supervisor is left but the sockets, the board and the ends of pipes that it needs."""
        status = EXIT_FAILED
        try:
            signal.set_wakeup_fd(-1)
            for number in SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            for number in (signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)  # a terminal sends them to the whole group; the supervisor decides
            signal.pthread_sigmask(signal.SIG_UNBLOCK, set(signal.valid_signals()))
            os.close(self._lifeline_end)
            for other in self.seats:
                other.leave()
            if self._nursery is not None:
                self._nursery.leave()
            status = live()
        except BaseException as error:
            log.failure("worker_failed", error)
        finally:
            with contextlib.suppress(OSError, ValueError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(status)

    @property
    def _has_started(self) -> bool:
        return bool(self._board.cells[STARTED])

    def _started(self) -> None:
        self._board.cells[STARTED] = 1.0
        took = round(time.monotonic() - self._start_by + self.manifest.serving.startup_timeout_s, 3)
        where = [address(sock) for sock in self.sockets.public]
        log.event(
            "info",
            "ready",
            release=self.settings.release,
            workers=self.workers,
            listening=where,
            hold=self.settings.hold,
            seconds=took,
            **({"gpus": [card.name for card in self.settings.cards]} if self.settings.cards else {}),
        )
        if not self.settings.hold:
            self._open()

    def _open(self) -> None:
        """Public connections from now on; a worker that is not ready yet looks at the cell when it is."""
        self._board.cells[OPEN] = 1.0
        for seat in self.seats:
            if seat.pid and self._board.slot(seat.index).cells[STATE] == READY:
                _kill(seat.pid, signal.SIGUSR1)

    def _start_failure(self, now: float) -> dict[str, Any] | None:
        if self._reason is not None:
            return self._reason
        if now < self._start_by:
            return None
        limit = self.manifest.serving.startup_timeout_s
        return {"message": f"the model did not load within {limit:g} s; raise serve.startup_timeout, or make it load faster"}

    def _give_up(self, reason: dict[str, Any]) -> int:
        log.event("error", "start_failed", release=self.settings.release, **reason)
        self._kill_all()
        return EXIT_FAILED

    # watching

    def _heed_signals(self) -> None:
        got, self._got = self._got, []
        for number in got:
            if number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                self._terms += 1
                if self._terms == 1:
                    self._begin_drain()
            elif number == signal.SIGUSR1:
                self._end_hold()

    def _end_hold(self) -> None:
        """SIGUSR1: accept now, or as soon as the start is complete."""
        if self._has_started:
            self._open()
        else:
            self._board.cells[OPEN] = 1.0

    def _reap(self) -> None:
        """Collects every dead child: workers, and orphans that process 1 inherits."""
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._hear_reports()  # whoever makes a worker says its pid before the worker can become a child of ours
            code, cpu_s = os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime
            for seat in self.seats:
                if seat.pid == pid:
                    self._lost(seat, code, cpu_s)
            if self._nursery is not None and self._nursery.pid == pid:
                self._lost_nursery(self._nursery, code)

    def _lost(self, seat: Seat, code: int, cpu_s: float) -> None:
        now = time.monotonic()
        seat.hear()
        reason = seat.reason
        seat.leave()
        self._board.slot(seat.index).reset()
        self._board.cells[RETIRED_CPU] += cpu_s
        seat.failures = 1 if now - seat.started > RECOVERED_S else seat.failures + 1
        seat.due = now + BACKOFF_S[min(seat.failures, len(BACKOFF_S)) - 1]
        if self._terms:
            return
        if not self._has_started:
            self._reason = self._reason or reason or {"message": f"a worker ended while it loaded the model ({ending(code)})"}
            return
        self._board.cells[RESTARTS] += 1
        if reason is not None:
            self._board.cells[FAILING] = 1.0
        log.event(
            "error",
            "worker_lost",
            worker=seat.index,
            ending=ending(code),
            replaced_in_s=round(seat.due - now, 1),
            **(reason or {}),
        )

    def _lost_nursery(self, nursery: Nursery, code: int) -> None:
        """Without it each worker loads for itself, unless it is the loading that ended it."""
        self._nursery = None
        nursery.leave()
        if nursery.is_ready and not self._terms:
            log.event("warning", "nursery_lost", ending=ending(code))
        elif not nursery.is_alone:
            self._reason = self._reason or {"message": f"the process that loads the models ended ({ending(code)})"}

    def _replace_stuck(self, now: float) -> None:
        self._grant(now - (self._looked or now))
        self._looked = now
        limit = stuck_after_s(self.settings, self.manifest)
        startup = self.manifest.serving.startup_timeout_s
        for seat in self.seats:
            cells = self._board.slot(seat.index).cells
            silent = now - (cells[BEAT] or seat.started)
            if seat.is_taken and silent > (limit if cells[BEAT] else startup):
                log.event("error", "worker_stuck", worker=seat.index, silent_s=round(silent, 1))
                if seat.pid:
                    _kill(seat.pid, signal.SIGKILL)
                elif self._nursery is not None:
                    _kill(self._nursery.pid, signal.SIGKILL)  # it was to make this worker
                cells[BEAT] = now

    def _grant(self, halted_s: float) -> None:
        """Time in which nothing ran, this process neither, is no silence."""
        for seat in self.seats if halted_s > HALTED_S else ():
            cells = self._board.slot(seat.index).cells
            cells[BEAT] += halted_s if cells[BEAT] else 0.0

    def _note_use(self) -> None:
        self._board.cells[BOSS_CPU] = time.process_time()
        self._board.cells[BOSS_RSS] = resident_bytes()

    def _wait(self) -> None:
        waiting = select.poll()
        waiting.register(self._wake, select.POLLIN)
        for one in (self._nursery, *self.seats):
            if one is not None and one.report is not None and not one.report.has_ended:
                waiting.register(one.report.descriptor, select.POLLIN)
        with contextlib.suppress(InterruptedError):
            waiting.poll(TICK_S * 1000)
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake, 4096)

    def _hear_reports(self) -> None:
        if self._nursery is not None and (reason := self._nursery.hear()):
            self._reason = self._reason or reason
        for seat in self.seats:
            seat.hear()
            if seat.report is not None and seat.report.has_ended and not seat.pid:
                self._lost(seat, EXIT_FAILED, 0.0)  # the nursery could make no worker

    # stopping

    def _begin_drain(self) -> None:
        log.event("info", "draining", release=self.settings.release)
        self._drain_by = time.monotonic() + max(self.settings.drain_timeout_s, self.settings.drain_delay_s) + 1.0
        if not self.sockets.inherited:
            self.sockets.close()
        if self._nursery is not None:
            _kill(self._nursery.pid, signal.SIGKILL)  # it holds the sockets, too
        self._send_off()

    def _send_off(self) -> None:
        """Tells each worker once; one that the nursery is making may be known only now."""
        for seat in self.seats:
            if seat.pid and seat.pid not in self._told:
                self._told.add(seat.pid)
                _kill(seat.pid, signal.SIGTERM)

    def _stopping(self, now: float) -> int | None:
        if self._terms > 1:
            self._kill_all()
            log.event("warning", "stopped_at_once", release=self.settings.release)
            return EXIT_FORCED
        if not any(seat.is_taken for seat in self.seats):
            log.event("info", "stopped", release=self.settings.release)
            return EXIT_STOPPED
        if now > self._drain_by:
            self._kill_all()
            log.event("warning", "drain_timed_out", release=self.settings.release)
            return EXIT_STOPPED
        self._note_use()
        self._wait()
        self._hear_reports()
        self._send_off()
        return None

    def _kill_all(self) -> None:
        pids = [one.pid for one in (self._nursery, *self.seats) if one is not None and one.pid]
        for pid in pids:
            _kill(pid, signal.SIGKILL)
        for pid in pids:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)


def _kill(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
