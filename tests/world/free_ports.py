"""Ports for servers that start a while later."""

from __future__ import annotations

import random
import socket
from contextlib import suppress

# below the range from which the kernel gives callers theirs (ip_local_port_range, 32768 on): nobody takes one by chance meanwhile
RANGE = range(20_000, 30_000)


def free_port() -> int:
    """One on which nobody listens now."""
    for port in random.SystemRandom().sample(RANGE, 200):
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError(f"no port of {RANGE} is free")
