"""Whose framework a class is that the user names as loader: PyTorch's where the file holds weights, else their own."""

from __future__ import annotations

from pathlib import Path

from mlship.errors import MlshipError
from mlship.frameworks.detect import detect

WEIGHTS = ("state_dict", "safetensors")


def framework_of_loader(path: Path) -> str:
    """`torch` or `python`. What lies at the path may be of any kind, or nothing at all."""
    try:
        found = detect(path)
    except MlshipError:
        return "python"
    if found.framework == "torchserve":
        return "torch"
    return "torch" if found.framework == "torch" and found.format in WEIGHTS else "python"
