"""HAProxy at work, through its master's socket. What it says is judged before it is believed."""

from __future__ import annotations

import csv
import io
import re
import socket
import stat
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ANSWER_S = 3.0
LONGEST_ANSWER = 16 * 2**20
# The master replaces itself during a reload and cuts whoever talks to it; then it is asked again.
AGAIN_S = 0.02

_PROCESS = re.compile(r"(\d+)\s+(master|worker)\s+(\d+)(?:\s+\[failed: (\d+)\])?\s+(\d+)d(\d+)h(\d+)m(\d+)s")

Row = Mapping[str, str]


class Silent(Exception):
    """HAProxy runs and does not answer, or not in words that can be understood."""


@dataclass(frozen=True)
class Processes:
    """worker: serves new connections. old: finish what they have. reloads: tried so far; failed: the last ones in a row.

    uptime_s: of the master.
    """

    worker: int
    old: tuple[int, ...]
    reloads: int
    failed: int
    uptime_s: int


class Master:
    """path: of the master's socket."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def processes(self, wait_s: float = 0.0) -> Processes | None:
        """None where HAProxy does not run. wait_s: for one that is about to start. Raises Silent."""
        deadline = time.monotonic() + wait_s
        while True:
            try:
                return processes(_ask(self._path, "show proc"))
            except (FileNotFoundError, ConnectionRefusedError):
                if time.monotonic() >= deadline:
                    return None
            except (ConnectionError, Silent):
                if time.monotonic() >= deadline + ANSWER_S:
                    raise Silent("the front's master process gives no answer") from None
            time.sleep(AGAIN_S)

    def rows(self, pid: int) -> list[dict[str, str]]:
        """The worker's counters by column name; [] when it is gone. Raises Silent."""
        return rows(self._of_worker(pid, "show stat"))

    def about(self, pid: int) -> dict[str, str]:
        """The worker's `show info`; {} when it is gone. Raises Silent."""
        return about(self._of_worker(pid, "show info"))

    def set_weight(self, pid: int, backend: str, server: str, weight: int) -> None:
        """Raises Silent when the worker does not take it."""
        said = self._of_worker(pid, f"set server {backend}/{server} weight {weight}").strip()
        if said:
            raise Silent(f"{backend}/{server} does not take the weight {weight}: {said[:200]}")

    def reload(self) -> None:
        """Asks for it; whether it came about, `processes` tells."""
        with suppress(ConnectionError):  # the master may be replaced before it has answered
            _ask(self._path, "reload")

    def _of_worker(self, pid: int, command: str) -> str:
        deadline = time.monotonic() + ANSWER_S
        while True:
            try:
                said = _ask(self._path, f"@!{pid} {command}")
            except ConnectionError:
                if time.monotonic() >= deadline:
                    raise Silent(f"worker {pid} cannot be asked: {command}") from None
                time.sleep(AGAIN_S)
            else:
                return "" if said.startswith("Can't find the target") else said


class Witness:
    """A conversation with one worker, which ends no sooner than this: after a reload its last counters can be read."""

    def __init__(self, path: Path) -> None:
        """path: of the socket that the present worker listens on. Raises OSError, Silent."""
        self._connection = _connect(path)
        self._said("prompt")

    def rows(self) -> list[dict[str, str]]:
        """Raises OSError, Silent."""
        return rows(self._said("show stat"))

    def about(self) -> dict[str, str]:
        """Raises OSError, Silent."""
        return about(self._said("show info"))

    def close(self) -> None:
        self._connection.close()

    def _said(self, command: str) -> str:
        raw = b""
        try:
            self._connection.sendall(f"{command}\n".encode())
            while not raw.endswith(b"\n> "):
                part = self._connection.recv(2**16)
                if not part:
                    raise ConnectionResetError("the worker is gone")
                raw = _bounded(raw + part)
        except BaseException:
            self._connection.close()
            raise
        return _text(raw[:-3])


def processes(said: str) -> Processes:
    """From `show proc`. Raises Silent."""
    master: tuple[int, int, int] | None = None
    workers: list[int] = []
    old: list[int] = []
    kind = workers
    for line in said.splitlines():
        if line.startswith("# old workers"):
            kind = old
        found = _PROCESS.match(line)
        if found is None:
            continue
        pid, name, reloads, failed, *uptime = found.groups()
        if name == "master":
            days, hours, minutes, seconds = map(int, uptime)
            master = int(reloads), int(failed or 0), ((days * 24 + hours) * 60 + minutes) * 60 + seconds
        else:
            kind.append(int(pid))
    if master is None or not workers:
        raise Silent("the front's master process knows no worker")
    return Processes(workers[0], tuple(old), *master)


def rows(said: str) -> list[dict[str, str]]:
    """From `show stat`. Raises Silent."""
    if not said.strip():
        return []
    if not said.startswith("# pxname,svname,"):
        raise Silent(f"the counters cannot be read: {said[:80]!r}")
    return [dict(row) for row in csv.DictReader(io.StringIO(said[2:].strip())) if row.get("svname")]


def about(said: str) -> dict[str, str]:
    """From `show info`."""
    return {name: value.strip() for name, colon, value in (line.partition(":") for line in said.splitlines()) if colon}


def _ask(path: Path, command: str) -> str:
    """Raises ConnectionError, FileNotFoundError, Silent."""
    connection = _connect(path)
    try:
        connection.sendall(f"{command}\n".encode())
        connection.shutdown(socket.SHUT_WR)
        raw = b""
        while part := connection.recv(2**16):
            raw = _bounded(raw + part)
    except TimeoutError:
        raise Silent(f"the front gives no answer within {ANSWER_S:.0f} s") from None
    finally:
        connection.close()
    if not raw:
        raise ConnectionResetError("no answer")
    return _text(raw)


def _connect(path: Path) -> socket.socket:
    """A socket and nothing else: no link is followed. Raises ConnectionError, FileNotFoundError, Silent."""
    if not stat.S_ISSOCK(path.lstat().st_mode):
        raise Silent(f"{path.name} is not a socket")
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(ANSWER_S)
    try:
        connection.connect(str(path))
    except TimeoutError:
        connection.close()
        raise Silent(f"{path.name} takes no connection within {ANSWER_S:.0f} s") from None
    except BaseException:
        connection.close()
        raise
    return connection


def _bounded(raw: bytes) -> bytes:
    if len(raw) > LONGEST_ANSWER:
        raise Silent(f"an answer has more than {LONGEST_ANSWER} bytes")
    return raw


def _text(raw: bytes) -> str:
    return raw.decode("ascii", "replace")
