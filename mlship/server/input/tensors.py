"""Tensors as batches: numbers from the wire straight into arrays, judged a column at a time.

One tensor of shape (rows, features) named MATRIX, or one of shape (rows,) or (rows, 1) a feature, by the feature's name. NaN in a
tensor of floats is what null is in JSON. What is wrong is named by row and feature, in the same words as for JSON.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from mlship.server.core import Batch, ServedModel
from mlship.server.input.dtypes import NUMERIC
from mlship.server.input.tensor_columns import ColumnRefused, Judge
from mlship.server.input.validate import Table
from mlship.server.problems import LIMIT, InputError, Problem, near, shown

MATRIX = "input-0"  # the name that the Open Inference Protocol's own examples give to a model's only input
NAMED = 20  # features named in one message
DIRECT = frozenset(("FP64", *(f"{sign}INT{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64))))


@dataclass(slots=True)  # not frozen: that makes it three times as dear, for each request
class Tensor:
    """One tensor of a request.

    datatype: in the protocol's words. numbers: int and float in row-major order, as JSON brought them, else None. made: gives
    `values`, once somebody wants them: one row of plain JSON numbers needs no array of its own.
    """

    name: str
    datatype: str
    shape: list[int]
    numbers: list[Any] | None
    made: Callable[[], Any]

    @property
    def values(self) -> Any:
        """numpy, in the tensor's shape: bool, int, uint or float of any size; or objects: str, None for null, and bytes that are
        not UTF-8. Raises InputError(400) for a number that no double can hold."""
        return self.made()


class Intake:
    """Makes batches of one model from tensors. Built once."""

    def __init__(self, model: ServedModel) -> None:
        import numpy

        self._numpy = numpy
        self._model = model
        signature = model.entry.signature
        self._extras = model.extras
        self._features = signature.inputs
        self._names = [feature.name for feature in signature.inputs]
        self._known = frozenset(self._names)
        self._judges = [Judge.of(feature) for feature in signature.inputs]
        self._container = signature.container
        # one tensor of all features; of a feature that is an array in itself, another word for it
        self._whole = {MATRIX, signature.tensor} - self._known
        self._is_shaped = len(self._features) == 1 and bool(self._features[0].shape)
        self._as_objects = signature.named
        self._is_numeric = all(feature.dtype in NUMERIC for feature in signature.inputs)
        self._all_floats = model.validator.all_numbers and bool(self._names)
        # JSON numbers of these datatypes become the features' dtype without a step between
        is_small = all(feature.dtype == "float32" for feature in signature.inputs)
        self._direct = DIRECT | {"FP32"} if is_small else DIRECT

    def batch(self, tensors: Sequence[Tensor]) -> Batch:
        """Raises InputError: 400 for tensors that make no rows, 422 for rows that the model cannot take."""
        if len(tensors) > 1 and self._extras.kept:
            tensors = [tensor for tensor in tensors if tensor.name not in self._extras.kept] or tensors
        if len(tensors) == 1 and self._is_shaped and tensors[0].name in self._whole:
            tensors = [replace(tensors[0], name=self._names[0])]
        is_matrix = len(tensors) == 1 and self._is_matrix(tensors[0])
        return self._model.prepared(self._of_matrix(tensors[0]) if is_matrix else self._of_columns(tensors))

    def kept(self, tensors: Sequence[Tensor], count: int) -> dict[str, list[Any]]:
        """What goes through to the answer (serve.passthrough), one value a row; null where there is no such tensor.

        Raises InputError(422).
        """
        by_name = {tensor.name: tensor for tensor in tensors}
        return {name: _through(by_name.get(name), count) for name in self._extras.kept}

    def _is_matrix(self, tensor: Tensor) -> bool:
        """True for all features at once: named so, or by any name that no feature has, where the shape says it."""
        if tensor.name in self._known:
            return False
        return tensor.name in self._whole or not self._names or tensor.shape[1:] == [len(self._names)]

    def _of_matrix(self, tensor: Tensor) -> Table:
        count = _count(tensor)
        if not self._names:
            return self._unchecked(tensor)
        width = len(self._names)
        if tensor.shape[1:] != [width] and not (width == 1 and len(tensor.shape) == 1):
            raise InputError(422, message=f"{_described(tensor)}; the model takes [rows, {width}]: {_listed(self._names)}")
        packed = self._packed(tensor) if self._all_floats else None
        if packed is not None:
            return Table(count, packed=packed)
        values = tensor.values.reshape(count, width)
        return self._table(count, [values[:, index] for index in range(width)], [tensor.datatype] * width)

    def _packed(self, tensor: Tensor) -> bytes | None:
        """The numbers as float64, one after the other; None where there is something else, or one that is not finite."""
        if self._is_direct(tensor):
            numbers: Any = tensor.numbers
            try:
                return struct.pack(f"{len(numbers)}d", *numbers)
            except OverflowError:
                return None
        values = tensor.values
        if values.dtype.kind not in "iuf" or not self._numpy.isfinite(values).all():
            return None
        raw: bytes = (values if values.dtype == "f8" else values.astype("f8")).tobytes()
        return raw

    def _is_direct(self, tensor: Tensor) -> bool:
        return tensor.numbers is not None and tensor.datatype in self._direct

    def _of_columns(self, tensors: Sequence[Tensor]) -> Table:
        by_name = {tensor.name: tensor for tensor in tensors}
        if not self._names:
            return self._unchecked_columns(tensors)
        self._require_names(by_name)
        ordered = [by_name[name] for name in self._names]
        count = _common_count(ordered)
        for tensor, feature in zip(ordered, self._features, strict=True):
            _require_shape(tensor, count, feature.shape)
        packed = self._packed_columns(ordered, count) if self._all_floats else None
        if packed is not None:
            return Table(count, packed=packed)
        columns = [
            tensor.values.reshape(tensor.shape if feature.shape else count)
            for tensor, feature in zip(ordered, self._features, strict=True)
        ]
        return self._table(count, columns, [tensor.datatype for tensor in ordered])

    def _packed_columns(self, tensors: Sequence[Tensor], count: int) -> bytes | None:
        """As `_packed`, of one tensor a feature."""
        columns = [self._packed(tensor) for tensor in tensors]
        if None in columns:
            return None
        if count == 1:
            return b"".join(columns)  # type: ignore[arg-type]
        turned: bytes = self._numpy.frombuffer(b"".join(columns)).reshape(-1, count).T.tobytes()  # type: ignore[arg-type]
        return turned

    def _require_names(self, given: dict[str, Tensor]) -> None:
        if given.keys() == self._known:
            return
        problems = list(islice(self._name_problems(given), LIMIT))
        if problems:
            raise InputError(422, problems)

    def _name_problems(self, given: dict[str, Tensor]) -> Iterator[Problem]:
        each = f"one tensor a feature: {_listed(self._names)}"
        whole = f'one tensor "{MATRIX}" of shape [rows, {len(self._names)}], or {each}' if self._is_numeric else each
        unknown = [name for name in given if name not in self._known and not self._extras.may_be((name,))]
        for name in unknown:
            hint = near(name, self._names) or f"; it takes {whole}"
            message = f'the model takes no tensor "{shown(name)}"{hint}'
            yield Problem(None, shown(name), None, "no such tensor", message)
        if unknown and len(unknown) == len(given):
            return
        for name in self._names:
            if name not in given:
                yield Problem(
                    None, name, None, "a tensor of this name", f'there is no tensor "{name}"; the model takes {whole}'
                )

    def _table(self, count: int, columns: Sequence[Any], datatypes: Sequence[str]) -> Table:
        """The columns, judged. Raises InputError(422)."""
        taken: list[Any] = []
        problems: list[Problem] = []
        for judge, values, datatype in zip(self._judges, columns, datatypes, strict=True):
            try:
                taken.append(judge.taken(self._numpy, values, datatype))
            except ColumnRefused as refused:
                problems += refused.problems
        if problems:
            problems.sort(key=lambda problem: -1 if problem.row is None else problem.row)
            raise InputError(422, problems[:LIMIT])
        if self._container == "list":
            return Table(count, instances=self._rows(taken))
        return Table(count, columns=tuple(taken))

    def _rows(self, columns: Sequence[Any]) -> list[Any]:
        """The rows as a user's own class expects them: objects where its features have names, else lists."""
        lists = [_python(column) for column in columns]
        if self._as_objects:
            return [dict(zip(self._names, row, strict=True)) for row in zip(*lists, strict=True)]
        return [list(row) for row in zip(*lists, strict=True)]

    def _unchecked(self, tensor: Tensor) -> Table:
        """For a model whose features are not known: any number of columns, finite numbers where an array is made of them."""
        values, count = tensor.values, tensor.shape[0]
        if self._container != "array":
            return Table(count, instances=values.tolist())
        if values.dtype.kind not in "biuf" or values.ndim > 2 or not self._numpy.isfinite(values).all():
            raise InputError(422, message=f"{_described(tensor)}; the model takes [rows, features] of finite numbers")
        return Table(count, array=values.reshape(count, -1).astype("float64"))

    def _unchecked_columns(self, tensors: Sequence[Tensor]) -> Table:
        count = _common_count(tensors)
        if self._container == "array":
            raise InputError(422, message=f'the model takes one tensor "{MATRIX}" of shape [rows, features]')
        for tensor in tensors:
            _require_flat(tensor, count)
        columns = [tensor.values.reshape(count).tolist() for tensor in tensors]
        names = [tensor.name for tensor in tensors]
        return Table(count, instances=[dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)])


