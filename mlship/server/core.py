"""A model in service: rows in, answer out. Knows no protocol and no framework."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlship.server.encode import outputs
from mlship.server.input.container import NotFinite, container_for, unpacked
from mlship.server.input.extras import extras_of
from mlship.server.input.validate import Table, Validator
from mlship.server.manifest import Model
from mlship.server.monitoring import log
from mlship.server.problems import LIMIT, InputError, ModelFailed, Problem
from mlship.server.runtimes.base import LoadedModel

if TYPE_CHECKING:
    from mlship.server.monitoring.drift_watch import Watch

MESSAGE = 300  # characters of a model's own words that a caller sees
APART = 64  # calls at most to find the rows that a model refuses


@dataclass(slots=True)  # not frozen: that makes it three times as dear, for each request
class Batch:
    """The checked rows of one request, and how many they are.

    kind: batches of one model and one kind can be joined in one call without a row being seen differently than alone.
    """

    table: Table
    count: int
    kind: Hashable = None


class NotJoined(Exception):
    """A call for several requests failed; says nothing about any one of them."""


class ServedModel:
    """One model with its signature; safe to call from one thread at a time."""

    def __init__(self, entry: Model, loaded: LoadedModel, index: int = 0) -> None:
        """index: its place in the manifest. Raises ImportError when the signature wants a DataFrame and pandas is not there."""
        self.entry = entry
        self.index = index
        self.loaded = loaded
        self.is_joined = True
        self.has_own_code: bool = getattr(loaded, "has_own_code", True)  # that may run an event loop
        self.watch: Watch | None = None  # notes rows and answers, where somebody compares them (monitoring/drift_watch.py)
        self.extras = extras_of(entry)
        self.validator = Validator(entry.signature, self.extras)
        self._container = container_for(entry.signature)
        # writes a row as floats, for a model whose rows are nothing else
        self.packer = self.validator.packer() if not self.extras.kept else None
        # without known features only the model can tell that a row is wrong, and it tells by these
        self._refusals: tuple[type[Exception], ...] = (
            (ValueError,) if entry.signature.inputs else (ValueError, TypeError, LookupError)
        )

    def answer(self, instances: list[Any]) -> dict[str, Any]:
        """instances: rows as lists in the signature's order, objects by feature name, or bare values for one feature.

        Returns `{"predictions": [...], ...}` with one entry a row, in JSON's types; numbers that are not finite are None.
        Raises InputError, ModelFailed.
        """
        return {**self.run(self.prepare(instances)), **self.extras.values(instances)}

    def prepare(self, instances: Any) -> Batch:
        """Checks the rows without calling the model. Raises InputError.

        What only shows in the finished array (a number beyond float32, rows of different lengths) is told by `run`.
        """
        return self.prepared(self.validator.table(instances))

    def prepared(self, table: Table) -> Batch:
        """The rows of a table as a batch of this model."""
        return Batch(table, table.count, self._container.kind(table))

    def examine(self, instances: Any) -> None:
        """Looks at every value. Raises InputError for the first that no JSON number can be."""
        self._container.build([self.validator.exact_table(instances)])

    def run(self, prepared: Batch, with_arrays: bool = False) -> dict[str, Any]:
        """Calls the model once for the rows of one request. with_arrays: see encode.outputs.

        Raises InputError (422) naming the rows that the model refuses, else ModelFailed.
        """
        rows = self._rows(prepared)
        try:
            result = self.loaded.predict(rows)
        except (InputError, ModelFailed, KeyboardInterrupt):
            raise
        except BaseException as error:
            raise self._failure(error, prepared) from error
        answer = outputs(result, prepared.count, with_arrays and self.watch is None)
        if self.watch is not None and self.watch.room > 0:
            self.watch.note((prepared.table,), answer, prepared.count)
        return answer

    def run_packed(self, packed: bytes, count: int) -> dict[str, Any]:
        """As `run`, for rows that the packer wrote; the shortest way to the model for those that it takes as they are."""
        unpack = self._container.unpack
        if unpack is None:
            return self.run(Batch(Table(count, packed=packed), count))
        try:
            result = self.loaded.predict(unpack(packed, count))
        except (InputError, ModelFailed, KeyboardInterrupt):
            raise
        except BaseException as error:
            raise self._failure(error, Batch(Table(count, packed=packed), count)) from error
        answer = outputs(result, count)
        if self.watch is not None and self.watch.room > 0:
            self.watch.note((Table(count, packed=packed),), answer, count)
        return answer

    def run_joined(self, batches: Sequence[Batch], with_arrays: bool = False) -> list[dict[str, Any]]:
        """Calls the model once for several requests of one kind; their answers in the same order. with_arrays: see encode.outputs.

        Raises NotJoined for whatever goes wrong: which request is to blame shows when they are run apart.
        """
        count = sum(batch.count for batch in batches)
        try:
            rows = self._container.build([batch.table for batch in batches])
            answer = outputs(self.loaded.predict(rows), count, with_arrays and self.watch is None)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise NotJoined(f"{type(error).__name__}: {error}") from error
        if self.watch is not None and self.watch.room > 0:
            self.watch.note([batch.table for batch in batches], answer, count)
        return list(_parted(answer, batches))

    def join_no_more(self, reason: str) -> None:
        """From now on each request is computed alone: joined, it may be answered otherwise."""
        if self.is_joined:
            self.is_joined = False
            log.event("warning", "batching_off", model=self.entry.name, reason=reason[:MESSAGE])

    def _rows(self, prepared: Batch) -> Any:
        try:
            return self._container.build([prepared.table])
        except NotFinite:
            return self._container.build([self.validator.exact_table(_instances(prepared.table))])

    def _failure(self, error: BaseException, prepared: Batch) -> InputError | ModelFailed:
        """What a model's own error comes to for the caller of these rows."""
        if isinstance(error, self._refusals):
            return self._refusal(prepared, error)
        return ModelFailed(f"{type(error).__name__}: {error}")  # a model that calls exit() must not end the worker

    def _refusal(self, prepared: Batch, error: Exception) -> InputError:
        count = prepared.count
        refused: list[tuple[int, BaseException]] = [(0, error)] if count == 1 else list(self._refused_apart(prepared))
        if not refused:
            # each half is taken alone: the model refuses the batch as a whole
            return InputError(422, message=f"the model refuses these {count} rows together: {_words(error)}")
        return InputError(422, [_refused_row(row, said) for row, said in sorted(refused, key=lambda pair: pair[0])])

    def _refused_apart(self, prepared: Batch) -> Iterator[tuple[int, BaseException]]:
        """Halves the batch until the refused rows stand alone: some log2(rows) calls for each, not one for every row."""
        rows = self._rows(prepared)  # the model may have written into those that it was given
        spans = [(0, prepared.count)]
        calls = found = 0
        while spans and calls < APART and found < LIMIT:
            start, stop = spans.pop(0)
            for low, high in _halves(start, stop):
                calls += 1
                said = self._said_to(self._container.part(rows, low, high))
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
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            return error
        return None


def _parted(answer: dict[str, Any], batches: Sequence[Batch]) -> Iterator[dict[str, Any]]:
    """The answer cut into what each batch asked."""
    start = 0
    for batch in batches:
        stop = start + batch.count
        yield {name: values[start:stop] for name, values in answer.items()}
        start = stop


def _instances(table: Table) -> Any:
    if table.instances is not None:
        return table.instances
    return (table.array if table.packed is None else unpacked([table])).tolist()


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
