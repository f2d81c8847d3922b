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
from mlship.targets.reason import own_reason

PAUSE_S = 0.02
PROBE_S = 0.5  # then the copy is looked at again: one that ended leaves its probe without an answer
LOG_LINES = 8
OUT_OF_MEMORY = 137  # 128 + SIGKILL, as containers and our own server say it


def wait_until_ready(
    look: Callable[[], HolderView | None], release: str, timeout_s: float, log: Path, since: int = 0
) -> Outcome:
    """Ok when the newest copy of the release answers ready on its probe. Ends early when the copy ended.

    since: where this attempt's lines begin in the log.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        view = look()
        copies = view.copies(release) if view else ()
        if not copies:
            gone = "the copy was stopped by somebody else" if view else "the supervisor of the service went away"
            return Outcome(False, gone, tuple(_said(log, since)), fault="target")
        copy = copies[-1]
        if not copy.pid and copy.state != "live":
            said = _said(log, since)
            return Outcome(False, own_reason(said) or end_in_words(copy), tuple(said))
        answer = is_ready(copy.probe, PROBE_S)
        if answer.status == 200:
            return Outcome()
        if time.monotonic() > deadline:
            evidence = (probe_evidence(answer), *_said(log, since))
            return Outcome(False, f"it never became ready in {timeout_s:g} s (serve.startup_timeout)", evidence)
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


def _said(log: Path, since: int) -> list[str]:
    """The last lines of this attempt; of whatever there is when it said nothing, or when the log was cut meanwhile."""
    return tail(log, LOG_LINES, since) or tail(log, LOG_LINES)
