"""botocore's own service model as a judge of requests and answers: required and unknown members, types, enums, patterns, bounds."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import botocore.session
from botocore import xform_name
from botocore.model import OperationModel, Shape

_PLAIN = {"string": str, "integer": int, "long": int, "boolean": bool, "float": (float, int), "double": (float, int)}


def check_request(service: str, operation: str, said: Mapping[str, Any]) -> None:
    """Raises AssertionError with the path of every member that the service would refuse."""
    _check(_operation(service, operation).input_shape, said, f"{service} {operation}")


def check_answer(service: str, operation: str, said: Mapping[str, Any]) -> None:
    _check(_operation(service, operation).output_shape, said, f"answer of {service} {operation}")


def wrongs(shape: Shape | None, value: Any, path: str) -> list[str]:
    """What the model says against the value."""
    if shape is None:
        return [f"{path}: takes nothing"] if value else []
    if shape.type_name == "structure":
        return _structure(shape, value, path)
    if shape.type_name == "list":
        inner = [wrong for number, entry in enumerate(value) for wrong in wrongs(shape.member, entry, f"{path}[{number}]")]
        return [*_bounds(shape, len(value), path), *inner]
    if shape.type_name == "map":
        return [wrong for key, entry in value.items() for wrong in wrongs(shape.value, entry, f"{path}.{key}")]
    if shape.type_name == "timestamp":
        return [] if isinstance(value, datetime) else [f"{path}: {value!r} is no time"]
    if shape.type_name == "blob":
        return [] if isinstance(value, bytes) or hasattr(value, "read") else [f"{path}: {value!r} is no bytes"]
    return _scalar(shape, value, path)


def _structure(shape: Shape, value: Any, path: str) -> list[str]:
    if not isinstance(value, Mapping):
        return [f"{path}: {value!r} is no structure"]
    missing = [f"{path}: {name} is missing" for name in shape.required_members if name not in value]
    unknown = [f"{path}: there is no {name}" for name in value if name not in shape.members]
    known = {name: entry for name, entry in value.items() if name in shape.members}
    return [
        *missing,
        *unknown,
        *(wrong for name, entry in known.items() for wrong in wrongs(shape.members[name], entry, f"{path}.{name}")),
    ]


def _scalar(shape: Shape, value: Any, path: str) -> list[str]:
    wanted = _PLAIN[shape.type_name]
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
        return [f"{path}: {value!r} is no {shape.type_name}"]
    if shape.type_name != "string":
        return _bounds(shape, value, path)
    found = _bounds(shape, len(value), path)
    if shape.enum and value not in shape.enum:
        found.append(f"{path}: {value!r} is none of {shape.enum}")
    pattern = shape.metadata.get("pattern")
    if pattern and not re.search(_python(pattern), value):
        found.append(f"{path}: {value!r} does not match {pattern}")
    return found


def _bounds(shape: Shape, size: float, path: str) -> list[str]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    wrong = (low is not None and size < low) or (high is not None and size > high)
    return [f"{path}: {size} is not within {low}..{high}"] if wrong else []


def _python(pattern: str) -> str:
    r"""Java's classes in Python's words: `\p{L}` are letters, and what botocore means by them is a whole match; two surrogates are one
    character beyond the first 65,536.
    """
    return re.sub(r"\\p\{\w+\}", r"\\w", pattern).replace(r"\uD800\uDC00-\uDBFF\uDFFF", "\U00010000-\U0010ffff")


def _check(shape: Shape | None, said: Mapping[str, Any], path: str) -> None:
    found = wrongs(shape, said, path)
    assert not found, "\n".join(found)


@functools.cache
def _operation(service: str, operation: str) -> OperationModel:
    model = botocore.session.get_session().get_service_model(service)
    name = next(name for name in model.operation_names if xform_name(name) == operation)
    return model.operation_model(name)
