"""What a runtime gives to the core."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from mlship.server import manifest


class LoadError(Exception):
    """The model cannot be loaded; the message says what is wrong and what to do."""


class LoadedModel(Protocol):
    """A model in memory, ready to predict. One in which nothing of a user's runs may say so by `has_own_code = False`."""

    @property
    def title(self) -> str:
        """For people: `Pipeline`, `RandomForestClassifier`."""

    def predict(self, rows: Any) -> Mapping[str, Any]:
        """Predictions for a batch.

        rows: as `signature.container` says: pandas.DataFrame with the signature's columns in its order and dtypes, numpy array of
        shape (batch, features), or the list of rows as they came. Returns output name -> array-like of length batch;
        `predictions` is always there; `probabilities` (batch, classes) stands beside it for a classifier that has them.
        Raises whatever the model raises; the core turns it into an answer.
        """

    def signature(self, sample: tuple[Any, ...]) -> manifest.Signature:
        """What the fitted model and the sample tell about inputs and outputs. Slow; only called at build and init."""


class Runtime(Protocol):
    """Loads models of one framework. One instance a process.

    fork_safe: what it has loaded, and nobody has asked yet, works on in copies of the process; so all workers share one. What
    starts threads or opens a device while it loads (CUDA) must not say so; OpenMP may start threads when the model is asked.
    """

    fork_safe: bool

    def load(self, model: manifest.Model, root: Path) -> LoadedModel:
        """root: the folder of manifest.json. Raises LoadError; never loads a name that is not allowed."""
