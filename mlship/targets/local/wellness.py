"""How copies are, and what they counted: from the holder's view, their probe ports and the log."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from mlship.targets.asked import asked
from mlship.targets.base import Measures, Why
from mlship.targets.local.asking import ask, is_ready
from mlship.targets.local.folder import ServiceFolder
from mlship.targets.local.logs import tail
from mlship.targets.local.processes import start_ticks
from mlship.targets.local.protocol import HolderView, ServerView
from mlship.targets.local.starting import OUT_OF_MEMORY, probe_evidence
from mlship.targets.scraped import METRICS, counted

LOG_LINES = 10


def whys(project: str, view: HolderView, folder: ServiceFolder) -> tuple[Why, ...]:
    """One entry a copy, in the order in which the holder has them."""
    return tuple(_why(f"{project}-{number}", copy, folder) for number, copy in enumerate(view.servers))


def measures(view: HolderView, own_key: Callable[[], str]) -> Mapping[str, Measures]:
    """release id -> what its live copy counted since it was started. own_key: for a release whose callers are judged."""
    live = view.live_server
    if live is None:
        return {}
    answer = asked(partial(ask, "127.0.0.1", live.probe), METRICS, own_key)
    return {live.release: counted(answer.body.decode(errors="replace"))} if answer.status == 200 else {}


def _why(name: str, copy: ServerView, folder: ServiceFolder) -> Why:
    is_running = bool(copy.pid) and start_ticks(copy.pid) == copy.ticks
    return Why(
        replica=name,
        release=copy.release,
        state=copy.state if is_running else "ended",
        exit_code=_exit_code(copy),
        out_of_memory=copy.out_of_memory or copy.code == OUT_OF_MEMORY,
        restarts=copy.restarts,
        probe=_probe(copy) if is_running else "",
        log=tuple(tail(folder.run(copy.release).log, LOG_LINES)),
    )


def _exit_code(copy: ServerView) -> int | None:
    """As a shell says it: 128 and the signal's number for a copy that was killed."""
    return copy.code if copy.code is None or copy.code >= 0 else 128 - copy.code


def _probe(copy: ServerView) -> str:
    """Empty when it is ready."""
    answer = is_ready(copy.probe)
    return "" if answer.status == 200 else probe_evidence(answer)
