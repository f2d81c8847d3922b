"""What a model gave, as values that JSON has. Infinite and undefined numbers become null: JSON has no word for them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from itertools import chain
from typing import Any

from mlship.server.problems import ModelFailed

FEW = 32  # numbers that Python looks at faster than a call of numpy takes
MANY = 256  # numbers from which an array is written to JSON as it is, where nobody wants to see them before
AS_THEY_ARE = frozenset((str, int, bool, type(None)))
DEPTH = 64  # of nested lists and objects in one answer; deeper is a cycle or a mistake


def outputs(result: Any, count: int, with_arrays: bool = False) -> dict[str, Any]:
    """Each array of the model's result as a list with one entry a row; with_arrays: as it is, where orjson writes the same of it.

    result: what LoadedModel.predict gave. count: rows that went in. Raises ModelFailed when names, lengths or types are not
    what the contract says.
    """
    if type(result) is not dict and not isinstance(result, Mapping):
        raise ModelFailed(f"predict gave {type(result).__name__}, not a mapping of outputs")
    if "predictions" not in result:
        raise ModelFailed("predict gave no output named predictions")
    told: dict[str, Any] = {}
    for name, values in result.items():
        if with_arrays and _is_written(values, count):
            told[str(name)] = values
        elif (few := _few(values, count)) is not None:
            told[str(name)] = few
        else:
            told[str(name)] = _one_a_row(str(name), plain(values), count)
    return told


def plain(value: Any, depth: int = 0) -> Any:
    """The value in JSON's types. Raises ModelFailed for what has no form in JSON."""
    kind = type(value)
    if kind in AS_THEY_ARE:
        return value
    if kind is float:
        return value if math.isfinite(value) else None
    if depth > DEPTH:
        raise ModelFailed(f"the answer is nested deeper than {DEPTH}")
    if kind in (list, tuple, set, frozenset):
        return [
            item if (of := type(item)) in AS_THEY_ARE or (of is float and math.isfinite(item)) else plain(item, depth + 1)
            for item in value
        ]
    if hasattr(value, "dtype") and kind.__module__ == "numpy":  # first, because it comes most
        return _from_array(value, depth)
    if isinstance(value, Mapping):
        return {_key(key): plain(item, depth + 1) for key, item in value.items()}
    if hasattr(value, "dtype"):
        return _from_array(value, depth)
    return _from_scalar(value, depth)


def _from_array(value: Any, depth: int) -> Any:
    """numpy arrays and scalars, pandas columns, scipy's sparse matrices."""
    if type(value).__module__ != "numpy":
        if hasattr(value, "toarray"):
            value = value.toarray()
        if hasattr(value, "to_numpy"):
            value = value.to_numpy()
        if hasattr(value, "mask") and hasattr(value, "filled"):
            return plain(value.tolist(), depth + 1)
    kind = value.dtype.kind
    if kind in "biuUT":
        return value.tolist()
    if kind == "f":
        listed = value.tolist()
        return listed if _all_finite(value) else plain(listed, depth + 1)
    if kind in "Mm":
        return _times(value, depth)
    if kind == "O":
        return plain(value.tolist(), depth + 1)
    raise ModelFailed(f"an answer of dtype {value.dtype} has no form in JSON")


def _few(values: Any, count: int) -> list[Any] | None:
    """What `plain` gives for a few finite float64, one or one list a row: most answers, so in one step. None for all else."""
    kind = type(values)
    if kind.__name__ != "ndarray" or kind.__module__ != "numpy":
        return None
    if values.dtype.char != "d" or values.size > FEW or values.ndim not in (1, 2):
        return None
    listed: list[Any] = values.tolist()
    is_finite = all(map(math.isfinite, listed if values.ndim == 1 else chain.from_iterable(listed)))
    return listed if is_finite and len(listed) == count else None


def _is_written(values: Any, count: int) -> bool:
    """True for an array of many float64, all finite, an entry for each row; of float32 orjson writes fewer digits than of a list."""
    kind = type(values)
    return (
        kind.__module__ == "numpy"
        and kind.__name__ == "ndarray"
        and values.ndim > 0
        and values.dtype == "float64"
        and values.dtype.isnative
        and values.size >= MANY
        and len(values) == count
        and values.flags.c_contiguous
        and _all_finite(values)
    )


def _times(value: Any, depth: int) -> Any:
    """Nanoseconds do not fit Python's datetime: microseconds are what the answer shows."""
    unit = "datetime64[us]" if value.dtype.kind == "M" else "timedelta64[us]"
    return plain(value.astype(unit).tolist(), depth + 1)


def _all_finite(value: Any) -> bool:
    if value.size <= FEW:
        return all(map(math.isfinite, value.ravel().tolist()))
    import numpy

    return bool(numpy.isfinite(value).all())


def _from_scalar(value: Any, depth: int) -> Any:
    if hasattr(value, "to_dict") and hasattr(value, "columns"):
        return plain(value.to_dict("records"), depth + 1)
    if isinstance(value, (datetime, date, time)):
        return None if str(value) == "NaT" else value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Decimal):
        return plain(float(value))
    if isinstance(value, Enum):
        return plain(value.value, depth + 1)
    if isinstance(value, (str, int, float)):
        return plain(_base(value))
    if hasattr(value, "tolist"):
        return plain(value.tolist(), depth + 1)
    if type(value).__name__ in ("NAType", "NaTType"):
        return None
    raise ModelFailed(f"an answer of type {type(value).__name__} has no form in JSON; return numbers, strings, lists or dicts")


def _base(value: str | int | float) -> str | int | float:
    """A subclass of a plain type as that type."""
    for base in (str, int, float):
        if isinstance(value, base):
            return base(value)
    return value


def _key(key: Any) -> str:
    return key if type(key) is str else str(plain(key))


def _one_a_row(name: str, values: Any, count: int) -> list[Any]:
    if not isinstance(values, list):
        raise ModelFailed(f"the output {name} is {type(values).__name__}, not one value a row")
    if len(values) != count:
        raise ModelFailed(f"the output {name} has {len(values)} entries for {count} rows")
    return values
