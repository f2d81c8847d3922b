"""How many threads the operators of one model may have in this process."""

from __future__ import annotations

import os


def threads() -> int:
    """This worker's part of the quota, as life/cores.py has set it for every pool; 1 where nobody has."""
    told = os.environ.get("OMP_NUM_THREADS", "")
    return int(told) if told.isdigit() and int(told) else 1
