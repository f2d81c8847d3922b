"""Waiting for a copy to be ready, and saying why it is not."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

from mlship.targets.base import Answer, Outcome
from mlship.targets.local.asking import is_ready
from mlship.targets.local.logs import tail
from mlship.targets.local.protocol import HolderView, ServerView

PAUSE_S = 0.02
PROBE_S = 0.5  # then the copy is looked at again: one that ended leaves its probe without an answer
LOG_LINES = 8
OUT_OF_MEMORY = 137  # 128 + SIGKILL, as containers and our own server say it


def wait_until_ready(look: Callable[[], HolderView | None], release: str, timeout_s: float, log: Path) -> Outcome:
    """Ok when the newest copy of the release answers ready on its probe. Ends early when the copy ended."""
    deadline = time.monotonic() + timeout_s
    while True:
        view = look()
        copies = view.copies(release) if view else ()
        if view is None:
            return Outcome(False, "the supervisor of the service went away", _log_evidence(log))
        if not copies:
            return Outcome(False, "the copy was stopped by somebody else", _log_evidence(log))
        copy = copies[-1]
        if not copy.pid and copy.state != "live":
            return Outcome(False, end_in_words(copy), _log_evidence(log))
        said = is_ready(copy.probe, PROBE_S)
        if said.status == 200:
            return Outcome()
        if time.monotonic() > deadline:
            return Outcome(False, f"never became ready in {timeout_s:g} s", (probe_evidence(said), *_log_evidence(log)))
        time.sleep(PAUSE_S)


def end_in_words(copy: ServerView) -> str:
    """How a copy that is not running ended."""
    code = copy.code
    if copy.out_of_memory or code == OUT_OF_MEMORY:
        return f"out of memory (exit {OUT_OF_MEMORY})"
    if code is not None and code < 0:
        return f"the server was killed by {signal.Signals(-code).name} (exit {128 - code})"
    return f"the server ended by itself (exit {code})"


def probe_evidence(said: Answer) -> str:
    text = said.body.decode(errors="replace").strip()[:200]
    return f"GET /readyz -> {f'{said.status} ' if said.status else ''}{text}"


def _log_evidence(log: Path) -> tuple[str, ...]:
    return tuple(tail(log, LOG_LINES))
