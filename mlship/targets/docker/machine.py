"""What this machine says of itself, where the engine runs on it: ports and memory."""

from __future__ import annotations

import platform
import socket
from collections.abc import Sequence
from pathlib import Path

from mlship.targets.docker.spec import Address

# What the rest of the machine needs meanwhile, and what a replica takes more than one that has run for a while.
RESERVE = 256 * 2**20
MARGIN = 1.25


def room(free: int, used: Sequence[int], limit: int) -> int:
    """How many more replicas there is memory for. free: bytes. used: by each replica that runs. limit: of one replica.

    A replica takes what its like take, whatever its limit allows it; of the very first one only the limit is known.
    """
    need = min(int(max(used) * MARGIN), limit) if used else limit
    return max((free - RESERVE) // max(need, 1), 0)


def unbindable(address: Address) -> str:
    """Why a program cannot listen there, or empty. Ports that only root may open are the engine's business."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address.host, address.port))
        except PermissionError:
            return ""
        except OSError as error:
            return (error.strerror or str(error)).lower()
    return ""


def free_memory() -> int:
    """Bytes that programs can still take; 0 where the system does not tell."""
    if platform.system() != "Linux":
        return 0
    lines = Path("/proc/meminfo").read_text().splitlines()
    found = next((line for line in lines if line.startswith("MemAvailable:")), "")
    return int(found.split()[1]) * 1024 if found else 0
