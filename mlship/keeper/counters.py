"""Reads what workers have counted into `counters.json`, the last requests of old workers too."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mlship.keeper import ledger, state
from mlship.keeper.haproxy import Master, Silent, Witness
from mlship.keeper.state import Damaged

LARGEST = 16 * 2**20
POLL_S = 0.03
SLOW_POLL_S = 0.2
# How long a reload waits for the old worker's last requests; what takes longer is counted in the background.
DRAIN_S = 0.5


class Counters:
    """folder: the front's. clock: seconds since the epoch."""

    def __init__(self, folder: Path, master: Master, clock: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._path = folder / "counters.json"
        self._master = master
        self._clock = clock

    def read(self, wanted: Mapping[str, str] | None = None) -> ledger.Document:
        """The ledger with what all workers have counted until now.

        wanted: server -> release, those that callers shall reach from now on. Raises Silent, Newer.
        """
        with state.locked(self._folder, "counters.lock"):
            before = self._ledger()
            workers = self._workers()
            after = ledger.folded(before, workers, alive=workers)
            if wanted is not None:
                after = ledger.wanted(after, wanted, self._clock())
            self._write(before, after)
        return after

    def witness(self, worker: int) -> Witness | None:
        """To be taken before a reload; None where the worker cannot be spoken to."""
        try:
            witness = Witness(self._folder / "run" / "worker.sock")
            if witness.about().get("Pid") == str(worker):
                return witness
        except (OSError, Silent):
            return None
        witness.close()
        return None

    def drain(self, witness: Witness) -> bool:
        """Counts what the old worker still answers and lets it go; in the background when it takes long: then False.

        A process that ends meanwhile costs the counts of the last moments, and nothing else.
        """
        if self._drained(witness, DRAIN_S, POLL_S):
            return True
        patience_s = float("inf")  # until the configuration's hard-stop-after
        threading.Thread(target=self._drained, args=(witness, patience_s, SLOW_POLL_S), daemon=True, name="drain").start()
        return False

    def _drained(self, witness: Witness, patience_s: float, poll_s: float) -> bool:
        """True when there is no more to count; then the witness is closed."""
        deadline = time.monotonic() + patience_s
        try:
            while not self._count_last(witness):
                if time.monotonic() >= deadline:
                    return False
                time.sleep(poll_s)
        except (OSError, Silent, Damaged):
            pass  # the worker was ended by force, or the disk is full: its last requests are not known
        witness.close()
        return True

    def _count_last(self, witness: Witness) -> bool:
        """True when the worker had no connection any more before its counters were read."""
        with state.locked(self._folder, "counters.lock"):
            about, before = witness.about(), self._ledger()
            identity, counts = _identity(about), ledger.counted(witness.rows())
            self._write(before, ledger.folded(before, {identity: counts}, alive={*before["workers"], identity}))
        return about.get("Stopping") == "1" and about.get("CurrConns") == "0"

    def _workers(self) -> dict[str, Any]:
        found = self._master.processes()
        workers = {}
        for pid in (found.worker, *found.old) if found else ():
            about, rows = self._master.about(pid), self._master.rows(pid)
            if about and rows:
                workers[_identity(about)] = ledger.counted(rows)
        return workers

    def _ledger(self) -> ledger.Document:
        """Counters that cannot be believed begin again at zero: they stop no traffic."""
        try:
            text = state.read_text(self._path, LARGEST)
            document = ledger.empty() if text is None else state.parse(self._path.name, text)
        except Damaged:
            return ledger.empty()
        state.refuse_newer(self._path.name, document, ledger.SCHEMA)
        return document if ledger.is_document(document) else ledger.empty()

    def _write(self, before: ledger.Document, after: ledger.Document) -> None:
        if after != before:
            state.write_text(self._path, json.dumps(after, sort_keys=True) + "\n")


def _identity(about: Mapping[str, str]) -> str:
    """A process id comes again after a restart; with its second of birth it does not."""
    return f"{about.get('Start_time_sec', '')}:{about.get('Pid', '')}"
