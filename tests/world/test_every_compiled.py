"""Every estimator of scikit-learn, alone and behind each kind of step: what compiles answers as the original does."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import numpy
import pytest
from sklearn.pipeline import make_pipeline

from mlship.server import manifest
from mlship.server.compiling.columns import Unfit
from mlship.server.compiling.edge_rows import edge_rows
from mlship.server.compiling.parity import Parity, compared
from mlship.server.compiling.plans import compiled
from mlship.server.compiling.transformers import KNOWN
from mlship.server.core import ServedModel
from mlship.server.manifest import Engine, Feature, Model, Signature, Tolerance
from mlship.server.runtimes import runtime_for
from mlship.server.runtimes.plan_file import plan_bytes
from mlship.server.runtimes.sklearn import SklearnModel

sys.path.insert(0, str(Path(__file__).parents[1] / "frameworks"))
from families import fitted

pytestmark = pytest.mark.world

ROWS = numpy.abs(numpy.random.default_rng(0).normal(size=(40, 4)))
ANSWERS = ROWS[:, 0] * 3 + ROWS[:, 1]


def test_every_estimator_that_compiles_answers_as_before(tmp_path: Path) -> None:
    warnings.simplefilter("ignore")
    seen: dict[str, str] = {}
    for name, estimator, rows in fitted():
        if hasattr(estimator, "predict") and getattr(rows, "ndim", 0) == 2:
            parity = _parity(estimator, rows, tmp_path)
            assert parity is None or not parity.wrong, f"{estimator}: {parity}"
            seen[name] = "compiled" if parity else seen.get(name, "")
    assert sum(map(bool, seen.values())) > 35
    assert not any(seen[name] for name in seen if name.startswith(("HistGradient", "KNeighbors", "Stacking")))


def test_every_transformer_that_compiles_hands_on_the_same_numbers(tmp_path: Path) -> None:
    from sklearn.linear_model import Ridge

    warnings.simplefilter("ignore")
    passed = []
    for name, step, rows in fitted():
        if name not in KNOWN or getattr(rows, "shape", ()) != ROWS.shape:
            continue
        try:
            model = make_pipeline(step, Ridge()).fit(ROWS, ANSWERS)
        except (ValueError, TypeError):  # it selects by classes
            continue
        parity = _parity(model, ROWS, tmp_path)
        assert parity is None or not parity.wrong, f"{step}: {parity}"
        passed += [name] if parity else []
    assert {"StandardScaler", "MinMaxScaler", "PolynomialFeatures", "SimpleImputer", "OneHotEncoder"} <= set(passed)


def _parity(estimator: Any, rows: Any, folder: Path) -> Parity | None:
    """None where there is no compiled form."""
    inputs = tuple(
        Feature(f"x{at}", minimum=float(column.min()), maximum=float(column.max())) for at, column in enumerate(rows.T)
    )
    signature = Signature(inputs)
    try:
        plan = compiled(estimator, "", signature)
    except Unfit:
        return None
    (folder / "model.plan").write_bytes(plan_bytes(plan.header, plan.arrays))
    entry = Model("m", "sklearn", "plan", "model.plan", "", signature=signature, engine=Engine(plan.engine))
    other = ServedModel(
        manifest.Model(**{**vars(entry), "signature": plan.signature}), runtime_for(entry.runtime).load(entry, folder)
    )
    labels = frozenset({"predictions"} if hasattr(estimator, "classes_") else ())
    asked = [*rows.tolist(), *edge_rows(signature, rows.tolist(), plan.header, plan.arrays)[:150]]
    return compared(ServedModel(entry, SklearnModel(estimator)), other, asked, Tolerance(), labels)
