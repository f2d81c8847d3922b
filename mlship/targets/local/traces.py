"""What the holder leaves on disk: its state for whoever comes after it, and logs that stay bounded. Standard library only."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from mlship.targets.local.protocol import STATE, HolderView

LOG_LIMIT = 10_000_000  # bytes; one older file of the same size is kept


def write_state(view: HolderView, durable: bool) -> None:
    """state.json in the current folder, whole or as before. durable: must survive a power cut. Raises OSError when the disk refuses."""
    temporary = Path(f".{STATE}.new")  # one writer only: whoever has the lock
    try:
        with temporary.open("wb") as file:
            file.write(json.dumps(asdict(view)).encode())
            file.flush()
            if durable:
                os.fsync(file.fileno())
        temporary.replace(STATE)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def rotate(log: Path, limit: int = LOG_LIMIT) -> None:
    """Copies and truncates: servers keep the file open, and must be able to write when the holder is gone."""
    with suppress(OSError):
        if log.stat().st_size > limit:
            shutil.copyfile(log, log.with_name(f"{log.name}.1"))
            os.truncate(log, 0)
