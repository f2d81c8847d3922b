"""Messages over a byte stream: a line with the length, then that many bytes of JSON.

The length goes first because not every transport of an engine can close one direction and keep the other; for the same reason the
length 0 ends the conversation.
"""

from __future__ import annotations

import json
from typing import Any, Protocol

LIMIT = 256 * 2**20


class Stream(Protocol):
    """What is read from; a read may give less than was asked for."""

    def readline(self, size: int = -1, /) -> bytes: ...

    def read(self, size: int = -1, /) -> bytes: ...


class WireError(ValueError):
    """The other side does not speak this."""


def pack(message: Any) -> bytes:
    raw = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()
    return b"%d\n%s" % (len(raw), raw)


def read(stream: Stream) -> Any:
    """The next message, or None at the end. Raises WireError."""
    line = stream.readline(16)
    if not line:
        return None
    if not line.endswith(b"\n") or not line[:-1].isdigit() or int(line) > LIMIT:
        raise WireError(f"{line[:16]!r} is not the length of a message")
    size = int(line)
    if not size:
        return None
    raw = _exactly(stream, size)
    try:
        return json.loads(raw)
    except ValueError as error:
        raise WireError(f"a message is not JSON: {error}") from None


def _exactly(stream: Stream, size: int) -> bytes:
    parts: list[bytes] = []
    missing = size
    while missing:
        part = stream.read(min(missing, 2**20))
        if not part:
            raise WireError(f"a message of {size} bytes ended {missing} bytes too early")
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)
