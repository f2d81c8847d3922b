"""Who gets which share of the callers: the front's document (`front.json`) as a value. Pure.

The document is the truth about traffic; the keeper renders HAProxy's configuration from it (mlship/keeper).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mlship.targets.docker.spec import INNER_PORT, release_of

SCHEMA = 1
BUFSIZE = 65536  # bytes; a request whose head and body fit is sent again when a replica dies before it answers
# How long an idle connection of a caller is kept: bounds how long the old front worker lives after a reload.
KEEP_ALIVE_S = 5.0
FULL = 256  # HAProxy's greatest weight

Document = Mapping[str, Any]


@dataclass(frozen=True)
class Server:
    """A replica as the front knows it. name: as spec.server_name. weight: 0..256, of all weights together."""

    name: str
    address: str
    weight: int = FULL

    @property
    def release(self) -> str:
        return release_of(self.name)


def servers_of(document: Document | None) -> tuple[Server, ...]:
    entries = document["servers"] if document else ()
    return tuple(Server(entry["name"], entry["address"], entry["weight"]) for entry in entries)


def of_release(document: Document | None, release: str) -> tuple[Server, ...]:
    return tuple(server for server in servers_of(document) if server.release == release)


def shares(document: Document | None) -> dict[str, float]:
    """release id -> share of the callers in [0, 1]; releases at 0 are named too. Empty where nothing serves."""
    servers = servers_of(document)
    total = sum(server.weight for server in servers)
    found: dict[str, float] = {}
    for server in servers:
        found[server.release] = found.get(server.release, 0.0) + (server.weight / total if total else 0.0)
    return found


def document(settings: Mapping[str, Any], request_timeout_s: float, servers: Iterable[Server], tls: Any = None) -> Document:
    """settings: `limits` as {"rate": "100/s", "connections": 50} for each caller's address; what is left out has no limit."""
    limits = settings.get("limits") or {}
    rate = str(limits.get("rate") or 0).removesuffix("/s")
    return {
        "schema": SCHEMA,
        "port": INNER_PORT,
        "bufsize": BUFSIZE,
        "request_timeout_s": float(request_timeout_s),
        "keep_alive_s": KEEP_ALIVE_S,
        "tls": tls,
        "limits": {"rate": int(rate), "connections": int(limits.get("connections") or 0)},
        "servers": entries(servers),
    }


def with_servers(present: Document, servers: Iterable[Server]) -> Document:
    return {**present, "servers": entries(servers)}


def entries(servers: Iterable[Server]) -> list[dict[str, Any]]:
    return [
        {
            "name": server.name,
            "release": server.release,
            "address": server.address,
            "port": INNER_PORT,
            "weight": server.weight,
        }
        for server in servers
    ]


def at_share(new: Iterable[Server], old: Iterable[Server], share: float) -> tuple[Server, ...]:
    """Both releases' servers, weighted so that `share` of the callers reach the new one."""
    new, old = tuple(new), tuple(old)
    new_weight, old_weight = weights(share, len(new), len(old))
    return (
        *(Server(server.name, server.address, old_weight) for server in old),
        *(Server(server.name, server.address, new_weight) for server in new),
    )


def weights(share: float, new: int, old: int) -> tuple[int, int]:
    """Weights of one new and one old server, in whole numbers up to 256, whose shares come nearest to what is wanted.

    share: of the new ones together, in [0, 1]; new, old: how many there are.
    """
    if share <= 0 or not new:
        return 0, FULL
    if share >= 1 or not old:
        return FULL, 0
    ratio = share * old / ((1 - share) * new)  # of a new server's weight to an old one's

    def pair(old_weight: int) -> tuple[int, int]:
        return min(max(round(old_weight * ratio), 1), FULL), old_weight

    def error(weights: tuple[int, int]) -> float:
        return abs(new * weights[0] / (new * weights[0] + old * weights[1]) - share)

    best = min((pair(weight) for weight in range(1, FULL + 1)), key=lambda weights: (round(error(weights), 9), sum(weights)))
    # As large as they may be, so that a later step is a change of the same servers' weights and never of their order.
    scale = FULL // max(best)
    return best[0] * scale, best[1] * scale
