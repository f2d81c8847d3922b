"""XGBoost models: JSON and UBJSON files, and what a pickle holds of them."""

from __future__ import annotations

import json
from dataclasses import replace
from math import nan
from pathlib import Path
from typing import Any

from mlship.server import boosted_xgboost, manifest
from mlship.server.boosted_header import Header
from mlship.server.pickle_open import Refused
from mlship.server.runtimes.base import LoadedModel, LoadError
from mlship.server.runtimes.boosted import Ask, BoostedModel, BoosterSource
from mlship.server.runtimes.device import has_gpu

# one request is one batch: threads inside the model only wait for each other; the server's workers use the cores
SETTINGS = {"nthread": 1, "device": "cpu"}
_CLASSIFIERS = ("XGBClassifier", "XGBRFClassifier")
_OTHERS = ("XGBRegressor", "XGBRFRegressor", "XGBRanker")


class XgboostRuntime:
    """Loads a file that Booster.save_model, or a wrapper's, wrote."""

    # with one thread it starts none, loading or asked, so a copy of the process can ask it too (tests/world/test_story_boosted.py)
    fork_safe = True

    def load(self, model: manifest.Model, root: Path) -> BoostedModel:
        """Raises LoadError; ImportError where there is no xgboost."""
        import xgboost

        try:
            header = boosted_xgboost.header(root / model.path)
        except Refused as refused:
            raise LoadError(str(refused)) from refused
        booster = xgboost.Booster(SETTINGS)
        try:
            booster.load_model(str(root / model.path))
        except xgboost.core.XGBoostError as error:
            raise LoadError(
                f"XGBoost {xgboost.__version__} cannot read the file, which XGBoost {header.version} wrote: {first_line(error)}"
            ) from error
        return xgboost_model(booster, header, method=model.method)


def of_object(estimator: Any, method: str) -> LoadedModel | None:
    """Of a wrapper or a Booster that was pickled; None where the wrapper does something of its own with the scores."""
    name = type(estimator).__name__
    if name == "Booster":
        return xgboost_model(estimator, _header(estimator), method=method)
    if name not in (*_CLASSIFIERS, *_OTHERS):
        return None
    booster = estimator.get_booster()
    header = _header(booster)
    header = replace(header, facts={**header.facts, "wrapped": True})
    if name in _OTHERS:
        header = replace(header, task="value", labels=())
    elif header.task == "value":
        return None
    missing = float(estimator.missing) if estimator.missing is not None else nan
    return xgboost_model(booster, header, title=name, method=method, missing=missing)


def take_one_thread(part: Any) -> None:
    """Of a fitted wrapper inside a pipeline."""
    booster = getattr(part, "_Booster", None)  # of one that is not fitted, get_booster raises
    if booster is not None:
        part.n_jobs = 1
        booster.set_param(SETTINGS)


def xgboost_model(booster: Any, header: Header, *, title: str = "", method: str = "", missing: float = nan) -> BoostedModel:
    """missing: the number that stands for no value, beside NaN it is none. Raises LoadError where there is to be a GPU and none is
    taken."""
    booster.set_param(SETTINGS)
    if has_gpu():
        _onto_gpu(booster)
    if header.objective == "multi:softmax":
        booster.set_param({"objective": "multi:softprob"})  # the same scores, before all but the best are dropped
    if header.objective == "binary:hinge":
        header = replace(header, task="value")  # it answers 0 or 1, and knows no probability
    source = BoosterSource("xgboost", booster, _iterations(header)[1], missing)
    return BoostedModel(header, _ask(booster, header, missing), title=title, method=method, closed=True, source=source)


def _onto_gpu(booster: Any) -> None:
    """XGBoost without CUDA, or a driver that does not fit it, goes on with the CPU and a warning (3.2, src/context.cc)."""
    import xgboost

    booster.set_param({"device": "cuda"})
    device = json.loads(booster.save_config())["learner"]["generic_param"]["device"]
    if not xgboost.build_info().get("USE_CUDA") or not device.startswith("cuda"):
        raise LoadError(f"XGBoost {xgboost.__version__} cannot compute on the GPU: this build, or the driver, does not let it")


def _header(booster: Any) -> Header:
    return boosted_xgboost.header_of(booster.save_raw(raw_format="ubj"))


def _ask(booster: Any, header: Header, missing: float) -> Ask:
    """Trees are asked without a copy of the rows; linear boosters, and those on a GPU, only through a DMatrix."""
    import xgboost

    span = _iterations(header)
    is_linear = header.facts["booster"] == "gblinear"
    if is_linear or has_gpu():
        asked = {} if is_linear else {"iteration_range": span}

        def through_matrix(rows: Any) -> Any:
            return booster.predict(xgboost.DMatrix(rows, missing=missing, nthread=1), validate_features=False, **asked)

        return through_matrix

    def in_place(rows: Any) -> Any:
        return booster.inplace_predict(rows, iteration_range=span, missing=missing, validate_features=False)

    return in_place


def _iterations(header: Header) -> tuple[int, int]:
    """The wrappers answer with the best iteration of early stopping, a Booster with all."""
    best = header.facts["attributes"].get("best_iteration") if header.facts["wrapped"] else None
    return (0, int(best) + 1) if best is not None else (0, 0)


def first_line(error: Exception) -> str:
    """Without the stack of C++ that follows."""
    return str(error).strip().partition("\n")[0][:300]
