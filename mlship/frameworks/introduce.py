"""A first acquaintance with a model, for `init`: what it takes, and a sample of it from the user's data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlship.errors import MlshipError
from mlship.frameworks.base import Loaded
from mlship.frameworks.child import ChildPython, load_in_child
from mlship.frameworks.table import sample_from_data
from mlship.runner import Runner
from mlship.server import manifest


def introduce(
    runner: Runner, python: ChildPython, entry: manifest.Model, root: Path, file: Path | None, *, timeout_s: float = 120
) -> tuple[Loaded, tuple[Any, ...]]:
    """What the model is, and up to 20 rows of `file` that it answers; no rows without a file.

    root: the folder that `entry.path` is relative to. Rows with holes are among them when the model takes them. Raises
    MlshipError: the model does not load, the file cannot be read, or the model answers no row of it.
    """
    first = load_in_child(runner, python, entry, root, None, timeout_s=timeout_s)
    if file is None:
        return first, ()
    rows = sample_from_data(file, first.signature.inputs, runner=runner, python=python)
    try:
        return load_in_child(runner, python, entry, root, rows, timeout_s=timeout_s), rows
    except MlshipError as error:
        whole = tuple(row for row in rows if not (isinstance(row, dict) and None in row.values()))
        if error.code not in ("sample", "predict") or not whole or len(whole) == len(rows):
            raise
    return load_in_child(runner, python, entry, root, whole, timeout_s=timeout_s), whole
