"""What the front has counted, added up over reloads and restarts: a worker's own counters end with it. Pure.

The document: {"schema", "workers": {identity: last counters seen}, "servers": {name: totals}, "front": totals,
"seen": {name: epoch when it was last wanted}}. Counters of one worker only grow; what it has more than last time is added.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mlship.keeper.haproxy import Row
from mlship.keeper.haproxy_config import CALLERS, CHECKED, PANIC

SCHEMA = 1
KEPT_RELEASES = 5
MOST_NAMES = 2000

Counts = dict[str, int]
Document = dict[str, Any]

# What the caller of `front_read` gets -> the columns of `show stat` that are added up for it.
SERVER_COLUMNS = {
    "requests": ("req_tot", "econ"),  # one that could not be connected to was sent nothing, but its caller was answered 503
    "errors": ("hrsp_5xx", "econ", "eresp"),
    "retries": ("wretr",),
    "redispatches": ("wredis",),
}
FRONT_COLUMNS = {"requests": ("req_tot",), "errors": ("hrsp_5xx",), "denied": ("dreq",)}


def empty() -> Document:
    return {"schema": SCHEMA, "workers": {}, "servers": {}, "front": dict.fromkeys(FRONT_COLUMNS, 0), "seen": {}}


def is_document(document: Mapping[str, Any]) -> bool:
    """Whether everything in it is what the functions below count on."""
    workers, servers, front, seen = (document.get(name) for name in ("workers", "servers", "front", "seen"))
    if not isinstance(workers, dict) or not isinstance(servers, dict) or not isinstance(seen, dict):
        return False
    return (
        all(map(_is_counts, [front, *servers.values()]))
        and all(map(_is_worker, workers.values()))
        and all(isinstance(entry, dict) and _is_entry(entry) for entry in seen.values())
    )


def _is_worker(worker: Any) -> bool:
    if not isinstance(worker, dict) or not isinstance(worker.get("servers"), dict):
        return False
    return all(map(_is_counts, [worker.get("front"), *worker["servers"].values()]))


def _is_counts(counts: Any) -> bool:
    return isinstance(counts, dict) and all(type(value) is int and value >= 0 for value in counts.values())


def _is_entry(entry: Mapping[str, Any]) -> bool:
    return isinstance(entry.get("release"), str) and type(entry.get("at")) in (int, float)


def counted(rows: Iterable[Row]) -> dict[str, Any]:
    """One worker's counters: {"servers": {name: counts}, "front": counts}. Both back ends of a server are one."""
    servers: dict[str, Counts] = {}
    front = dict.fromkeys(FRONT_COLUMNS, 0)
    for row in rows:
        if row["pxname"] == CALLERS and row["svname"] == "FRONTEND":
            front = _sums(row, FRONT_COLUMNS)
        elif row["pxname"] in (CHECKED, PANIC) and row["svname"] not in ("FRONTEND", "BACKEND"):
            servers[row["svname"]] = _added(servers.get(row["svname"], {}), _sums(row, SERVER_COLUMNS))
    return {"servers": servers, "front": front}


def folded(document: Document, workers: Mapping[str, Mapping[str, Any]], alive: Iterable[str]) -> Document:
    """The ledger with what these workers have counted since. alive: identities that may be asked again later."""
    servers, front = dict(document["servers"]), dict(document["front"])
    for identity, counts in workers.items():
        last = document["workers"].get(identity, {"servers": {}, "front": {}})
        front = _added(front, _grown(last["front"], counts["front"]))
        for name, values in counts["servers"].items():
            servers[name] = _added(servers.get(name, {}), _grown(last["servers"].get(name, {}), values))
    known = {**document["workers"], **workers}
    kept = {identity: known[identity] for identity in alive if identity in known}
    return {**document, "workers": kept, "servers": servers, "front": front}


def wanted(document: Document, servers: Mapping[str, str], now: float) -> Document:
    """The ledger that knows these servers (name -> release), and forgets those of all but the last few releases."""
    seen = {**document["seen"], **{name: {"release": release, "at": now} for name, release in servers.items()}}
    last: dict[str, float] = {}
    for entry in seen.values():
        last[entry["release"]] = max(entry["at"], last.get(entry["release"], 0.0))
    kept = {*sorted(last, key=lambda release: last[release])[-KEPT_RELEASES:], *servers.values()}
    known = sorted((name for name in seen if seen[name]["release"] in kept), key=lambda name: seen[name]["at"])
    seen = {name: seen[name] for name in known[-max(MOST_NAMES, len(servers)) :]}
    totals = {name: document["servers"].get(name, dict.fromkeys(SERVER_COLUMNS, 0)) for name in seen}
    return {**document, "seen": seen, "servers": totals}


def totals(document: Document) -> dict[str, Any]:
    """As `front_read` answers."""
    return {"servers": document["servers"], "front": document["front"]}


def _sums(row: Row, columns: Mapping[str, tuple[str, ...]]) -> Counts:
    return {name: sum(number(row, column) for column in of) for name, of in columns.items()}


def number(row: Row, column: str) -> int:
    """0 where the column is empty or missing."""
    value = row.get(column) or ""
    return int(value) if value.isascii() and value.isdigit() else 0


def _added(left: Mapping[str, int], right: Mapping[str, int]) -> Counts:
    return {name: left.get(name, 0) + right.get(name, 0) for name in {**left, **right}}


def _grown(before: Mapping[str, int], after: Mapping[str, int]) -> Counts:
    """What was added since; counters that went back (somebody cleared them) are counted from zero."""
    return {name: value - before.get(name, 0) if value >= before.get(name, 0) else value for name, value in after.items()}
