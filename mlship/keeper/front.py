"""The traffic of one project: which servers get which share, in the document on the volume and in the running HAProxy.

`front.json` is the truth and is replaced in one step. HAProxy's configuration is made from it, by `set` and whenever HAProxy
starts, so that a killed `set` leaves the old or the new traffic. A running worker carries the shape of its document in its
description: whether it has to be reloaded is asked of it, not of what is believed to have happened.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from mlship.keeper import haproxy_config, ledger, state
from mlship.keeper.counters import Counters
from mlship.keeper.haproxy import Master, Processes, Silent
from mlship.keeper.haproxy_config import CHECKED, PANIC, Unfit
from mlship.keeper.records import Records, Refused, Reply
from mlship.keeper.state import Damaged, Newer

PROGRAM = "/usr/sbin/haproxy"
LARGEST = 2**20
CHECK_S = 5.0
# A reload takes 0.1 s on a quiet machine; a busy one needs more, and a port that is still taken is tried again for a second.
# Twice this (one back to what was before) fits into the time that a keeper's answer may take.
RELOAD_S = 8.0
POLL_S = 0.03
EXIT_S = 0.5
# A front that fell over is back within this; one that was never started has left no socket and is not waited for.
RESTART_S = 2.0

EMPTY: Mapping[str, Any] = {
    "schema": haproxy_config.SCHEMA, "port": 8080, "bufsize": 65536, "request_timeout_s": 2.0, "keep_alive_s": 10.0,
    "tls": None, "limits": {"rate": 0, "connections": 0}, "servers": [],
}  # fmt: skip


class Front:
    """folder: the volume. program: HAProxy's. clock: seconds since the epoch."""

    def __init__(self, folder: Path, records: Records, program: str = PROGRAM, clock: Callable[[], float] = time.time) -> None:
        self._folder = folder / "front"
        self._run = self._folder / "run"
        self._records = records
        self._program = program
        self._clock = clock
        self._master = Master(self._run / "master.sock")
        self._counters = Counters(self._folder, self._master, clock)

    def set(self, front: Mapping[str, Any], token: str = "") -> Reply:
        """Makes this the traffic; the same again changes nothing. Answers when the running HAProxy has exactly this.

        {"running", "reloaded", "old_workers"}. Raises Refused: `invalid` (nothing was changed), `lease-lost`, `front-refused`
        (HAProxy did not take it; what was before is put back).
        """
        text = self._judged(front)
        self._lay_out()
        with state.locked(self._folder):
            state.sweep_temporary(self._folder)
            before, _ = self._believed()
            self._counters.read({server["name"]: server["release"] for server in front["servers"]})
            with self._records.alone(token):
                self._write(front, text)
            try:
                return self._settle(front)
            except (Refused, Silent) as failed:
                with self._records.alone(token):
                    self._put_back(before)
                if before is not None:
                    with suppress(Refused, Silent):  # when that fails as well, the file is right for HAProxy's next start
                        self._settle(before)
                raise Refused("front-refused", str(failed), **getattr(failed, "more", {})) from None

    def read(self) -> Reply:
        """What is wanted, what runs and what was counted, never from the middle of a `set`. Raises Newer, Refused.

        damaged: why the document is not believed; then `front` is None, as where there is none, and the next `set` replaces it.
        """
        self._lay_out()
        with state.locked(self._folder):
            return self._report()

    def configuration(self) -> Path:
        """The file that HAProxy is started with, made from the document; callers get 503 where there is none.

        Where that is damaged or newer, what was served last is served on.
        """
        path = self._run / "haproxy.cfg"
        try:
            front = self._read() or EMPTY
        except (Damaged, Newer):
            if path.is_file() and not path.is_symlink():
                return path
            front = EMPTY
        self._write_configuration(haproxy_config.render(front, self._folder))
        return path

    def argv(self) -> list[str]:
        """HAProxy as master and worker."""
        socket = f"{self._run / 'master.sock'},mode,666"
        return [self._program, "-W", "-S", socket, "-f", str(self._run / "haproxy.cfg")]

    def _report(self) -> Reply:
        front, damaged = self._believed()
        try:
            found = self._master.processes()
            counted = self._counters.read()
            rows = self._master.rows(found.worker) if found else []
            shape = self._master.about(found.worker).get("description", "") if found else ""
        except Silent as silent:
            raise Refused("front-silent", str(silent)) from None
        return {
            "front": front,
            "damaged": damaged,
            "running": found is not None,
            "applied": front is not None and shape == haproxy_config.shape(front) and _has_exactly(rows, front),
            "old_workers": len(found.old) if found else 0,
            "since": self._clock() - found.uptime_s if found else 0.0,
            "servers": _servers(rows),
            "totals": ledger.totals(counted),
            "rate": sum(ledger.number(row, "req_rate") for row in rows if row["svname"] == "FRONTEND"),
        }

    def _judged(self, front: Mapping[str, Any]) -> str:
        """The configuration, which HAProxy itself has read. Raises Refused."""
        try:
            text = haproxy_config.render(front, self._folder)
        except Unfit as unfit:
            raise Refused("invalid", str(unfit)) from None
        certificate = self._folder / "tls" / f"{front['tls']['certificate']}.pem" if front["tls"] else None
        if certificate is not None and not certificate.is_file():
            raise Refused("invalid", f"the certificate {front['tls']['certificate']} is not on the volume")
        # The key may be the front's user's alone; then whether it fits shows when that user reloads.
        unreadable = certificate is not None and not os.access(certificate, os.R_OK)
        self._check(haproxy_config.render({**front, "tls": None}, self._folder) if unreadable else text)
        return text

    def _check(self, text: str) -> None:
        handle = os.memfd_create("haproxy.cfg")
        try:
            os.write(handle, text.encode())
            done = subprocess.run(
                [self._program, "-c", "-f", f"/proc/self/fd/{handle}"],
                pass_fds=[handle], capture_output=True, text=True, timeout=CHECK_S, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise Refused("front-refused", f"haproxy -c did not end within {CHECK_S:.0f} s") from None
        finally:
            os.close(handle)
        if done.returncode:
            raise Refused("front-refused", "haproxy -c refuses the configuration", details=done.stderr[-4000:])

    def _lay_out(self) -> None:
        state.make_folder(self._folder, 0o755)
        state.make_folder(self._run, 0o777)

    def _believed(self) -> tuple[dict[str, Any] | None, str]:
        """The document, or why it is not believed. It can be made again from the history and the containers' labels."""
        try:
            return self._read(), ""
        except Damaged as damaged:
            return None, str(damaged)

    def _read(self) -> dict[str, Any] | None:
        path = self._folder / "front.json"
        text = state.read_text(path, LARGEST)
        if text is None:
            return None
        document = state.parse(path.name, text)
        state.refuse_newer(path.name, document, haproxy_config.SCHEMA)
        try:
            return haproxy_config.checked(document)
        except Unfit as unfit:
            raise Damaged(f"front.json: {unfit}") from None

    def _write(self, front: Mapping[str, Any], text: str) -> None:
        state.write_text(self._folder / "front.json", json.dumps(front, sort_keys=True) + "\n", 0o644)
        self._write_configuration(text)

    def _write_configuration(self, text: str) -> None:
        state.write_text(self._run / "haproxy.cfg", text, 0o644)

    def _settle(self, front: Mapping[str, Any]) -> Reply:
        """Brings the running HAProxy to the document. Raises Refused, Silent."""
        found = self._master.processes(RESTART_S if (self._run / "master.sock").exists() else 0.0)
        if found is None:
            return {"running": False, "reloaded": False, "old_workers": 0}
        fits = not found.failed and self._master.about(found.worker).get("description") == haproxy_config.shape(front)
        if fits:
            self._weigh(found.worker, front)
        else:
            found = self._reload(found, front)
        return {"running": True, "reloaded": not fits, "old_workers": len(found.old)}

    def _weigh(self, pid: int, front: Mapping[str, Any]) -> None:
        """Weights that rise go first, so that callers always have somewhere to go."""
        present = {(row["pxname"], row["svname"]): ledger.number(row, "weight") for row in self._master.rows(pid)}
        changes = [
            (server["weight"] < present.get((backend, server["name"]), 0), backend, server["name"], server["weight"])
            for backend in (CHECKED, PANIC)
            for server in front["servers"]
            if present.get((backend, server["name"])) != server["weight"]
        ]
        for _, backend, name, weight in sorted(changes):
            self._master.set_weight(pid, backend, name, weight)
        if not _has_exactly(self._master.rows(pid), front):
            raise Refused("front-refused", "the running HAProxy does not show the new weights")

    def _reload(self, before: Processes, front: Mapping[str, Any]) -> Processes:
        """Its last counters are read through a witness, taken while the worker still is the present one."""
        witness = self._counters.witness(before.worker)
        try:
            self._master.reload()
            found = self._await_reload(before, front)
        except BaseException:
            if witness is not None:
                witness.close()
            raise
        drained = witness is None or self._counters.drain(witness)
        return self._without_old(found, before.worker) if drained else found

    def _without_old(self, found: Processes, worker: int) -> Processes:
        """When a worker with no more to do is gone."""
        deadline = time.monotonic() + EXIT_S
        while worker in found.old and time.monotonic() < deadline:
            time.sleep(POLL_S)
            found = self._master.processes() or found
        return found

    def _await_reload(self, before: Processes, front: Mapping[str, Any]) -> Processes:
        wanted = haproxy_config.shape(front)
        deadline = time.monotonic() + RELOAD_S
        while time.monotonic() < deadline:
            found = self._master.processes(POLL_S)
            if found is None:
                continue  # the master listens again in a moment; one that fell over is started again with this configuration
            if found.failed and found.reloads != before.reloads:
                raise Refused("front-refused", "HAProxy could not load the configuration; its log says why")
            is_new = found.worker != before.worker and self._master.about(found.worker).get("description") == wanted
            if is_new and _has_exactly(self._master.rows(found.worker), front):
                return found
            time.sleep(POLL_S)
        raise Refused("front-refused", f"HAProxy did not show the new servers within {RELOAD_S:.0f} s")

    def _put_back(self, before: Mapping[str, Any] | None) -> None:
        """Where there was no document to believe, HAProxy keeps what it has: nobody knows anything better."""
        if before is None:
            state.remove(self._folder / "front.json")
        else:
            self._write(before, haproxy_config.render(before, self._folder))


def _has_exactly(rows: list[dict[str, str]], front: Mapping[str, Any]) -> bool:
    """Both back ends show these servers, with these addresses and weights, and no other."""
    wanted = {(server["name"], f"{server['address']}:{server['port']}", server["weight"]) for server in front["servers"]}
    return all(
        {(row["svname"], row.get("addr", ""), ledger.number(row, "weight")) for row in _server_rows(rows, backend)} == wanted
        for backend in (CHECKED, PANIC)
    )


def _server_rows(rows: list[dict[str, str]], backend: str) -> list[dict[str, str]]:
    return [row for row in rows if row["pxname"] == backend and row["svname"] not in ("FRONTEND", "BACKEND")]


def _servers(rows: list[dict[str, str]]) -> dict[str, dict[str, Any]]:
    """What the callers' way to each server is like now: its checks, and what goes over both back ends."""
    servers: dict[str, dict[str, Any]] = {}
    for row in _server_rows(rows, CHECKED):
        servers[row["svname"]] = {
            "status": row.get("status", ""),
            "check": row.get("check_status", "").removeprefix("* "),  # the star: one is under way
            "weight": ledger.number(row, "weight"),
            "sessions": ledger.number(row, "scur"),
            "queue": ledger.number(row, "qcur"),
            "rate": ledger.number(row, "rate"),
            "last_change_s": ledger.number(row, "lastchg"),
        }
    for row in _server_rows(rows, PANIC):
        for name, column in (("sessions", "scur"), ("queue", "qcur"), ("rate", "rate")):
            if row["svname"] in servers:
                servers[row["svname"]][name] += ledger.number(row, column)
    return servers
