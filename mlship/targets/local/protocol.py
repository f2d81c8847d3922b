"""What the CLI and the holder say to each other, and what the holder leaves in state.json. Standard library only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

SCHEMA = 1
SOCKET = "control.sock"
STATE = "state.json"
LOCK = "holder.lock"
LEASE = "lease.json"

State = Literal["staged", "live", "draining", "ended"]


@dataclass(frozen=True)
class Launch:
    """How a server is started. port 0: the kept one, else the first free one from 8080 on.

    data_limit: bytes that one process may allocate (RLIMIT_DATA), 0 none. cores: how many it may run on, 0 all.
    drain_s: how long accepted requests may take after SIGTERM. startup_s: how long loading may take.
    """

    release: str
    argv: tuple[str, ...]
    environ: Mapping[str, str]
    cwd: str
    log: str
    host: str = "127.0.0.1"
    port: int = 0
    data_limit: int = 0
    cores: int = 0
    drain_s: float = 15.0
    startup_s: float = 60.0

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Launch:
        """Raises TypeError or KeyError for a document that is not a launch."""
        return cls(**{**document, "argv": tuple(document["argv"])})


@dataclass(frozen=True)
class ServerView:
    """One copy as the holder knows it. pid 0: not running; ticks: start time that tells pids apart; probe: its own port.

    code: how it ended last, negative for a signal. since: seconds since the epoch.
    """

    release: str
    state: State
    pid: int
    ticks: int
    since: float
    probe: int
    host: str
    port: int
    restarts: int = 0
    code: int | None = None
    out_of_memory: bool = False


@dataclass(frozen=True)
class HolderView:
    """Everything that the holder knows. live: release that callers reach. kept_port: the service's port, 0 before the first.

    strangers: pids of servers that an earlier holder left behind and that are not ended yet. trouble: one line for people.
    launch: how the live release was started.
    """

    pid: int
    ticks: int
    live: str = ""
    kept_port: int = 0
    servers: tuple[ServerView, ...] = ()
    strangers: tuple[int, ...] = ()
    trouble: str = ""
    launch: Launch | None = None
    schema: int = SCHEMA

    def copies(self, release: str) -> tuple[ServerView, ...]:
        return tuple(server for server in self.servers if server.release == release)

    @property
    def live_server(self) -> ServerView | None:
        return next((server for server in self.servers if server.state == "live"), None)


@dataclass(frozen=True)
class Question:
    """One line to the holder.

    do: status; settle, which is status after the change that is going on; start (launch); shift (release, timeout_s); stop and
    unstage (release); quit. token: of the asker's lease; a change is refused when somebody else has the lease by then. Empty:
    the asker has none.
    """

    do: str
    release: str = ""
    timeout_s: float = 0.0
    launch: Launch | None = None
    token: str = ""

    def to_line(self) -> bytes:
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Question:
        """Raises ValueError, TypeError or KeyError for anything else."""
        document = json.loads(line)
        if not isinstance(document, dict):
            raise ValueError("a question is an object")
        launch = document.get("launch")
        return cls(**{**document, "launch": Launch.from_dict(launch) if launch else None})


@dataclass(frozen=True)
class Reply:
    """One line back. code and error where it was refused; the view is as it is afterwards."""

    ok: bool
    view: HolderView
    code: str = ""
    error: str = field(default="")

    def to_line(self) -> bytes:
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Reply:
        document = json.loads(line)
        return cls(**{**document, "view": view_from_dict(document["view"])})


def view_from_dict(document: Mapping[str, Any]) -> HolderView:
    """Raises TypeError or KeyError for anything else."""
    launch = document.get("launch")
    return HolderView(
        **{
            **document,
            "servers": tuple(ServerView(**server) for server in document["servers"]),
            "strangers": tuple(document["strangers"]),
            "launch": Launch.from_dict(launch) if launch else None,
        }
    )


def lease_token(folder: Path) -> str:
    """Of the lease that is valid now or was last; empty where there is none."""
    try:
        return str(json.loads((folder / LEASE).read_bytes())["token"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def read_state(folder: Path) -> HolderView | None:
    """What the last holder wrote; None when there is nothing, or nothing that this version can read."""
    try:
        document = json.loads((folder / STATE).read_bytes())
        return view_from_dict(document) if document["schema"] == SCHEMA else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
