"""Every public class of scikit-learn that can be fitted here, in every format: no false alarm, the same answers."""

from __future__ import annotations

import pickle
import sys
import warnings
from pathlib import Path

import joblib
import numpy as np
import pytest

from mlship.server.pickle_load import load

sys.path.insert(0, str(Path(__file__).parents[1] / "frameworks"))
from families import answer, fitted

pytestmark = pytest.mark.world

RANDOM = {"DummyClassifier"}  # its answers are drawn anew each time
NOT_IN_SKOPS = {"Birch"}  # skops refuses it itself


def test_every_family_loads_from_every_format_and_answers_as_before(tmp_path: Path) -> None:
    import skops.io

    count = 0
    warnings.simplefilter("ignore")
    for name, estimator, rows in fitted():
        expected = answer(estimator, rows)
        for path in _saved(tmp_path, name, estimator, skops.io):
            loaded, _ = load(path)
            if expected is not None and name not in RANDOM:
                np.testing.assert_array_equal(_plain(answer(loaded, rows)), _plain(expected), err_msg=f"{name} {path.name}")
        count += 1
    assert count > 200


def _saved(folder: Path, name: str, estimator: object, skops_io: object) -> list[Path]:
    paths = []
    for protocol in (0, 2, 3, 4, 5):
        paths.append(folder / f"{protocol}.pkl")
        paths[-1].write_bytes(pickle.dumps(estimator, protocol))
    for compress in (0, 3):
        paths.append(folder / f"{compress}.joblib")
        joblib.dump(estimator, paths[-1], compress=compress)
    if name not in NOT_IN_SKOPS:
        paths.append(folder / "model.skops")
        skops_io.dump(estimator, paths[-1])  # type: ignore[attr-defined]
    return paths


def _plain(values: object) -> object:
    return np.asarray(values, dtype=object) if isinstance(values, list | tuple) else values
