"""A first acquaintance with a model, for `init`: what it takes, and a sample of it from the user's data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
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

    root: the folder that `entry.path` is relative to. Rows with holes are among them when the model takes them. Where
    the model does not know its columns, those that it answers without are left out, and named in `needless`. Raises
    MlshipError: the model does not load, the file cannot be read, or the model answers no row of it.
    """
    first = load_in_child(runner, python, entry, root, None, timeout_s=timeout_s)
    if file is None:
        return first, ()
    rows = sample_from_data(file, first.signature.inputs, runner=runner, python=python)

    def load(sample: tuple[Any, ...]) -> Loaded:
        is_wide = not first.signature.inputs
        return load_in_child(runner, python, entry, root, sample, timeout_s=timeout_s, whole_table=is_wide)

    loaded, taken = _with_or_without_holes(load, rows)
    if not loaded.needless:
        return loaded, taken
    narrower = tuple({name: value for name, value in row.items() if name not in loaded.needless} for row in taken)
    return replace(load(narrower), needless=loaded.needless), narrower


def _with_or_without_holes(load: Callable[[tuple[Any, ...]], Loaded], rows: tuple[Any, ...]) -> tuple[Loaded, tuple[Any, ...]]:
    try:
        return load(rows), rows
    except MlshipError as error:
        whole = tuple(row for row in rows if not (isinstance(row, dict) and None in row.values()))
        if error.code not in ("sample", "predict") or not whole or len(whole) == len(rows):
            raise
    return load(whole), whole
