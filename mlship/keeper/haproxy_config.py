"""The wanted traffic as HAProxy's configuration; pure. Nothing reaches the text but what is checked here.

The points of the recipe were measured (tests/world/test_keeper_front.py): `idle-close-on-response` so that a reload closes no
connection that a caller is about to use; one retry on another replica, so that a dead one costs nobody an answer and a request
that kills replicas kills two at most; never a retry on 503, which is an answer; calm checks, because hasty ones take out
healthy replicas on a busy machine; a failed request brings a check forward, a second one before that check has passed takes the
replica out (waiting for five cost other callers of a crashed replica their answers, checks alone see a frozen one after 9 s); a
back end without checks for when all are out.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SCHEMA = 1
CHECKED, PANIC = "model", "panic"  # the back ends: the same servers with checks, and without any
CALLERS = "callers"
FOLDER = Path("/state/front")
LARGEST_WEIGHT = 256
MOST_SERVERS = 1000

# A replica answers 503 or 504 itself when its own time is over; the front waits this much longer for it.
ANSWER_MARGIN_S = 1.0
CLIENT_S = 30.0  # how long a caller may pause in the middle of sending or reading
HEAD_S = 10.0  # how long the head of a request may take
CONNECT_S = 1.0  # on one engine a connection takes microseconds; a vanished address costs a retry this long
IDLE_REPLICA_S = (
    5.0  # shorter than a replica keeps an idle connection (server/http/connection.py: 75), so that it never closes first
)
MOST_CONNECTIONS = 2000  # with 64 KiB buffers at most 256 MiB when all are busy at once; the others wait in the backlog

_RELEASE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_ORDINAL = re.compile(r"[1-9][0-9]{0,5}", re.ASCII)
_CERTIFICATE = re.compile(r"[0-9a-f]{64}", re.ASCII)
_ERRORS = {  # status -> code and message, as the replicas' own server words its errors
    400: ("bad_request", "The request is not HTTP that can be understood."),
    408: ("timeout", "The request did not arrive in time."),
    429: ("too_many_requests", "This caller sends more than is allowed; wait a moment."),
    500: ("internal", "The front could not handle the request."),
    502: ("bad_gateway", "The replica ended before it answered."),
    503: ("unavailable", "No replica is ready."),
    504: ("timeout", "The replica did not answer in time."),
}


class Unfit(ValueError):
    """A document that cannot be a configuration; says where and why."""


def render(front: Mapping[str, Any], folder: Path = FOLDER) -> str:
    """The whole haproxy.cfg of a document of schema 1. folder: the front's, where HAProxy runs. Raises Unfit."""
    return _text(checked(front), folder, shape(front))


def ejected(front: Mapping[str, Any], folder: Path) -> str:
    """The same for somebody's own HAProxy, without the keeper's socket. folder: where it finds tls/. Raises Unfit."""
    return _text(checked(front), folder, "", keeper=False)


def shape(front: Mapping[str, Any]) -> str:
    """Names everything of the document but the weights: those change in a running worker, the rest needs a reload."""
    document = checked(front)
    servers = [{**server, "weight": 0} for server in document["servers"]]
    return hashlib.sha256(_text({**document, "servers": servers}, FOLDER, "").encode()).hexdigest()[:32]


def checked(front: Mapping[str, Any]) -> dict[str, Any]:
    """The same document, when every value in it is fit for the file. Raises Unfit."""
    _keys(
        "front",
        front,
        {"schema", "port", "bufsize", "request_timeout_s", "keep_alive_s", "tls", "limits", "servers"},
    )
    if front["schema"] != SCHEMA or type(front["schema"]) is not int:
        raise Unfit(f"front.schema is {_shown(front['schema'])}, known is {SCHEMA}")
    _whole("front.port", front["port"], 1, 65535)
    _whole("front.bufsize", front["bufsize"], 16384, 2**20)
    _seconds("front.request_timeout_s", front["request_timeout_s"], 0.001, 3600)
    _seconds("front.keep_alive_s", front["keep_alive_s"], 0.1, 3600)
    _tls(front["tls"])
    _keys("front.limits", front["limits"], {"rate", "connections"})
    for name in ("rate", "connections"):
        _whole(f"front.limits.{name}", front["limits"][name], 0, 1_000_000)
    _servers(front["servers"])
    return {**front, "limits": dict(front["limits"]), "servers": [dict(server) for server in front["servers"]]}


