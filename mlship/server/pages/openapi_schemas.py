"""The schemas of one model: a row in all its forms, the answer, and what every error looks like."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mlship.server.input.dtypes import INTEGERS
from mlship.server.input.extras import extras_of
from mlship.server.manifest import Feature, Model, Output

SCALAR = {"type": ["string", "number", "boolean", "null"]}
TEXT = {"type": "string"}
NONE: dict[str, Any] = {"type": ["object", "null"], "maxProperties": 0}  # parameters of a model that takes none


def ref(name: str) -> dict[str, Any]:
    """A reference to a schema of the document."""
    return {"$ref": f"#/components/schemas/{name}"}


def listed(schema: dict[str, Any]) -> dict[str, Any]:
    """A list with at least one item."""
    return {"type": "array", "items": schema, "minItems": 1}


def shape(required: dict[str, Any], optional: dict[str, Any] | None = None, *, closed: bool = True) -> dict[str, Any]:
    """An object. closed: other keys are refused."""
    properties = {**required, **(optional or {})}
    made: dict[str, Any] = {"type": "object", "properties": properties, "required": list(required)}
    return {**made, "additionalProperties": False} if closed else made


def of_model(entry: Model, suffix: str) -> dict[str, Any]:
    """The schemas of one model. suffix: of their names, empty for the default model."""
    return {
        f"Row{suffix}": row_schema(entry),
        f"Rows{suffix}": rows_schema(entry),
        f"Answer{suffix}": shape(answer_properties(entry)),
        f"Entry{suffix}": entry_schema(entry),
    }


def of_all() -> dict[str, Any]:
    """The schemas that every model's routes refer to."""
    problem = shape(
        {
            "row": {"type": ["integer", "null"]},
            "feature": {"type": ["string", "null"]},
            "value": {},
            "expected": TEXT,
            "message": TEXT,
        }
    )
    error = shape({"code": TEXT, "message": TEXT, "problems": {"type": "array", "items": problem}})
    return {
        "Question": {"const": {"mlship": "release"}, "description": "Which release is this?"},
        "Identity": {"type": "object", "required": ["release", "project", "models", "accepting", "ready"]},
        "Error": shape({"error": error, "request_id": TEXT}),
        "FlatError": shape({"error": TEXT, "code": TEXT, "problems": {"type": "array", "items": problem}, "request_id": TEXT}),
    }


def row_schema(entry: Model) -> dict[str, Any]:
    """One row in all its forms; anything where the user's own preprocess reads it, or where no feature is known."""
    return {"oneOf": forms} if (forms := _row_forms(entry)) else {}


def rows_schema(entry: Model) -> dict[str, Any]:
    """All rows of a request have the form of the first."""
    forms = _row_forms(entry)
    return {"anyOf": [listed(form) for form in forms]} if forms else listed({})


def _row_forms(entry: Model) -> list[dict[str, Any]]:
    inputs = entry.signature.inputs
    if not inputs:
        return []
    extras = extras_of(entry)
    properties = {feature.name: feature_schema(feature) for feature in inputs}
    beside = {name: SCALAR for name in extras.kept if name not in properties}
    forms: list[dict[str, Any]] = [
        shape(properties, beside, closed=not extras.ignored),
        {
            "type": "array",
            "prefixItems": [feature_schema(feature) for feature in inputs],
            "minItems": len(inputs),
            "maxItems": len(inputs),
        },
    ]
    return [*forms, feature_schema(inputs[0])] if len(inputs) == 1 else forms


def feature_schema(feature: Feature) -> dict[str, Any]:
    """One feature's values."""
    if feature.shape:
        return _nested(feature_schema(replace(feature, shape=())), feature.shape)
    kind = _kind(feature.dtype)
    if feature.categories is not None:
        known = [value for value in feature.categories if value is not None]
        return {"enum": [*known, None] if feature.nullable else known}
    if not kind:
        return {} if feature.nullable else {"not": {"type": "null"}}
    return {"type": [kind, "null"]} if feature.nullable else {"type": kind}


def answer_properties(entry: Model) -> dict[str, Any]:
    """Every output by name, one entry a row, and what goes through."""
    outputs = {
        output.name: {"type": "array", "items": output_schema(output)}
        for output in entry.signature.outputs or (Output("predictions"),)
    }
    return {**outputs, **{name: {"type": "array", "items": SCALAR} for name in entry.passthrough}}


def entry_schema(entry: Model) -> dict[str, Any]:
    """What stands for one row where an answer holds predictions alone."""
    outputs = {output.name: output_schema(output) for output in entry.signature.outputs or (Output("predictions"),)}
    if not entry.outputs and not entry.passthrough:
        return outputs["predictions"]
    return shape({**outputs, **dict.fromkeys(entry.passthrough, SCALAR)})


def output_schema(output: Output) -> dict[str, Any]:
    """Every number may be null: that is how a result that is not finite is written."""
    kind = _kind(output.dtype)
    return _nested({"type": [kind, "null"]} if kind else {}, output.shape)


def _nested(schema: dict[str, Any], shape: tuple[int, ...]) -> dict[str, Any]:
    """Lists of these lengths within lists; -1 is any."""
    for size in reversed(shape):
        schema = {"type": "array", "items": schema, **({"minItems": size, "maxItems": size} if size >= 0 else {})}
    return schema


def _kind(dtype: str) -> str:
    if dtype == "any":
        return ""
    if dtype in INTEGERS:
        return "integer"
    return {"bool": "boolean", "string": "string", "datetime": "string"}.get(dtype, "number")
