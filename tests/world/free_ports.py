"""Ports for servers that start a while later: no two tests of this machine get the same one, whichever process they run in."""

from __future__ import annotations

import fcntl
import random
import socket
import tempfile
from contextlib import suppress
from pathlib import Path

# below the range from which the kernel gives callers theirs (ip_local_port_range, 32768 on): nobody takes one by chance meanwhile
RANGE = range(20_000, 30_000)
LAST = Path(tempfile.gettempdir()) / "mlship-tests-last-port"


def free_port() -> int:
    """One on which nobody listens now, and that nobody was given for thousands of calls."""
    with LAST.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        said = file.read().strip()
        last = int(said) if said.isdigit() and int(said) in RANGE else random.SystemRandom().choice(RANGE)
        for step in range(1, len(RANGE)):
            port = RANGE[(last - RANGE.start + step) % len(RANGE)]
            with suppress(OSError), socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
                file.truncate(0)
                file.write(str(port))
                return port
    raise AssertionError(f"no port of {RANGE} is free")
