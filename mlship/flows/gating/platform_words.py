"""What a container tells of itself without being asked: its log's last words, and where it listens. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

LISTENING = "0A"  # of a socket's states in /proc/net/tcp (include/net/tcp_states.h: TCP_LISTEN)
LOOPBACK = ("127.", "::1")


@dataclass(frozen=True, order=True)
class Listener:
    """host: `0.0.0.0`, `127.0.0.1`, `::`."""

    port: int
    host: str

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def is_reached(self) -> bool:
        """From outside the container."""
        return not self.host.startswith(LOOPBACK)


def listeners(tables: Mapping[str, str]) -> tuple[Listener, ...]:
    """tables: `tcp`, `tcp6` -> text of /proc/net/tcp and tcp6."""
    return tuple(sorted({found for text in tables.values() for found in _listed(text)}))


def _listed(text: str) -> Iterator[Listener]:
    for line in text.splitlines()[1:]:
        cells = line.split()
        if len(cells) > 3 and cells[3] == LISTENING:
            host, _, port = cells[1].partition(":")
            yield Listener(int(port, 16), _address(host))


def _address(text: str) -> str:
    """Each 32-bit word of the address is written as this machine holds it: the lowest byte first (x86-64, arm64)."""
    words = [bytes.fromhex(text[at : at + 8])[::-1] for at in range(0, len(text), 8)]
    if len(words) == 1:
        return ".".join(map(str, words[0]))
    raw = b"".join(words)
    return "::" if not any(raw) else "::1" if raw == bytes(15) + b"\x01" else raw.hex()


def last_words(lines: Sequence[str]) -> str:
    """The last error that the server's log names, else the log's last line; empty where there is none."""
    told = ""
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and entry.get("level") in ("error", "warning") and entry.get("message"):
            told = f"{entry['message']}"
            cause = entry.get("error") or entry.get("cause")
            told += f" ({cause})" if isinstance(cause, str) and cause not in told else ""
    return told or next((line.strip() for line in reversed(lines) if line.strip()), "")
