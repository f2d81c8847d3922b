"""The spot drill: the machine is taken back with 30 s of notice, and no caller may notice."""

from __future__ import annotations

import http.client
import signal
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from mlship.bench.question import Address
from mlship.flows.gating.results import Result

NOTICE_S = 30.0
LOAD_S = 1.0  # before the notice
PROBE_S = 0.1  # between two looks at /readyz, as a balancer has them
CALLERS = 4
PAUSE_S = 0.01
LEAST = 20  # answers before and after the notice that it takes to tell


@dataclass
class Counted:
    """What callers saw. behind: answers after the notice. left_s: from the notice to the server's end; None where it stayed."""

    answered: int = 0
    behind: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    left_s: float | None = None


class Stoppable(Protocol):
    """A process, or a container."""

    def poll(self) -> int | None: ...

    def send_signal(self, signal: int) -> None: ...


def drill(
    process: Stoppable,
    address: Address,
    path: str,
    body: bytes,
    key: str,
    *,
    health: str = "/readyz",
    notice_s: float = NOTICE_S,
    more: Mapping[str, str] | None = None,
) -> Counted:
    """Ends the server. Callers send until `health` says no: so long a balancer sends, too. more: headers of each request."""
    seen, lock = Counted(), threading.Lock()
    noticed, leaving = threading.Event(), threading.Event()

    def call() -> None:
        connection = http.client.HTTPConnection(address.host, address.port, timeout=NOTICE_S)
        headers = {**(more or {}), "Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
        while not leaving.is_set():
            was_noticed = noticed.is_set()
            said = _asked(connection, path, body, headers)
            with lock:
                if said:
                    seen.failed[said] += 1
                else:
                    seen.answered += 1
                    seen.behind += was_noticed
        connection.close()

    callers = [threading.Thread(target=call, daemon=True) for _ in range(CALLERS)]
    for caller in callers:
        caller.start()
    leaving.wait(LOAD_S)
    process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    noticed.set()
    leaving.wait(PROBE_S)  # a balancer looked just before the notice, at worst
    while time.monotonic() < began + notice_s and _is_ready(address, health):
        leaving.wait(PROBE_S)
    leaving.set()
    for caller in callers:
        caller.join(NOTICE_S)
    while process.poll() is None and time.monotonic() < began + notice_s:
        time.sleep(PAUSE_S)
    seen.left_s = time.monotonic() - began if process.poll() is not None else None
    return seen


def drill_result(seen: Counted) -> Result:
    """Pure."""
    failed, limit = seen.failed.total(), f"0 failed, gone in {NOTICE_S:g} s"
    gone = f"gone after {seen.left_s:.1f} s" if seen.left_s is not None else f"still there after {NOTICE_S:g} s"
    measured = f"{failed} of {seen.answered + failed} requests failed, {seen.behind} answered after the notice, {gone}"
    if failed:
        reason, count = seen.failed.most_common(1)[0]
        why = f"{failed} requests failed after SIGTERM or before, {count} of them: {reason}"
        return Result("drill", "fail", "", measured, limit, why, "mlship run, and SIGTERM to it under load: its log says more")
    if seen.left_s is None:
        why = f"the server was still there {NOTICE_S:g} s after SIGTERM: it would have been killed"
        return Result("drill", "fail", "", measured, limit, why, "lower serve.request_timeout")
    if min(seen.answered - seen.behind, seen.behind) < LEAST:
        why = f"fewer than {LEAST} answers before or after the notice say too little"
        return Result("drill", "inconclusive", "", measured, limit, why, "mlship test --drill on a machine with more time")
    return Result("drill", "pass", "", measured, limit)


def _asked(connection: http.client.HTTPConnection, path: str, body: bytes, headers: dict[str, str]) -> str:
    """Why there was no answer, or empty."""
    try:
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        answer.read()
        return "" if answer.status == 200 else f"status {answer.status}"
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        return str(error) or type(error).__name__


def _is_ready(address: Address, health: str) -> bool:
    connection = http.client.HTTPConnection(address.host, address.port, timeout=5)
    try:
        connection.request("GET", health)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
