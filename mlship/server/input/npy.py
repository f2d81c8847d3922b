"""npy in and out, by the format's own reader and never through pickle: the header is bounded, the data as long as it says.

Source: NumPy's documentation of numpy.lib.format (NEP 1), versions 1.0 to 3.0.
"""

from __future__ import annotations

import io
from functools import lru_cache
from math import prod
from typing import Any

from mlship.server.core import Batch, ServedModel
from mlship.server.input.tensors import MATRIX, Intake, Tensor
from mlship.server.problems import InputError, described

HEADER = 10_000  # bytes; numpy's own bound (numpy.lib.format, _MAX_HEADER_SIZE)
MOST_AXES = 8  # as tensors have at most
KINDS = {"b": "BOOL", "i": "INT", "u": "UINT", "f": "FP"}  # `O` would be pickle, the others are no features


def batch(body: bytes, model: ServedModel) -> Batch:
    """The rows of an array (rows, features), or of a flat one: rows of one feature, or one row of several. NaN is null.

    Raises InputError(400) for what is not npy, InputError(422) for an array that cannot be rows, or rows that the model cannot
    take.
    """
    array = _array(body)
    width = len(model.entry.signature.inputs)
    features = model.entry.signature.inputs
    if width == 1 and features[0].shape:
        return _intake(model).batch([_tensor(array)])
    if array.ndim > 2:
        raise InputError(422, message=f"the array has {array.ndim} dimensions; send rows by features")
    if array.ndim == 1:
        array = array.reshape(1, -1) if width > 1 else array.reshape(-1, 1)
    if width and array.shape[1] != width:
        raise InputError(422, message=f"the array has shape {list(array.shape)}; the model takes [rows, {width}]")
    return _intake(model).batch([_tensor(array)])


def _tensor(array: Any) -> Tensor:
    bits = "" if array.dtype.kind == "b" else str(array.dtype.itemsize * 8)
    return Tensor(MATRIX, KINDS[array.dtype.kind] + bits, list(array.shape), None, lambda: array)


@lru_cache(maxsize=64)
def _intake(model: ServedModel) -> Intake:
    return Intake(model)


def data(values: list[Any]) -> bytes:
    """One output as an array. Raises InputError(406) for what an array without pickle cannot hold."""
    import numpy

    try:
        array = numpy.array([_number(value) for value in values])
    except ValueError:
        array = numpy.empty(0, dtype=object)
    if array.dtype.kind not in (*KINDS, "U"):
        raise InputError(406, message="the predictions are no array of numbers or strings; accept application/json")
    into = io.BytesIO()
    numpy.lib.format.write_array(into, array, allow_pickle=False)
    return into.getvalue()


def _array(body: bytes) -> Any:
    import numpy

    stream = io.BytesIO(body)
    try:
        version = numpy.lib.format.read_magic(stream)
        read = _reader(numpy.lib.format, version)
        shape, is_fortran, dtype = read(stream, max_header_size=HEADER)
    except Exception as error:  # numpy lets through what its parts raise: tokenize.TokenError, IndexError, RecursionError, ...
        raise InputError(400, message=f"the body is not npy: {_said(error)}") from None
    if dtype.kind not in KINDS or dtype.itemsize > 8:
        raise InputError(422, message=f"the array is of dtype {str(dtype)[:40]}; send numbers of at most 64 bits")
    if not 0 < len(shape) <= MOST_AXES:
        raise InputError(422, message=f"the array has {len(shape)} dimensions; send rows by features")
    rest = len(body) - stream.tell()
    _require_length(shape, dtype.itemsize, rest)
    flat = numpy.frombuffer(body, dtype=dtype, offset=stream.tell()).astype(dtype.newbyteorder("="), copy=False)
    return flat.reshape(shape, order="F" if is_fortran else "C")


def _require_length(shape: tuple[int, ...], itemsize: int, rest: int) -> None:
    """rest: bytes behind the header. Raises InputError(400)."""
    if any(type(length) is not int or length < 0 for length in shape):
        raise InputError(400, message="the npy header has a length that is no whole number")
    if 0 in shape:  # also a billion rows of nothing
        raise InputError(400, message="the array is empty; send at least one row")
    # a length may have thousands of digits, more than Python writes
    said = prod(shape) * itemsize if max(shape) <= rest else f"more than {rest}"
    if said != rest:
        raise InputError(400, message=f"the npy header says {said} bytes of data, the body has {rest}")


def _reader(form: Any, version: tuple[int, int]) -> Any:
    """Headers of 2.0 and 3.0 differ in their text's coding only; numpy reads both behind one private name."""
    if version == (1, 0):
        return form.read_array_header_1_0
    if version == (2, 0):
        return form.read_array_header_2_0
    raise ValueError(f"version {version[0]}.{version[1]} is not read; save with numpy.save")


def _said(error: BaseException) -> str:
    return (str(error).split("\n", 1)[0] or type(error).__name__)[:120]


def _number(value: Any) -> Any:
    """Null is NaN among numbers; a list is a row of several values."""
    if isinstance(value, list):
        return [_number(item) for item in value]
    if isinstance(value, dict):
        raise ValueError(described(value))
    return float("nan") if value is None else value
