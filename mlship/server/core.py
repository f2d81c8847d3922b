"""A model in service: rows in, answer out. Knows no protocol and no framework."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mlship.server.container import batch, container_for
from mlship.server.encode import outputs
from mlship.server.manifest import Model
from mlship.server.problems import LIMIT, InputError, ModelFailed, Problem
from mlship.server.runtimes.base import LoadedModel
from mlship.server.validate import Validator

MESSAGE = 300  # characters of a model's own words that a caller sees
APART = 64  # calls at most to find the rows that a model refuses


@dataclass(frozen=True, slots=True)
class Batch:
    """Checked rows as the model takes them, and how many they are."""

    rows: Any
    count: int


class ServedModel:
    """One model with its signature; safe to call from one thread at a time."""

    def __init__(self, entry: Model, loaded: LoadedModel, index: int = 0) -> None:
        """index: its place in the manifest. Raises ImportError when the signature wants a DataFrame and pandas is not there."""
        self.entry = entry
        self.index = index
        self.loaded = loaded
        self.validator = Validator(entry.signature)
        self._container = container_for(entry.signature)
        # without known features only the model can tell that a row is wrong, and it tells by these
        self._refusals: tuple[type[Exception], ...] = (
            (ValueError,) if entry.signature.inputs else (ValueError, TypeError, LookupError)
        )

    def answer(self, instances: list[Any]) -> dict[str, Any]:
        """instances: rows as lists in the signature's order, objects by feature name, or bare values for one feature.

        Returns `{"predictions": [...], ...}` with one entry a row, in JSON's types; numbers that are not finite are None.
        Raises InputError, ModelFailed.
        """
        return self.run(self.prepare(instances))

    def prepare(self, instances: Any) -> Batch:
        """Checks the rows without calling the model. Raises InputError."""
        return Batch(batch(self.entry.signature, self.validator, self._container, instances), len(instances))

    def run(self, prepared: Batch) -> dict[str, Any]:
        """Calls the model once for all rows. Raises InputError (422) naming the rows that it refuses, else ModelFailed."""
        try:
            result = self.loaded.predict(prepared.rows)
        except self._refusals as error:
            raise self._refusal(prepared, error) from error
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a model that calls exit() must not end the worker
            raise ModelFailed(f"{type(error).__name__}: {error}") from error
        return outputs(result, prepared.count)

    def _refusal(self, prepared: Batch, error: Exception) -> InputError:
        refused: list[tuple[int, BaseException]] = [(0, error)] if prepared.count == 1 else list(self._refused_apart(prepared))
        if not refused:
            # each half is taken alone: the model refuses the batch as a whole
            return InputError(422, message=f"the model refuses these {prepared.count} rows together: {_words(error)}")
        return InputError(422, [_refused_row(row, said) for row, said in sorted(refused, key=lambda pair: pair[0])])

    def _refused_apart(self, prepared: Batch) -> Iterator[tuple[int, BaseException]]:
        """Halves the batch until the refused rows stand alone: some log2(rows) calls for each, not one for every row."""
        spans = [(0, prepared.count)]
        calls = found = 0
        while spans and calls < APART and found < LIMIT:
            start, stop = spans.pop(0)
            for low, high in _halves(start, stop):
                calls += 1
                said = self._said_to(self._container.part(prepared.rows, low, high))
                if said is None:
                    continue
                if high - low > 1:
                    spans.append((low, high))
                else:
                    found += 1
                    yield low, said

    def _said_to(self, rows: Any) -> BaseException | None:
        try:
            self.loaded.predict(rows)
        except (Exception, SystemExit) as error:
            return error
        return None


def _halves(start: int, stop: int) -> tuple[tuple[int, int], tuple[int, int]]:
    middle = (start + stop) // 2
    return (start, middle), (middle, stop)


def _refused_row(row: int, error: BaseException) -> Problem:
    return Problem(row, None, None, "a row that the model takes", f"the model refuses row {row}: {_words(error)}")


def _words(error: BaseException) -> str:
    """The first line of what the model said, never a trace."""
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    first = text.strip().split("\n", 1)[0]
    return f"{type(error).__name__}: {first[:MESSAGE]}" if first else type(error).__name__
