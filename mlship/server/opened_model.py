"""A model of the manifest as it is served: loaded, with the outputs and hooks that serve names around it."""

from __future__ import annotations

from pathlib import Path

from mlship.server import manifest
from mlship.server.core import ServedModel
from mlship.server.hooks import HookedModel, Hooks, behind_hooks, hooks_from
from mlship.server.late_stats import late_stats
from mlship.server.runtimes import runtime_for
from mlship.server.runtimes.base import LoadedModel
from mlship.server.selected_outputs import SelectedModel


class OpenedModel:
    """What was loaded for an entry of the manifest, before and after its signature is known."""

    def __init__(self, entry: manifest.Model, root: Path, code: Path) -> None:
        """root: the manifest's folder; code: the user's own code. Raises LoadError, and whatever the model's code raises."""
        with late_stats(entry.runtime):
            loaded: LoadedModel = runtime_for(entry.runtime).load(entry, root)
        if entry.outputs:
            loaded = SelectedModel(loaded, entry.outputs)
        self._hooks: Hooks | None = None
        if entry.hooks:
            self._hooks = hooks_from(entry, code)
            loaded = HookedModel(entry, loaded, self._hooks)
        self.loaded = loaded

    def served(self, entry: manifest.Model, index: int = 0) -> ServedModel:
        """entry: with the signature. Raises ImportError when the signature wants a DataFrame and pandas is not there."""
        return ServedModel(behind_hooks(entry, self._hooks) if self._hooks else entry, self.loaded, index)
