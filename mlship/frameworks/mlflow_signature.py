"""The signature in an MLmodel as the server's own value (mlflow 3.17, mlflow/types/schema.py)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mlship.server.manifest import DTYPES, Feature, Signature

_DTYPES = {
    "boolean": "bool", "integer": "int32", "long": "int64", "float": "float32", "double": "float64", "string": "string",
    "datetime": "datetime",
}  # fmt: skip
MAX_FEATURES = 10_000


def declared(document: Mapping[str, Any]) -> Signature | None:
    """None where there is no signature, or one of a form that rows of values do not have.

    A column is named as it is, or `x0`, `x1` ... where it has no name; a tensor of shape (-1, n) is n such columns.
    """
    signature = document.get("signature")
    text = signature.get("inputs") if isinstance(signature, dict) else None
    try:
        columns = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(columns, list) or not columns or not all(isinstance(column, dict) for column in columns):
        return None
    if len(columns) == 1 and columns[0].get("type") == "tensor":
        return _of_tensor(columns[0])
    if len(columns) > MAX_FEATURES or any(not isinstance(column.get("type"), str) for column in columns):
        return None
    named = all(isinstance(column.get("name"), str) for column in columns)
    return Signature(inputs=tuple(_column(place, column) for place, column in enumerate(columns)), named=named)


def _column(place: int, column: Mapping[str, Any]) -> Feature:
    name = column.get("name")
    nullable = column.get("required") is False
    return Feature(name if isinstance(name, str) else f"x{place}", _DTYPES.get(column["type"], "any"), nullable)


def _of_tensor(column: Mapping[str, Any]) -> Signature | None:
    spec = column.get("tensor-spec")
    shape = spec.get("shape") if isinstance(spec, dict) else None
    if not isinstance(shape, list) or len(shape) != 2 or not isinstance(shape[1], int) or not 0 < shape[1] <= MAX_FEATURES:
        return None
    dtype = str(spec.get("dtype")) if isinstance(spec, dict) else ""
    return Signature(inputs=tuple(Feature(f"x{place}", dtype if dtype in DTYPES else "any") for place in range(shape[1])))
