"""The folder of mlship's own files: it must take files, and the names of sockets in it must not get too long."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from mlship.errors import Finding
from mlship.flows.doctor.ground import Ground


def check(ground: Ground) -> Iterator[Finding]:
    root = ground.context.home.root
    nearest = nearest_existing(root)
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        yield Finding(
            f"{root} cannot be written: {nearest} is not a folder of yours",
            fix="set MLSHIP_HOME to a folder that you may write",
            code="home",
        )
    else:
        yield Finding(str(root), severity="note", code="home")


def nearest_existing(path: Path) -> Path:
    """The path itself, or the first of its parents that is there."""
    return next(place for place in (path, *path.parents) if place.exists())
