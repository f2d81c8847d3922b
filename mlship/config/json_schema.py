"""The schema for editors: JSON Schema 2020-12, written from the same types that the loader walks along."""

from __future__ import annotations

from typing import Any

import msgspec

from mlship.config import not_yet
from mlship.config.schema import SAME_EVERYWHERE, EnvironmentName
from mlship.config.shapes import (
    Amount,
    Anything,
    Choice,
    Key,
    Listing,
    Number,
    NumberOrText,
    Section,
    Shape,
    Switch,
    Table,
    Text,
    shape_of,
)
from mlship.config.validate import DOCUMENT
from mlship.units import Cpu, Duration, Memory, Money

Schema = dict[str, Any]

_NUMBER = r"[0-9]+(\.[0-9]+)?"
_AMOUNTS: dict[Any, Schema] = {
    Memory: {"type": "string", "pattern": rf"^\s*{_NUMBER}\s*([KMGT]i?B|B)\s*$", "examples": ["2GiB", "512MiB"]},
    Cpu: {"type": ["number", "string"], "pattern": rf"^\s*{_NUMBER}\s*m?\s*$", "examples": [1, 0.5, "500m"]},
    Duration: {"type": "string", "pattern": rf"^\s*{_NUMBER}\s*(ms|s|m|h|d)\s*$", "examples": ["250ms", "30s", "5m"]},
    Money: {"type": "string", "pattern": rf"^\s*{_NUMBER}\s*USD\s*$", "examples": ["150 USD"]},
}
_RANGE: list[Schema] = [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": r"^[0-9]+\.\.[0-9]+$"}]


def json_schema() -> Schema:
    """What an editor checks and completes mlship.yaml with. The rules across keys are the loader's alone."""
    environments = DOCUMENT.keys["environments"]
    whole = _section(DOCUMENT, (), is_whole=True)
    whole["properties"]["environments"] = {
        "description": environments.description,
        "type": ["object", "null"],
        "propertyNames": _shape(shape_of(EnvironmentName), (), is_whole=True),
        "additionalProperties": {"$ref": "#/$defs/environment"},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "mlship.yaml",
        **whole,
        "anyOf": [{"required": [key]} for key in ("model", "models", "environments")],
        "not": {"required": ["model", "models"]},
        "$defs": {"environment": _environment()},
    }


def _environment() -> Schema:
    """The same keys again: those that are the same in every environment are left out, and nothing is required."""
    part = _section(DOCUMENT, (), is_whole=False)
    part["type"] = ["object", "null"]
    part["properties"] = {name: key for name, key in part["properties"].items() if name not in SAME_EVERYWHERE}
    return part


def _section(shape: Section, path: tuple[str, ...], is_whole: bool) -> Schema:
    """is_whole: keys that must be there are asked for; an environment names only what differs."""
    required = [name for name, key in shape.keys.items() if key.is_required]
    written: Schema = {
        "type": "object" if required else ["object", "null"],
        "description": shape.description,
        "properties": {name: _key(key, (*path, name), is_whole) for name, key in shape.keys.items()},
        "additionalProperties": False,
    }
    if required and is_whole:
        written["required"] = required
    return written


def _key(key: Key, path: tuple[str, ...], is_whole: bool) -> Schema:
    written = _shape(key.shape, path, is_whole)
    description = key.description or written.get("description", "")
    if not not_yet.is_built(path):
        description = f"{description} (not yet built)".lstrip()
    if description:
        written = {"description": description, **{name: value for name, value in written.items() if name != "description"}}
    if key.default not in (msgspec.NODEFAULT, None, (), {}) and not isinstance(key.shape, Section):
        written["default"] = _default(key)
    return written


def _default(key: Key) -> Any:
    if isinstance(key.shape, Amount):
        return str(key.default)
    return list(key.default) if isinstance(key.default, tuple) else key.default


def _shape(shape: Shape, path: tuple[str, ...], is_whole: bool) -> Schema:
    if isinstance(shape, Section):
        return _with_short_form(shape, path, is_whole)
    if isinstance(shape, Table):
        names, values = _shape(shape.name, path, is_whole), _shape(shape.value, (*path, "*"), is_whole)
        return {"type": ["object", "null"], "propertyNames": names, "additionalProperties": values}
    if isinstance(shape, Listing):
        return {"type": ["array", "null"], "items": _shape(shape.item, path, is_whole)}
    if isinstance(shape, Anything):
        return {}
    return _scalar(shape)


def _with_short_form(shape: Section, path: tuple[str, ...], is_whole: bool) -> Schema:
    written = _section(shape, path, is_whole)
    if not shape.short:
        return written
    short = _RANGE if shape.short == "min..max" else [_short_form(shape.keys[shape.short].shape)]
    return {"description": written.pop("description"), "anyOf": [*short, written]}


def _short_form(shape: Shape) -> Schema:
    return _scalar(shape) if isinstance(shape, Number | Choice) else {"type": "string", "minLength": 1}


def _scalar(shape: Text | Number | NumberOrText | Switch | Choice | Amount) -> Schema:
    if isinstance(shape, Choice):
        return {"enum": list(shape.values)}
    if isinstance(shape, Amount):
        return dict(_AMOUNTS[shape.unit])
    if isinstance(shape, Switch):
        return {"type": "boolean"}
    if isinstance(shape, NumberOrText):
        return {"type": ["number", "string"]}
    if isinstance(shape, Number):
        return _number(shape)
    bounds = {"minLength": shape.shortest, "maxLength": shape.longest}
    return {"type": "string", **bounds, **({"pattern": shape.pattern} if shape.pattern else {})}


def _number(shape: Number) -> Schema:
    said = {"minimum": shape.minimum, "exclusiveMinimum": shape.above, "maximum": shape.maximum}
    number = {
        "type": "integer" if shape.whole else "number",
        **{key: value for key, value in said.items() if value is not None},
    }
    return {"anyOf": [number, {"enum": list(shape.words)}]} if shape.words else number
