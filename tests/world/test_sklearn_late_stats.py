"""Every estimator of scikit-learn answers the same in a process that has not read scipy.stats for it."""

from __future__ import annotations

import pickle
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "frameworks"))
from families import answer, fitted

pytestmark = pytest.mark.world

ROOT = Path(__file__).parents[2]

# prints the first that read scipy.stats as it was loaded, whether answering read it, and who answers otherwise than before
ELSEWHERE = """
import pickle, sys
from pathlib import Path
from families import answer
from mlship.server.late_stats import STATS, late_stats
from test_sklearn_late_stats import are_equal

models, early = pickle.loads(Path(sys.argv[1]).read_bytes()), ""
with late_stats():
    for name, (kept, *rest) in models.items():
        models[name] = (pickle.loads(kept), *rest)
        early = early or (name if STATS in sys.modules else "")
differ = [name for name, (model, rows, told) in models.items() if not are_equal(answer(model, rows), told)]
print([early, STATS in sys.modules, differ])
"""
HOLDING = ("RandomizedSearchCV", "HalvingRandomSearchCV")  # distributions, in their settings


def test_every_estimator_answers_the_same_when_statistics_are_read_late(tmp_path: Path) -> None:
    models = dict(kept_models())
    assert len(models) > 100
    (tmp_path / "models").write_bytes(pickle.dumps(models))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ELSEWHERE, str(tmp_path / "models")],
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'tests/frameworks'}:{ROOT / 'tests/world'}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "['', True, []]"


def kept_models() -> Iterator[tuple[str, tuple[bytes, Any, Any]]]:
    """The name of an estimator, what a file of it holds, rows and its answer to them, where that is always the same."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, model, rows in fitted():
            told = answer(model, rows)
            if name in HOLDING:
                continue
            if told is not None and are_equal(told, answer(model, rows)) and (kept := in_a_file(model)):
                yield name, (kept, rows, told)


def in_a_file(model: object) -> bytes:
    try:
        return pickle.dumps(model)
    except (pickle.PicklingError, AttributeError, TypeError):
        return b""


def are_equal(first: Any, second: Any) -> bool:
    """Numbers but for their last digits, which differ with where an array lies in memory."""
    first, second = np.asarray(first), np.asarray(second)
    if first.shape != second.shape or first.dtype.kind not in "fiub":
        return np.array_equal(first, second)
    return np.allclose(first, second, rtol=1e-6, atol=1e-6, equal_nan=first.dtype.kind == "f")
