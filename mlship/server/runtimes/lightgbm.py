"""LightGBM models: text files, and what a pickle holds of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from mlship.server import boosted_lightgbm, manifest
from mlship.server.boosted_header import Header
from mlship.server.pickle_open import Refused
from mlship.server.runtimes.base import LoadedModel, LoadError
from mlship.server.runtimes.boosted import BoostedModel, BoosterSource

_CLASSIFIER = "LGBMClassifier"
_OTHERS = ("LGBMRegressor", "LGBMRanker")
NOT_TOLD = (
    "the file lists categories of pandas columns and does not say which columns; name them when you train, "
    "categorical_feature=[...], and save the model again"
)


class LightgbmRuntime:
    """Loads a text that Booster.save_model wrote."""

    # with one thread it starts none, loading or asked, so a copy of the process can ask it too (tests/world/test_story_boosted.py)
    fork_safe = True

    def load(self, model: manifest.Model, root: Path) -> BoostedModel:
        """Raises LoadError; ImportError where there is no lightgbm."""
        import lightgbm

        try:
            header = boosted_lightgbm.header(root / model.path)
        except Refused as refused:
            raise LoadError(str(refused)) from refused
        try:
            booster = lightgbm.Booster(model_file=str(root / model.path))
        except lightgbm.basic.LightGBMError as error:
            raise LoadError(f"LightGBM {lightgbm.__version__} cannot read the file: {error}") from error
        return lightgbm_model(booster, header, method=model.method)


def of_object(estimator: Any, method: str) -> LoadedModel | None:
    """Of a wrapper or a Booster that was pickled; None where the wrapper does something of its own with the scores."""
    name = type(estimator).__name__
    if name == "Booster":
        return lightgbm_model(estimator, _header(estimator), method=method)
    if name not in (_CLASSIFIER, *_OTHERS) or any(word.startswith("pred") for word in estimator.get_params()):
        return None
    header = _header(estimator.booster_)
    if name in _OTHERS:
        header = replace(header, task="value", labels=())
    elif header.task == "value":
        return None
    else:
        header = replace(header, labels=tuple(estimator.classes_.tolist()))
    return lightgbm_model(estimator.booster_, header, title=name, method=method)


def take_one_thread(part: Any) -> None:
    """Of a fitted wrapper inside a pipeline; LightGBM's own words for the number go before scikit-learn's."""
    if hasattr(part, "booster_"):
        named = {name: 1 for name in ("num_threads", "num_thread", "nthread", "nthreads") if name in part.get_params()}
        part.set_params(n_jobs=1, **named)


def lightgbm_model(booster: Any, header: Header, *, title: str = "", method: str = "") -> BoostedModel:
    """Raises LoadError where the file leaves open which columns its categories belong to."""
    if not header.facts["is_told"]:
        raise LoadError(NOT_TOLD)

    def ask(rows: Any) -> Any:
        # one request is one batch: threads inside the model only wait for each other; the server's workers use the cores
        return booster.predict(rows, num_threads=1)

    return BoostedModel(header, ask, title=title, method=method, source=BoosterSource("lightgbm", booster))


def _header(booster: Any) -> Header:
    return boosted_lightgbm.header_of(booster.model_to_string().encode())
