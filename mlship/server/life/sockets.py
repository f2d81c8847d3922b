"""Where the server listens: sockets handed over by systemd's protocol, else its own."""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping
from dataclasses import dataclass

from mlship.server.settings import Settings, SettingsError

FIRST = 3  # of the inherited descriptors: sd_listen_fds(3)
BACKLOG = 4096


@dataclass(frozen=True)
class Sockets:
    """public: for callers. probe: for whoever checks a release before it takes callers. inherited: others hold public too."""

    public: tuple[socket.socket, ...]
    probe: tuple[socket.socket, ...] = ()
    inherited: bool = False

    def close(self) -> None:
        """Closes this process's copies; a socket that another process holds stays open."""
        for sock in (*self.public, *self.probe):
            sock.close()


def sockets_from(settings: Settings, environ: MutableMapping[str, str]) -> Sockets:
    """The inherited sockets by name, with an own public one where none was handed over. Raises SettingsError.

    Takes LISTEN_* out of the environment, so that no child takes the descriptors for its own.
    """
    given = inherited(environ)
    public = tuple(sock for name, sock in given if name != "probe")
    probe = tuple(sock for name, sock in given if name == "probe")
    return Sockets(public or (bound(settings.host, settings.port),), probe, inherited=bool(public))


def inherited(environ: MutableMapping[str, str]) -> list[tuple[str, socket.socket]]:
    """(name, listening socket) of each descriptor handed over. Raises SettingsError when one does not listen."""
    count, names, pid = (environ.pop(key, "") for key in ("LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID"))
    if not count or (pid and pid != str(os.getpid())):
        return []
    if not count.isascii() or not count.isdigit() or not 1 <= int(count) <= 64:
        raise SettingsError(f"LISTEN_FDS is {count!r}; write how many sockets are handed over")
    labels = [*names.split(":"), *[""] * int(count)]
    return [(labels[index], _adopted(FIRST + index)) for index in range(int(count))]


def bound(host: str, port: int) -> socket.socket:
    """A socket bound to the address. It does not listen yet: connections are refused until a worker can answer them."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise SettingsError(f"cannot listen on {host} port {port}: {error.strerror or error}; set PORT to a free one") from None
    sock.setblocking(False)
    return sock


def address(sock: socket.socket) -> str:
    """For people: `127.0.0.1:8080`, or the path of a Unix socket."""
    name = sock.getsockname()
    return f"{name[0]}:{name[1]}" if isinstance(name, tuple) else str(name)


def _adopted(descriptor: int) -> socket.socket:
    try:
        sock = socket.socket(fileno=descriptor)
        listens = bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)) if hasattr(socket, "SO_ACCEPTCONN") else True
    except OSError as error:
        raise SettingsError(f"LISTEN_FDS: descriptor {descriptor} is no socket ({error.strerror})") from None
    if not listens:
        raise SettingsError(f"LISTEN_FDS: descriptor {descriptor} is a socket that does not listen")
    os.set_inheritable(descriptor, False)
    sock.setblocking(False)
    return sock
