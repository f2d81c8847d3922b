"""History and lease of one service, as two files that are compared and replaced under one lock."""

from __future__ import annotations

import json
import os
import secrets
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from mlship import __version__
from mlship.disk import locked, write_atomic
from mlship.errors import MlshipError
from mlship.releases.history import History
from mlship.releases.records import SCHEMA, Lease, LeaseHeld, LeaseLost, history_from_json, history_to_json
from mlship.targets.local.folder import ServiceFolder
from mlship.targets.local.processes import start_ticks

FRESH = 0.9  # a lease with so much of its time left need not be written again
CLOCK_STEP_S = 5.0  # how far a clock may be set back before a lease counts as ended, as in keeper/records.py


@dataclass(frozen=True)
class HolderProcess:
    """Which process took the lease. boot: the kernel's id of this boot; space: pid namespace; ticks: start time."""

    host: str
    boot: str
    space: str
    pid: int
    ticks: int

    @classmethod
    def this(cls) -> HolderProcess:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        space = str(Path("/proc/self/ns/pid").readlink())
        return cls(socket.gethostname(), boot, space, os.getpid(), start_ticks(os.getpid()))

    def is_dead(self, here: HolderProcess) -> bool:
        """True only where it can be known: this host was booted since, or the process is gone from our own pid namespace."""
        if self.host != here.host:
            return False
        if self.boot != here.boot:
            return True
        return self.space == here.space and start_ticks(self.pid) != self.ticks


class LocalRecords:
    """Implements targets.base.Records."""

    def __init__(self, folder: ServiceFolder) -> None:
        self._folder = folder
        self._token = ""

    @property
    def token(self) -> str:
        """Of the lease that was taken here; empty when none was."""
        return self._token

    def confirm(self) -> None:
        """Raises LeaseLost when somebody else has the lease that was taken here."""
        held = self._read_lease() if self._token else None
        if self._token and (held is None or held[0].token != self._token):
            raise LeaseLost()

    def read(self) -> History | None:
        try:
            raw = self._folder.history.read_bytes()
        except FileNotFoundError:
            return None
        return history_from_json(raw, str(self._folder.history))

    def commit(self, history: History, expected: int) -> None:
        with locked(self._folder.lock):
            present = self.read()
            if (present.generation if present else 0) != expected:
                raise LeaseLost()
            write_atomic(self._folder.history, history_to_json(history, __version__), 0o600)

    def acquire(self, holder: str, now: float, ttl_s: float) -> Lease:
        here = HolderProcess.this()
        with locked(self._folder.lock):
            held = self._read_lease()
            if held is not None and _is_valid(held[0], now) and not held[1].is_dead(here):
                raise LeaseHeld(held[0].holder, held[0].expires - now)
            lease = Lease(secrets.token_hex(16), holder, now + ttl_s, ttl_s)
            self._write_lease(lease, here)
        self._token = lease.token
        return lease

    def holder(self, now: float) -> str:
        held = self._read_lease()
        return held[0].holder if held and _is_valid(held[0], now) and not held[1].is_dead(HolderProcess.this()) else ""

    def renew(self, lease: Lease, now: float) -> Lease:
        if not self._folder.path.is_dir():
            raise LeaseLost("the project was destroyed meanwhile")
        with locked(self._folder.lock):
            held = self._read_lease()
            if held is None or held[0].token != lease.token:
                raise LeaseLost("somebody else took over this project meanwhile")
            if held[0].expires - now > lease.ttl_s * FRESH:
                return held[0]
            renewed = replace(lease, expires=now + lease.ttl_s)
            self._write_lease(renewed, held[1])
        return renewed

    def release(self, lease: Lease) -> None:
        self._token = ""
        if not self._folder.path.is_dir():  # destroyed under this very lease
            return
        with locked(self._folder.lock):
            held = self._read_lease()
            if held is not None and held[0].token == lease.token:
                self._folder.lease.unlink()

    def _read_lease(self) -> tuple[Lease, HolderProcess] | None:
        """None where there is none. A file that cannot be read counts as none: leases are only ever written whole."""
        try:
            document = json.loads(self._folder.lease.read_bytes())
        except (FileNotFoundError, ValueError, RecursionError):
            return None
        if isinstance(document, dict) and document.get("schema", 0) > SCHEMA:
            raise MlshipError(
                f"the lease was written by mlship {document.get('mlship', 'of a newer version')}",
                str(self._folder.lease),
                "upgrade mlship: pip install --upgrade mlship",
                code="newer-records",
            )
        return _lease_from(document)

    def _write_lease(self, lease: Lease, process: HolderProcess) -> None:
        document = {**asdict(lease), "mlship": __version__, "process": asdict(process)}
        write_atomic(self._folder.lease, json.dumps(document).encode() + b"\n", 0o600)


def _is_valid(lease: Lease, now: float) -> bool:
    return 0 < lease.expires - now <= lease.ttl_s + CLOCK_STEP_S


def _lease_from(document: Mapping[str, Any]) -> tuple[Lease, HolderProcess] | None:
    try:
        process = HolderProcess(**document["process"])
        names = ("token", "holder", "expires", "ttl_s", "schema")
        return Lease(**{name: document[name] for name in names}), process
    except (KeyError, TypeError):
        return None
