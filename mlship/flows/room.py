"""Whether the disk has room for models, asked before anything is written: all else of an image is small beside a large one."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from mlship.errors import Exit, MlshipError
from mlship.flows.gather import Gathered
from mlship.flows.layers import model_plans
from mlship.frameworks.base import ModelSpec
from mlship.image.builder import is_made
from mlship.image.plan import LayerPlan
from mlship.image.workplace import Workplace
from mlship.units import size_text

SPARE = 64 * 2**20  # bytes that stay free, for what is written besides


def refuse_full_disk(workplace: Workplace, platforms: Sequence[Gathered]) -> None:
    """Raises MlshipError with exit 5 when the layers of the models that are not made yet do not fit. A layer is counted as if
    compressing saved nothing."""
    plans = (plan for spec in platforms[0].specs for plan in model_plans(spec) if not is_made(workplace, plan))
    needed = stored_bytes(platforms[0].specs, plans)
    if needed:
        place = workplace.home.root
        existing = next(folder for folder in (place, *place.parents) if folder.exists())
        refuse_less(needed + SPARE, shutil.disk_usage(existing).free, place)


def stored_bytes(specs: Iterable[ModelSpec], plans: Iterable[LayerPlan]) -> int:
    """Pure."""
    sizes = {file.path: file.size for spec in specs for file in spec.files}
    return sum(sizes[file.source] for plan in plans for file in plan.files if file.source)


def refuse_less(needed: int, free: int, place: Path) -> None:
    """Raises MlshipError with exit 5 when less than `needed` bytes are free. Pure."""
    if free < needed:
        raise MlshipError(
            f"the layers of the models need {size_text(needed)} ({needed} bytes) below {place}, "
            f"and {size_text(free)} ({free} bytes) are free",
            where=str(place),
            fix="free some space there, or set MLSHIP_HOME to another disk; nothing was written",
            exit=Exit.BUILD_FAILED,
            code="disk",
        )
