"""The dtypes of features that are numbers, by kind. All dtypes: manifest.DTYPES."""

from __future__ import annotations

FLOATS = ("float64", "float32", "float16")
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
NUMERIC = ("bool", *INTEGERS, *FLOATS)