def _through(tensor: Tensor | None, count: int) -> list[Any]:
    if tensor is None:
        return [None] * count
    _require_flat(tensor, count)
    return [
        value.decode("utf-8", "replace") if isinstance(value, bytes) else value
        for value in _python(tensor.values.reshape(count))
    ]


def _count(tensor: Tensor) -> int:
    """Raises InputError(400) for a tensor without rows, and for a billion rows of nothing."""
    if not tensor.shape[0]:
        raise InputError(400, message=f"{_described(tensor)}: there is no row in it; send at least one")
    if 0 in tensor.shape:
        raise InputError(400, message=f"{_described(tensor)}: there is no value in it; send at least one a row")
    return tensor.shape[0]


def _common_count(tensors: Sequence[Tensor]) -> int:
    count = _count(tensors[0])
    for tensor in tensors:
        if tensor.shape[0] != count:
            raise InputError(400, message=f'{_described(tensor)}, but "{shown(tensors[0].name)}" has {count} rows')
    return count


def _require_flat(tensor: Tensor, count: int) -> None:
    """Raises InputError(422) unless there is one value a row."""
    if tensor.shape != [count] and tensor.shape != [count, 1]:
        raise InputError(422, message=f"{_described(tensor)}; a feature takes [rows] or [rows, 1]")


def _require_shape(tensor: Tensor, count: int, shape: tuple[int, ...]) -> None:
    """Raises InputError(422) unless each row has a value of the feature's shape."""
    if not shape:
        return _require_flat(tensor, count)
    fits = len(tensor.shape) == len(shape) + 1 and all(
        wanted in (-1, size) for wanted, size in zip(shape, tensor.shape[1:], strict=True)
    )
    if not fits:
        raise InputError(422, message=f"{_described(tensor)}; the model takes {['rows', *shape]}".replace("'", ""))
    return None


def _described(tensor: Tensor) -> str:
    return f'the tensor "{shown(tensor.name)}" has shape {tensor.shape}'


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (", ..." if len(names) > NAMED else "")


def _python(column: Any) -> list[Any]:
    """A judged column as JSON would have brought it: null for NaN."""
    values: list[Any] = column if isinstance(column, list) else column.tolist()
    return [None if value != value else value for value in values]
