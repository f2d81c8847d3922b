"""Whether this process has a GPU. Standard library only: life/cards.py says so before a framework is imported."""

from __future__ import annotations

import os
from collections.abc import Mapping

GPU = "MLSHIP_GPU"  # name of the one GPU that this process sees; only a worker that was given one has it


def has_gpu(environ: Mapping[str, str] = os.environ) -> bool:
    """False in a build, and in a worker of a server without resources.gpu: models are on the CPU there."""
    return bool(environ.get(GPU))
