"""Several things at a time: the first error, or an interrupt, is the caller's at once, whatever the others still do.

Threads, because what takes long here lets go of the interpreter: hashing, compressing, the network, other programs. They are
daemons: after an error the command gives them a moment to clear up, after an interrupt none. What is left is never whole, and
swept up by the next command.
"""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

MOST = 4
_MOMENT_S = 2.0
# The system may hand a signal to any thread, and only the main one acts on it: when it next comes round, not while it waits
# (docs.python.org/3/library/signal.html, "Signals and threads"; seen in a fifth of the interrupts of a cold build).
_TURN_S = 0.1
Given = TypeVar("Given")
Made = TypeVar("Made")


def in_parallel(work: Callable[[Given], Made], given: Sequence[Given], most: int = MOST, patience_s: float = 0.0) -> list[Made]:
    """The results, in the order of `given`; begun in that order, at most `most` at a time.

    Raises what the first of them raised that failed; nothing new is begun then. patience_s: how long that error waits for what
    is under way, where all write into one folder that the caller then removes; an interrupt waits for nothing.
    """
    if len(given) < 2:
        return [work(each) for each in given]
    waiting: SimpleQueue[tuple[int, Given]] = SimpleQueue()
    for each in enumerate(given):
        waiting.put(each)
    done: SimpleQueue[tuple[int, Any, BaseException | None]] = SimpleQueue()
    failed = threading.Event()

    def take() -> None:
        while not failed.is_set():
            try:
                number, each = waiting.get_nowait()
            except Empty:
                return
            try:
                done.put((number, work(each), None))
            except BaseException as error:  # it is raised where the results are waited for
                done.put((number, None, error))

    threads = [threading.Thread(target=take, daemon=True) for _ in range(min(most, len(given)))]
    for thread in threads:
        _begun(thread)
    results: dict[int, Made] = {}
    try:
        while len(results) < len(given):
            number, made, error = _taken(done)
            if error is not None:
                failed.set()
                _wait_for(threads, patience_s)
                raise error
            results[number] = made
    finally:
        failed.set()
    return [results[number] for number in range(len(given))]


def side_by_side(*calls: Callable[[], Any]) -> list[Any]:
    """What the calls give, all begun at once. Raises as `in_parallel` does."""
    return in_parallel(lambda call: call(), calls, most=max(len(calls), 1))


def _taken(done: SimpleQueue[Given]) -> Given:
    """The next one; waits in turns, so that an interrupt is not waited for."""
    while True:
        try:
            return done.get(timeout=_TURN_S)
        except Empty:
            pass


_threads: list[threading.Thread] = []


def _begun(thread: threading.Thread) -> None:
    _threads[:] = [known for known in _threads if known.is_alive()]
    thread.start()
    _threads.append(thread)


@atexit.register
def _clear_up() -> None:
    """What threads of a command that failed were writing goes, if that takes a moment only."""
    _wait_for(_threads, _MOMENT_S)


def _wait_for(threads: Sequence[threading.Thread], moment_s: float) -> None:
    end = time.monotonic() + moment_s
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))


class Ahead(threading.Thread):
    """A call that begins now and whose result is asked for later, or never."""

    def __init__(self, call: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self._call = call
        self._done: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
        _begun(self)

    def run(self) -> None:
        try:
            self._done.put((self._call(), None))
        except BaseException as error:  # it is raised where the result is asked for
            self._done.put((None, error))

    def result(self) -> Any:
        """Waits for it; to be asked once. Raises what the call raised."""
        made, error = _taken(self._done)
        if error is not None:
            raise error
        return made
