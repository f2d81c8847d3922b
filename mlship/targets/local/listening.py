"""Listening sockets and probes of a local service. Standard library only; part of the holder."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import json
import os
import socket
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

FIRST_PORT = 8080
LAST_PORT = 8979
BACKLOG = 4096  # the kernel's own default limit, net.core.somaxconn
PROBE_TIMEOUT_S = 2.0
SYS_PIDFD_GETFD = 438  # Linux 5.6, the same number on every architecture


class Refused(Exception):
    """What was asked for cannot be done; the text says why, the code is for machines."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


def listen_from(host: str, port: int) -> socket.socket:
    """Listens on the port; 0: on the first free one from 8080 on."""
    if port:
        return listen(host, port)
    for candidate in range(FIRST_PORT, LAST_PORT + 1):
        with suppress(Refused):
            return listen(host, candidate)
    raise Refused("port-taken", f"no port from {FIRST_PORT} to {LAST_PORT} is free on {host}")


def listen(host: str, port: int) -> socket.socket:
    """Raises Refused: `port-taken`, or `cannot-listen` for an address that is not of this machine and the like."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        made = socket.socket(family, kind, protocol)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind(address)
            made.listen(BACKLOG)
        except BaseException:
            made.close()
            raise
        return made
    except OSError as error:
        code = "port-taken" if error.errno == errno.EADDRINUSE else "cannot-listen"
        raise Refused(code, f"port {port} on {host}: {error.strerror or error}") from None


def take_over(pids: Iterable[int], host: str, port: int) -> socket.socket | None:
    """The listening socket on host and port that one of the processes has; None where none has it, or the kernel refuses."""
    libc = ctypes.CDLL(None, use_errno=True)
    for pid in pids:
        with suppress(OSError):
            handle = os.pidfd_open(pid)
            try:
                for entry in Path(f"/proc/{pid}/fd").iterdir():
                    if str(entry.readlink()).startswith("socket:"):
                        number = libc.syscall(SYS_PIDFD_GETFD, handle, int(entry.name), 0)
                        if number >= 0 and (found := _if_listens(number, host, port)):
                            return found
            finally:
                os.close(handle)
    return None


def _if_listens(number: int, host: str, port: int) -> socket.socket | None:
    os.set_inheritable(number, False)
    found = socket.socket(fileno=number)
    try:
        address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][4]
        listens = found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        if found.family != socket.AF_UNIX and listens and found.getsockname()[:2] == address[:2]:
            return found
    except OSError:
        pass
    found.close()
    return None


async def ask(port: int, path: str) -> tuple[int, bytes]:
    """GET on a probe socket. Status 0: nothing answered in time."""
    try:
        return await asyncio.wait_for(_get(port, path), PROBE_TIMEOUT_S)
    except (OSError, TimeoutError, ValueError, IndexError):
        return 0, b""


async def _get(port: int, path: str) -> tuple[int, bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        head, _, body = (await reader.read(-1)).partition(b"\r\n\r\n")
        return int(head.split(b" ", 2)[1]), body
    finally:
        writer.close()


async def is_accepting(port: int) -> bool:
    status, body = await ask(port, "/mlship/release")
    if status != 200:
        return False
    try:
        document = json.loads(body)
    except ValueError:
        return False
    return isinstance(document, dict) and document.get("accepting") is True
