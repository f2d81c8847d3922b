"""The process that loads models once and makes the workers from itself, so that they share its memory and start at once.

It stands between the supervisor, which must run no model's code, and the workers. A worker's own parent ends at once; the
supervisor, which takes in orphans, becomes its parent, watches it and reaps it like any other. A nursery that is gone is not
missed: workers that come after it load the models themselves.

A process that runs threads, or holds a connection or a device, cannot be copied: the copy has the locks of the threads but not
the threads (OpenMP's pool then waits for ever), and both sides would speak on one connection. So what came of loading is looked
at, whatever a runtime declares; models are first asked in the worker, because it is asking that starts OpenMP's threads.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlship.server.core import ServedModel
from mlship.server.life.loading import LoadFailed, loaded_models, settle
from mlship.server.life.seats import Report
from mlship.server.manifest import Manifest
from mlship.server.monitoring import log
from mlship.server.runtimes import runtime_for
from mlship.server.runtimes.base import LoadError

PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
TASKS, DESCRIPTORS = Path("/proc/self/task"), Path("/proc/self/fd")
# Threads whose library prepares for fork and starts them anew in the copy: jemalloc, which pyarrow brings, and with it pandas
# (jemalloc 5, src/background_thread.c, background_thread_postfork_child).
RENEWED = frozenset({"jemalloc_bg_thd"})
HARMLESS = frozenset({"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"})

Serve = Callable[[int, int, Mapping[str, ServedModel]], int]  # seat, report, models: a worker's life, until its exit status


def shareable(manifest: Manifest, workers: int) -> frozenset[str]:
    """Names of the models that are loaded once for all workers; none for one worker, where each has its own GPU, or where orphans
    cannot be taken in."""
    if workers < 2 or manifest.serving.gpus or not TASKS.is_dir():
        return frozenset()
    names = frozenset(entry.name for entry in manifest.models if not entry.hooks and _is_fork_safe(entry.runtime))
    return names if names and _takes_in_orphans() else frozenset()


@dataclass
class Nursery:
    """The supervisor's side. is_ready: it takes orders. is_alone: it has found that its models cannot be shared, and ends."""

    pid: int
    report: Report
    orders: socket.socket
    is_ready: bool = False
    is_alone: bool = False

    def hear(self) -> dict[str, Any] | None:
        """Takes what was said; why the models cannot be loaded, if that is it."""
        for line in self.report.lines():
            if "alone" in line:
                self.is_alone = True
                log.event("info", "models_not_shared", message=f"{line['alone']}; each worker loads the models for itself")
            elif line:
                return line
            self.is_ready = not line
        return None

    def order(self, seat: int, report: int) -> bool:
        """Asks for a worker, which gets the end of the pipe; False when there is no nursery any more."""
        try:
            socket.send_fds(self.orders, [seat.to_bytes(4, "big")], [report])
        except OSError:
            return False
        return True

    def leave(self) -> None:
        """Lets go of it; without orders to come it ends."""
        self.orders.close()
        self.report.close()


def tend(manifest: Manifest, root: Path, names: frozenset[str], orders: socket.socket, report: int, serve: Serve) -> int:
    """The life of a nursery: loads, says so, and makes workers as they are ordered. Returns its exit status."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)  # the supervisor decides; it ends a nursery by closing `orders`
    before = descriptors()
    try:
        models = loaded_models(manifest, root, names)
    except LoadFailed as failed:
        _say(report, failed.reason)
        return 1
    if reason := unfit_to_fork(before):
        _say(report, {"alone": reason})
        return 0
    settle()
    _say(report, {})
    while True:
        try:
            message, received, _, _ = socket.recv_fds(orders, 4, 1)
        except OSError:
            return 0
        if not message:
            return 0
        if _is_made(received[0]):
            orders.close()
            return serve(int.from_bytes(message, "big"), received[0], models)
        os.close(received[0])


def _is_made(report: int) -> bool:
    """Makes a process whose parent has gone, and says who it is. True in that process."""
    between = _forked(report)
    if between is None:
        return False
    if between:
        os.waitpid(between, 0)
        return False
    worker = _forked(report)
    if worker == 0:
        return True
    if worker:
        _say(report, {"pid": worker})
    os._exit(0)


def _forked(report: int) -> int | None:
    try:
        return os.fork()
    except OSError as error:
        _say(report, {"message": f"no worker can be made: {error.strerror}"})
        return None


def unfit_to_fork(before: frozenset[str]) -> str:
    """Why this process cannot be copied now; empty when it can. before: its descriptors when there was nothing to copy yet."""
    if started := threads():
        return f"loading started the threads {', '.join(started[:5])}"
    held = sorted(target for target in descriptors() - before if not target.startswith("/") or _is_device(target))
    return f"loading opened {', '.join(held[:5])}" if held else ""


def threads() -> list[str]:
    """Names of this process's threads besides the calling one, those apart that live on in a copy."""
    own, names = str(threading.get_native_id()), []
    for task in TASKS.iterdir():
        with contextlib.suppress(OSError):
            name = (task / "comm").read_text().strip()
            if task.name != own and name not in RENEWED:
                names.append(name)
    return names


def descriptors() -> frozenset[str]:
    """What this process has open, as the system names it: paths, `socket:[4711]`, `pipe:[815]`."""
    found = set()
    for entry in DESCRIPTORS.iterdir():
        with contextlib.suppress(OSError):
            found.add(str(entry.readlink()))
    return frozenset(found)


def _is_device(target: str) -> bool:
    return target.startswith("/dev/") and target not in HARMLESS and not target.startswith("/dev/shm/")  # noqa: S108


def _is_fork_safe(framework: str) -> bool:
    try:
        return runtime_for(framework).fork_safe
    except LoadError:
        return False  # the worker says what is wrong with it


def _takes_in_orphans() -> bool:
    """Makes this process the parent of orphans among its descendants, as process 1 is anyway. False where the system cannot."""
    if os.getpid() == 1:
        return True
    try:
        return bool(ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)
    except (OSError, AttributeError) as error:
        log.event("warning", "models_not_shared", message=f"the system lets no process take in orphans: {error}")
        return False


def _say(report: int, line: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):
        os.write(report, json.dumps(line).encode() + b"\n")
