"""serve.outputs: the parts of a model's answer by names of the user's own, cut out once a batch, on the arrays."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mlship.server import manifest
from mlship.server.encode import plain
from mlship.server.problems import ModelFailed
from mlship.server.runtimes.base import LoadedModel, LoadError

SOURCE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?:\[(0|[1-9][0-9]{0,5})\])?\Z")
PROBA = "proba"  # the probabilities, wherever serve.method puts them


class SelectedModel:
    """A model that answers `predictions` and what `wanted` names, nothing else.

    wanted: name -> `output` or `output[position]`, the position counted from 0 within each row. `predictions` stays what the
    model says, unless it is named. `proba` is `probabilities`, or `predictions` where there are none beside them.
    """

    def __init__(self, loaded: LoadedModel, wanted: Mapping[str, str]) -> None:
        """Raises LoadError for a source that cannot be read."""
        self._loaded = loaded
        self._sources = {"predictions": ("predictions", None), **{name: parsed(source) for name, source in wanted.items()}}

    @property
    def title(self) -> str:
        return self._loaded.title

    def predict(self, rows: Any) -> Mapping[str, Any]:
        """Raises ModelFailed when the model gives no such output or position, and whatever the model raises."""
        answer = self._loaded.predict(rows)
        return {name: _part(answer, name, _named(source, answer), place) for name, (source, place) in self._sources.items()}

    def signature(self, sample: tuple[Any, ...]) -> manifest.Signature:
        """The model's own, with these outputs. Raises LoadError when the model does not give what is named."""
        found = self._loaded.signature(sample)
        given = {output.name: output for output in found.outputs}
        outputs = tuple(
            _described(given, name, _named(source, given), place) for name, (source, place) in self._sources.items()
        )
        return replace(found, outputs=outputs)


def parsed(source: str) -> tuple[str, int | None]:
    """`proba[1]` -> ("proba", 1). Raises LoadError."""
    match = SOURCE.match(source)
    if match is None:
        raise LoadError(f"serve.outputs takes {source!r}; write the name of an output, or one position of it: proba[1]")
    return match[1], None if match[2] is None else int(match[2])


def _named(source: str, given: Mapping[str, Any]) -> str:
    if source != PROBA or PROBA in given:
        return source
    return "probabilities" if "probabilities" in given else "predictions"


def _part(answer: Mapping[str, Any], name: str, source: str, position: int | None) -> Any:
    try:
        values = answer[source]
        if position is None:
            return values
        if hasattr(values, "ndim") and not hasattr(values, "iloc"):
            return values[:, position]
        return [row[position] for row in plain(values)]
    except (LookupError, TypeError) as error:
        raise ModelFailed(f"serve.outputs.{name}: the answer has no {source}{_place(position)} ({error})") from error


def _described(given: Mapping[str, manifest.Output], name: str, source: str, position: int | None) -> manifest.Output:
    if source not in given:
        raise LoadError(f"serve.outputs.{name} takes {source}, which the model does not give; it gives {', '.join(given)}")
    output = given[source]
    if position is None:
        return manifest.Output(name, output.dtype, output.shape, output.classes)
    if not output.shape or position >= output.shape[0] >= 0:
        has = f"{output.shape[0]} values" if output.shape else "one value"
        raise LoadError(f"serve.outputs.{name} takes {source}{_place(position)}, but each row has {has}{_labels(output)}")
    return manifest.Output(name, output.dtype, output.shape[1:])


def _labels(output: manifest.Output) -> str:
    if not output.shape or not output.classes:
        return ""
    return ": " + ", ".join(f"{output.name}[{index}] is {label!r}" for index, label in enumerate(output.classes[:10]))


def _place(position: int | None) -> str:
    return "" if position is None else f"[{position}]"