def _servers(servers: Any) -> None:
    if not isinstance(servers, list) or len(servers) > MOST_SERVERS:
        raise Unfit(f"front.servers is not a list of at most {MOST_SERVERS}")
    for position, server in enumerate(servers):
        _server(f"front.servers[{position}]", server)
    for key in ("name", "address"):
        values = [(server[key], server["port"] if key == "address" else 0) for server in servers]
        if len(set(values)) != len(values):
            raise Unfit(f"front.servers has two with the same {key}")


def _server(where: str, server: Any) -> None:
    _keys(where, server, {"name", "release", "address", "port", "weight"})
    release, name = server["release"], server["name"]
    if not isinstance(release, str) or not _RELEASE.fullmatch(release):
        raise Unfit(f"{where}.release is {_shown(release)}, no release")
    if not isinstance(name, str) or not name.startswith(f"{release}-") or not _ORDINAL.fullmatch(name[len(release) + 1 :]):
        raise Unfit(f"{where}.name is {_shown(name)}, not {release}-<number>")
    try:
        fit = str(ipaddress.IPv4Address(server["address"])) == server["address"]
    except ValueError:
        fit = False
    if not fit:
        raise Unfit(f"{where}.address is {_shown(server['address'])}, no IPv4 address")
    _whole(f"{where}.port", server["port"], 1, 65535)
    _whole(f"{where}.weight", server["weight"], 0, LARGEST_WEIGHT)


def _tls(tls: Any) -> None:
    if tls is None:
        return
    _keys("front.tls", tls, {"certificate"})
    if not isinstance(tls["certificate"], str) or not _CERTIFICATE.fullmatch(tls["certificate"]):
        raise Unfit(f"front.tls.certificate is {_shown(tls['certificate'])}, not 64 hexadecimal digits")


def _keys(where: str, value: Any, wanted: set[str]) -> None:
    if not isinstance(value, Mapping) or set(value) != wanted:
        raise Unfit(f"{where} does not have exactly the keys {', '.join(sorted(wanted))}")


def _whole(where: str, value: Any, least: int, most: int) -> None:
    if type(value) is not int or not least <= value <= most:
        raise Unfit(f"{where} is {_shown(value)}, not a whole number from {least} to {most}")


def _seconds(where: str, value: Any, least: float, most: float) -> None:
    if type(value) not in (int, float) or not math.isfinite(value) or not least <= value <= most:
        raise Unfit(f"{where} is {_shown(value)}, not a number of seconds from {least} to {most}")


def _shown(value: Any) -> str:
    return repr(value)[:80]


