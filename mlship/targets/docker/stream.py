"""A conversation with a process in a container: bytes in, multiplexed bytes out."""

from __future__ import annotations

import struct
from typing import Any

STDOUT, STDERR = 1, 2
KEPT_COMPLAINT = 4000


class Conversation:
    """Reads the process's standard output as a stream, keeps the end of its standard error, writes its standard input.

    Implements keeper.wire.Stream. Raises OSError, TimeoutError among them, as sockets do.
    """

    def __init__(self, connection: Any, timeout_s: float) -> None:
        self._kept_open = connection  # the response behind it closes the socket when it is collected
        self._socket = getattr(connection, "_sock", connection)  # a SocketIO only reads; the socket behind it does both
        self._socket.settimeout(timeout_s)
        self._pending = bytearray()
        self._complaint = bytearray()

    @property
    def complaint(self) -> str:
        """The end of what the process said on its standard error."""
        return self._complaint.decode(errors="replace").strip()

    def write(self, content: bytes) -> None:
        self._socket.sendall(content)

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` bytes; empty at the end."""
        while not self._pending and self._receive():
            pass
        part = bytes(self._pending[:size])
        del self._pending[:size]
        return part

    def readline(self, size: int = -1, /) -> bytes:
        while b"\n" not in self._pending and len(self._pending) < size and self._receive():
            pass
        found = self._pending.find(b"\n")
        length = min(size, found + 1 if found >= 0 else len(self._pending))
        part = bytes(self._pending[:length])
        del self._pending[:length]
        return part

    def close(self) -> None:
        self._socket.close()
        self._kept_open.close()

    def _receive(self) -> bool:
        """One frame: eight bytes of header (stream, 0, 0, 0, length), then the content. False at the end."""
        header = self._exactly(8)
        if len(header) < 8:
            return False
        stream, length = struct.unpack(">BxxxL", header)
        content = self._exactly(length)
        if stream == STDERR:
            self._complaint = (self._complaint + content)[-KEPT_COMPLAINT:]
        else:
            self._pending += content
        return bool(len(content) == length)

    def _exactly(self, length: int) -> bytes:
        got = bytearray()
        while len(got) < length:
            part = self._socket.recv(min(length - len(got), 2**16))
            if not part:
                break
            got += part
        return bytes(got)
