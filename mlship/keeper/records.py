"""History and lease of one project: read, commit, acquire, renew, release. Every one can be repeated without harm.

The history is opaque but for its `schema` and `generation`. The lease runs by the clock of the machine that has the volume.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mlship.keeper import state
from mlship.keeper.state import Damaged

# A lease that nobody can read ends this long after it was written: nothing is ever unlocked by hand.
UNREADABLE_LEASE_S = 120.0
LONGEST_LEASE_S = 3600.0
# How far a clock may be set back before a lease counts as ended; the generation protects the commit in any case.
CLOCK_STEP_S = 5.0

Reply = dict[str, Any]


class Refused(Exception):
    """The request was understood and is not carried out. code: for machines; more: beside it in the answer."""

    def __init__(self, code: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.code = code
        self.more = more


class Records:
    """The documents in one folder. clock: seconds since the epoch."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._clock = clock
        self._history = folder / "history.json"
        self._lease = folder / "lease.json"

    def read(self) -> Reply:
        """{"history": text or None}. Raises Damaged."""
        text = state.read_text(self._history)
        if text is not None:
            self._generation(text)
        return {"history": text}

    def commit(self, history: str, expected: int, token: str = "") -> Reply:
        """Replaces the history if its generation still is `expected`; the same history again is no error.

        token: of the lease under which this is done; another one's valid lease refuses it. Raises Refused, Damaged, Newer.
        """
        wanted = state.parse("the new history", history)
        if self._generation(history) <= expected:
            raise Refused("invalid", f"the new history has generation {wanted['generation']}, not above {expected}")
        with state.locked(self._folder):
            state.sweep_temporary(self._folder)
            present = state.read_text(self._history)
            if present == history:
                return {"generation": wanted["generation"]}
            if present is not None:
                state.refuse_newer("history.json", state.parse("history.json", present), wanted["schema"])
            found = 0 if present is None else self._generation(present)
            holder = self._valid_lease()
            if found != expected or (holder is not None and token != holder["token"]):
                raise Refused("lease-lost", f"the history has generation {found}, expected was {expected}", generation=found)
            state.write_text(self._history, history)
        return {"generation": wanted["generation"]}

    def acquire(self, token: str, holder: str, ttl_s: float, origin: Mapping[str, Any] | None = None, over: str = "") -> Reply:
        """Takes the lease if it is free or expired, or is the one that `over` names; the same token again renews.

        origin: where the holder runs, kept for others to judge whether it is alive. over: `id` of a lease whose holder is
        known to be dead. Raises Refused with holder, origin, id and seconds left.
        """
        with state.locked(self._folder):
            state.sweep_temporary(self._folder)
            present = self._valid_lease()
            if present is not None and present["token"] != token and lease_id(present["token"]) != over:
                raise Refused(
                    "lease-held",
                    f"{present['holder']} has the lease",
                    holder=present["holder"],
                    origin=present.get("origin"),
                    id=lease_id(present["token"]),
                    seconds_left=present["expires"] - self._clock(),
                )
            return self._write_lease(token, holder, ttl_s, origin)

    def renew(self, token: str) -> Reply:
        """Raises Refused when the lease is somebody else's or was given back; an expired one that nobody took is renewed."""
        with state.locked(self._folder):
            present = self._read_lease()
            if present is None or present["token"] != token:
                raise Refused("lease-lost", "somebody else took the lease meanwhile")
            return self._write_lease(token, present["holder"], present["ttl_s"], present.get("origin"))

    def release(self, token: str) -> Reply:
        with state.locked(self._folder):
            present = self._read_lease()
            if present is not None and present["token"] == token:
                state.remove(self._lease)
        return {}

    def holder(self) -> Reply:
        """Who has the lease now: {"holder": text, empty when nobody has it, "origin"}. Changes nothing."""
        present = self._valid_lease() or {}
        return {"holder": present.get("holder", ""), "origin": present.get("origin")}

    @contextmanager
    def alone(self, token: str) -> Iterator[None]:
        """One change of another document in the folder. Raises Refused while somebody else has the lease.

        token: of the lease under which this is done; refused as well when somebody had the lease since, and gave it back.
        """
        with state.locked(self._folder):
            state.sweep_temporary(self._folder)
            holder = self._valid_lease()
            if holder is not None and token != holder["token"]:
                raise Refused("lease-lost", f"{holder['holder']} has the lease")
            if token and (self._read_lease() or {}).get("token") != token:
                raise Refused("lease-lost", "somebody else had the lease meanwhile")
            yield

    def _generation(self, text: str) -> int:
        generation = state.parse("history.json", text).get("generation")
        if type(generation) is not int or generation < 0:
            raise Damaged("history.json has no generation")
        return generation

    def _write_lease(self, token: str, holder: str, ttl_s: float, origin: Mapping[str, Any] | None) -> Reply:
        if not 0 < ttl_s <= LONGEST_LEASE_S:
            raise Refused("invalid", f"a lease of {ttl_s} s is not between 0 and {LONGEST_LEASE_S:.0f}")
        expires = self._clock() + ttl_s
        document = {
            "schema": state.SCHEMA, "token": token, "holder": holder, "ttl_s": ttl_s, "expires": expires, "origin": origin,
        }  # fmt: skip
        state.write_text(self._lease, json.dumps(document, sort_keys=True) + "\n")
        return {"seconds_left": ttl_s}

    def _valid_lease(self) -> dict[str, Any] | None:
        lease = self._read_lease()
        if lease is None or not 0 < lease["expires"] - self._clock() <= lease["ttl_s"] + CLOCK_STEP_S:
            return None
        return lease

    def _read_lease(self) -> dict[str, Any] | None:
        """None where there is none. One that cannot be believed counts as a stranger's until it must have ended."""
        try:
            text = state.read_text(self._lease)
            if text is None:
                return None
            lease = state.parse("lease.json", text)
            state.refuse_newer("lease.json", lease)
            if not isinstance(lease["token"], str) or not isinstance(lease["holder"], str):
                raise Damaged("lease.json has no holder")
            return {**lease, "expires": float(lease["expires"]), "ttl_s": float(lease["ttl_s"])}
        except (Damaged, KeyError, TypeError, ValueError):
            written = self._lease.lstat().st_mtime
            return {
                "token": "", "holder": "somebody whose lease cannot be read",
                "expires": written + UNREADABLE_LEASE_S, "ttl_s": UNREADABLE_LEASE_S,
            }  # fmt: skip


def lease_id(token: str) -> str:
    """Names a lease without giving its token away."""
    return hashlib.sha256(token.encode()).hexdigest()[:16]
