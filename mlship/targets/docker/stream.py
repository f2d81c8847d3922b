"""A conversation with the keeper in a container: messages in, messages out, over the engine's multiplexed bytes.

The messages are those of `mlship/keeper/wire.py`: a line with the length, then that many bytes of JSON. The code stands here
a second time because the keeper in an image may be of another version than this one; the form is the contract.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

STDOUT, STDERR = 1, 2
KEPT_COMPLAINT = 4000
LONGEST = 256 * 2**20
END = b"0\n"


class Broken(Exception):
    """The conversation ended, or was none; says why, with what the process complained of."""


def packed(message: Mapping[str, Any]) -> bytes:
    raw = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()
    return b"%d\n%s" % (len(raw), raw)


class Conversation:
    """One process: its standard input and output carry messages, the end of its standard error is kept.

    connection: what docker-py gives for an attached or executed process. timeout_s: how long one answer may take.
    """

    def __init__(self, connection: Any, timeout_s: float) -> None:
        self._kept_open = connection  # the response behind it closes the socket when it is collected
        self._socket = getattr(connection, "_sock", connection)  # a SocketIO only reads; the socket behind it does both
        self._socket.settimeout(timeout_s)
        self._pending = bytearray()
        self._complaint = bytearray()

    def ask(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to one message. Raises Broken."""
        try:
            self._socket.sendall(packed(message))
            return self._message()
        except OSError as error:
            raise Broken(self._complaint_or(f"no answer: {error}")) from None

    def _message(self) -> dict[str, Any]:
        line = self._line()
        if not line.isdigit() or int(line) > LONGEST:
            raise Broken(self._complaint_or("the process ended" if not line else f"it said {line[:40]!r}"))
        size = int(line)
        while len(self._pending) < size:
            if not self._receive():
                raise Broken(self._complaint_or("the process ended in the middle of its answer"))
        raw = bytes(self._pending[:size])
        del self._pending[:size]
        try:
            answer = json.loads(raw)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise Broken("its answer is not a JSON object")
        return answer

    def _line(self) -> bytes:
        while b"\n" not in self._pending and self._receive():
            pass
        line, _, rest = bytes(self._pending).partition(b"\n")
        self._pending = bytearray(rest)
        return line

    def _complaint_or(self, otherwise: str) -> str:
        """The last line of the process's standard error says more than a broken pipe does."""
        lines = self._complaint.decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else otherwise

    def close(self) -> None:
        """Tells the process to end: an engine may not tell an executed one that its caller is gone."""
        with suppress(OSError):
            self._socket.sendall(END)
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
