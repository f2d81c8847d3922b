"""/openapi.json: OpenAPI 3.1 of this very model, generated from its signature, with examples from its sample."""

from __future__ import annotations

from typing import Any

import orjson

from mlship.server.manifest import Feature, Model, Output
from mlship.server.messages import Request, Response, Route
from mlship.server.service import Service

EXAMPLES = 3  # rows of the sample that are shown
ERRORS = {
    "400": "The body cannot be read",
    "413": "The body is larger than max_body",
    "415": "The content type is not taken",
    "422": "Rows that the model cannot take, each named",
    "500": "The model failed; the log has the reason",
    "503": "The server is starting or draining",
    "504": "No answer within request_timeout",
}
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")


def routes(service: Service) -> list[Route]:
    """/openapi.json."""
    body = orjson.dumps(document(service), default=str)

    def answer(request: Request) -> Response:
        return Response(200, body)

    return [Route("/openapi.json", {"GET": answer})]


def document(service: Service) -> dict[str, Any]:
    """The whole document, in JSON's types."""
    protocols = service.manifest.serving.protocols
    entry = service.model.entry
    return {
        "openapi": "3.1.0",
        "info": {
            "title": service.manifest.project,
            "version": service.settings.release,
            "description": f"{service.model.loaded.title}, served by mlship.",
        },
        "paths": {
            **({"/predict": {"post": _predict(entry, bare=False)}} if "native" in protocols else {}),
            **({"/invocations": {"post": _predict(entry, bare=True)}} if "sagemaker" in protocols else {}),
            **({"/ping": _get("ping", "SageMaker's health check", None, ready=True)} if "sagemaker" in protocols else {}),
            "/livez": _get("livez", "Alive", {"type": "object"}),
            "/readyz": _get("readyz", "Ready for predictions", {"type": "object"}, ready=True),
            "/mlship/release": _get("release", "Which release this is", {"type": "object"}),
            "/schema": _get("schema", "What the model takes and gives", {"type": "object"}),
        },
        "components": {"schemas": _schemas(entry), "headers": _headers()},
    }


def row_schema(entry: Model) -> dict[str, Any]:
    """JSON Schema of one row in all its forms."""
    inputs = entry.signature.inputs
    if not inputs:
        return {}
    properties = {feature.name: feature_schema(feature) for feature in inputs}
    forms: list[dict[str, Any]] = [
        {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False},
        {
            "type": "array",
            "prefixItems": [feature_schema(feature) for feature in inputs],
            "minItems": len(inputs),
            "maxItems": len(inputs),
        },
    ]
    return {"oneOf": [*forms, feature_schema(inputs[0])] if len(inputs) == 1 else forms}


def feature_schema(feature: Feature) -> dict[str, Any]:
    """JSON Schema of one feature's values."""
    kind = _kind(feature.dtype)
    if feature.categories is not None:
        known = [value for value in feature.categories if value is not None]
        return {"enum": [*known, None] if feature.nullable else known}
    if not kind:
        return {} if feature.nullable else {"not": {"type": "null"}}
    return {"type": [kind, "null"]} if feature.nullable else {"type": kind}


def _kind(dtype: str) -> str:
    if dtype == "any":
        return ""
    if dtype in INTEGERS:
        return "integer"
    return {"bool": "boolean", "string": "string", "datetime": "string"}.get(dtype, "number")


def _schemas(entry: Model) -> dict[str, Any]:
    rows = {"type": "array", "items": {"$ref": "#/components/schemas/Row"}, "minItems": 1}
    instances = {"type": "object", "properties": {"instances": rows}, "required": ["instances"], "additionalProperties": False}
    outputs = entry.signature.outputs or (Output("predictions"),)
    problem = {
        "type": "object",
        "properties": {
            "row": {"type": ["integer", "null"]},
            "feature": {"type": ["string", "null"]},
            "value": {},
            "expected": {"type": "string"},
            "message": {"type": "string"},
        },
    }
    error = {
        "type": "object",
        "properties": {
            "code": {"type": "string"},
            "message": {"type": "string"},
            "problems": {"type": "array", "items": problem},
        },
        "required": ["code", "message", "problems"],
    }
    return {
        "Row": row_schema(entry),
        "Instances": instances,
        "Rows": rows,
        "Answer": {
            "type": "object",
            "properties": {output.name: {"type": "array", "items": _output_schema(output)} for output in outputs},
            "required": ["predictions"],
        },
        "Error": {
            "type": "object",
            "properties": {"error": error, "request_id": {"type": "string"}},
            "required": ["error", "request_id"],
        },
    }


def _output_schema(output: Output) -> dict[str, Any]:
    """Every number may be null: that is how a result that is not finite is written."""
    kind = _kind(output.dtype)
    schema: dict[str, Any] = {"type": [kind, "null"]} if kind else {}
    for size in reversed(output.shape):
        schema = {"type": "array", "items": schema, **({"minItems": size, "maxItems": size} if size >= 0 else {})}
    return schema


def _predict(entry: Model, bare: bool) -> dict[str, Any]:
    instances: dict[str, Any] = {"$ref": "#/components/schemas/Instances"}
    json: dict[str, Any] = {"schema": {"anyOf": [instances, {"$ref": "#/components/schemas/Rows"}]} if bare else instances}
    if entry.sample:
        json["example"] = {"instances": list(entry.sample[:EXAMPLES])}
    text = {"schema": {"type": "string"}}
    taken = {"application/json": json, "text/csv": text, "application/jsonlines": text}
    answer = {
        "application/json": {"schema": {"$ref": "#/components/schemas/Answer"}},
        "text/csv": text,
        "application/jsonlines": text,
    }
    errors = {
        status: {"description": words, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}}
        for status, words in ERRORS.items()
    }
    return {
        "operationId": "invocations" if bare else "predict",
        "summary": "Predictions for rows",
        "requestBody": {"required": True, "content": taken},
        "responses": {
            "200": {"description": "One entry a row in each output", "headers": _answer_headers(), "content": answer},
            **errors,
        },
    }


def _get(name: str, words: str, schema: dict[str, Any] | None, ready: bool = False) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": words, "headers": _answer_headers()}
    if schema is not None:
        answer["content"] = {"application/json": {"schema": schema}}
    late = {"503": {**answer, "description": "The server is starting or draining"}} if ready else {}
    return {"get": {"operationId": name, "summary": words, "responses": {"200": answer, **late}}}


def _headers() -> dict[str, Any]:
    return {
        "Release": {"description": "The release that answered", "schema": {"type": "string"}},
        "RequestId": {"description": "The caller's X-Request-Id, or a new one", "schema": {"type": "string"}},
    }


def _answer_headers() -> dict[str, Any]:
    return {
        "X-Mlship-Release": {"$ref": "#/components/headers/Release"},
        "X-Request-Id": {"$ref": "#/components/headers/RequestId"},
    }
