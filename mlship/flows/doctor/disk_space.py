"""Room for images and caches."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from mlship.errors import Finding
from mlship.flows.doctor.ground import Ground
from mlship.flows.doctor.home_folder import nearest_existing
from mlship.units import size_text

# A scikit-learn image takes 250 MB packed and unpacked; its downloads and the caches that make the next build quick 400 MB.
NEEDED = 1_000_000_000
COMFORTABLE = 5_000_000_000


def check(ground: Ground) -> Iterator[Finding]:
    root = ground.context.home.root
    yield space_finding(shutil.disk_usage(nearest_existing(root)).free, str(root))


def space_finding(free: int, root: str) -> Finding:
    """Pure. free: bytes."""
    said = f"{size_text(free)} free"
    fix = f"free some space, delete {root}/cache (it is made again), or set MLSHIP_HOME to a larger disk"
    if free < NEEDED:
        return Finding(f"{said}; a build takes up to {size_text(NEEDED)}", root, fix, code="disk")
    if free < COMFORTABLE:
        return Finding(f"{said}; a few images will fill it", root, fix, "warning", "disk")
    return Finding(said, root, severity="note", code="disk")