def _text(front: Mapping[str, Any], folder: Path, description: str, *, keeper: bool = True) -> str:
    server_s = front["request_timeout_s"] + ANSWER_MARGIN_S
    # Long enough for what runs and for idle callers to come back once; then an old worker ends whatever still hangs.
    hard_stop_s = front["keep_alive_s"] + max(server_s, CLIENT_S)
    bind = f":{front['port']}"
    if front["tls"] is not None:
        bind += f" ssl crt {folder}/tls/{front['tls']['certificate']}.pem ssl-min-ver TLSv1.2 alpn http/1.1"
    socket = [f"    stats socket {folder}/run/worker.sock mode 666 level operator", "    stats timeout 60s"]
    lines = [
        *(["# Written by mlship from front.json; changes are lost."] if keeper else []),
        "global",
        *([f"    description {description}"] if description else []),
        "    log stdout format raw daemon notice",
        f"    maxconn {MOST_CONNECTIONS}",
        "    nbthread 2",
        f"    hard-stop-after {_ms(hard_stop_s)}",
        f"    tune.bufsize {front['bufsize']}",
        *(socket if keeper else []),
        "",
        "defaults",
        "    mode http",
        "    log global",
        "    option idle-close-on-response",
        "    option forwardfor",
        "    option redispatch 1",
        "    retries 1",
        "    retry-on conn-failure empty-response",
        f"    timeout connect {_ms(CONNECT_S)}",
        f"    timeout server {_ms(server_s)}",
        f"    timeout queue {_ms(server_s)}",
        f"    timeout client {_ms(max(server_s, CLIENT_S))}",
        f"    timeout http-request {_ms(HEAD_S)}",
        f"    timeout http-keep-alive {_ms(front['keep_alive_s'])}",
        "    timeout check 2s",
        *(f"    http-error status {status} {_error(status)}" for status in _ERRORS if status != 429),
        "",
        f"frontend {CALLERS}",
        f"    bind {bind}",
        # The caller's own id when it is short and harmless, else a new one, as the replicas' server judges it.
        "    http-request set-header X-Request-Id %[uuid()] unless { req.hdr(x-request-id) -m reg ^[A-Za-z0-9._:/+=-]{1,128}$ }",
        "    http-request set-var(txn.id) req.hdr(x-request-id)",
        *_limits(front["limits"]),
        *(["    http-request set-header X-Forwarded-Proto https"] if front["tls"] is not None else []),
        f"    use_backend {PANIC} if {{ nbsrv({CHECKED}) eq 0 }}",
        f"    default_backend {CHECKED}",
        "",
        f"backend {CHECKED}",
        "    balance roundrobin",
        "    option httpchk",
        "    http-check send meth GET uri /readyz ver HTTP/1.1 hdr Host replica",
        "    http-check expect status 200",
        f"    default-server check inter 1s fall 3 rise 1 pool-purge-delay {_ms(IDLE_REPLICA_S)}",
        "    default-server observe layer7 error-limit 1 on-error sudden-death fastinter 50ms",
        *_server_lines(front["servers"]),
        "",
        f"backend {PANIC}",
        "    balance roundrobin",
        f"    default-server pool-purge-delay {_ms(IDLE_REPLICA_S)}",
        *_server_lines(front["servers"]),
    ]
    return "\n".join(lines) + "\n"


def _limits(limits: Mapping[str, int]) -> list[str]:
    if not any(limits.values()):
        return []
    deny = f"    http-request deny deny_status 429 {_error(429)} hdr Retry-After 1"
    return [
        "    stick-table type ip size 100k expire 10s store conn_cur,gpc0_rate(1s)",
        "    tcp-request connection track-sc0 src",
        *(_connections(limits["connections"], deny) if limits["connections"] else []),
        # Only what is let through counts: who asks too often still gets the allowed share.
        *([f"{deny} if {{ sc0_gpc0_rate ge {limits['rate']} }}", "    http-request sc-inc-gpc0(0)"] if limits["rate"] else []),
    ]


def _connections(most: int, deny: str) -> list[str]:
    """Only a connection that came when all were taken is refused, and only until another one is free: one too many must not

    cost a caller the answers on those that it may have.
    """
    is_above = f"{{ sc0_conn_cur gt {most} }}"
    return [
        f"    tcp-request session set-var(sess.above) bool(true) if {is_above}",
        f"{deny} if {{ var(sess.above) -m bool }} {is_above}",
    ]


def _server_lines(servers: list[Mapping[str, Any]]) -> list[str]:
    return [
        f"    server {server['name']} {server['address']}:{server['port']} weight {server['weight']}"
        for server in sorted(servers, key=lambda server: str(server["name"]))
    ]


def _error(status: int) -> str:
    """The answer of the replicas' own server in the words of HAProxy. A request that was not understood has no id."""
    code, message = _ERRORS[status]
    named = status not in (400, 408)
    said = {"error": {"code": code, "message": message, "problems": []}, "request_id": "%[var(txn.id)]" if named else ""}
    kind = "content-type application/json"
    return (
        f"{kind} lf-string '{json.dumps(said)}' hdr X-Request-Id %[var(txn.id)]"
        if named
        else f"{kind} string '{json.dumps(said)}'"
    )


def _ms(seconds: float) -> str:
    return f"{max(1, round(seconds * 1000))}ms"
