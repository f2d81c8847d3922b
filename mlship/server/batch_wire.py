"""What the command and its processes in the image hand each other: frames of a JSON object with bytes behind it.

The command opens with `{"model", "form", "header", "columns", "out", "processes", "place"}` and the first record of a CSV file; the
answer is `{"opened": {...}}`, `{"refused": {...}}` or `{"failed": {...}}`. Then each chunk is `{"first", "count", "form"}` and its
records, answered by `{"answered", "rejected", "failed", "heads", "reason", "size"}` and the answers, `size` bytes, with the rejects
behind them.
Standard library only.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from io import BufferedIOBase
from typing import Any

WIRE = 1  # an image stays as it was built: whoever changes what is said here counts on, and reads what older ones say
SIZES = struct.Struct("!II")  # of the object, of the bytes


def send(stream: BufferedIOBase, told: Mapping[str, Any], body: bytes = b"") -> None:
    """Raises OSError when nobody is there to take it."""
    head = json.dumps(told).encode()
    stream.write(SIZES.pack(len(head), len(body)) + head)
    stream.write(body)
    stream.flush()


def receive(stream: BufferedIOBase) -> tuple[dict[str, Any], bytes] | None:
    """The next frame; None when the other side is gone."""
    sizes = stream.read(SIZES.size)
    if len(sizes) < SIZES.size:
        return None
    length, size = SIZES.unpack(sizes)
    head, body = stream.read(length), stream.read(size)
    return (json.loads(head), body) if len(head) == length and len(body) == size else None
