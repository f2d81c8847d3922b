"""What each route takes and answers, as operations of OpenAPI: by the names under which routes are counted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from mlship.server.input.formats import WRITTEN
from mlship.server.manifest import Model, Serving
from mlship.server.messages import JSON
from mlship.server.pages.openapi_schemas import NONE, TEXT, listed, ref, shape
from mlship.server.protocols.v2_request import HELD

EXAMPLES = 3  # rows of the sample that are shown
BINARY = {"type": "string", "format": "binary"}
STATUSES = {
    "400": "The body cannot be read",
    "413": "The body is larger than max_body",
    "415": "The content type is not taken",
    "422": "Rows that the model cannot take, each named",
    "500": "The model failed; the log has the reason",
    "503": "The server has no time or no room for it; Retry-After says when to ask again",
    "504": "No answer within request_timeout",
}
Item = dict[str, Any]
ANY: Item = {}
OBJECT: dict[str, Any] = {"type": "object"}
SIZES: dict[str, Any] = {"type": "array", "items": {"type": "integer", "minimum": 0}}
SOME: Item = {"not": {"type": "null"}}
ALL = tuple(WRITTEN.values())


@dataclass(frozen=True)
class About:
    """Whose routes they are: a model, how it is served, and the suffix of its schemas' names."""

    entry: Model
    serving: Serving
    suffix: str = ""

    def ref(self, name: str) -> Item:
        """A reference to one of the model's own schemas."""
        return ref(f"{name}{self.suffix}")

    def speaks(self, *protocols: str) -> bool:
        return any(name in self.serving.protocols for name in protocols)


def item(label: str, about: About) -> Item | None:
    """The path item of a route; None for a route that nothing is known of."""
    described = ITEMS.get(label)
    return described(about) if described else None


def _get(words: str, schema: Item | None = None, *, kind: str = JSON, late: bool = False, error: str = "Error") -> Item:
    """A route that is only read. late: 503 in the same form while the server starts or drains."""
    answer: Item = {"description": words, "headers": _headers()}
    if schema is not None:
        answer["content"] = {kind: {"schema": schema}}
    not_ready = {"503": {**answer, "description": "The server is starting or draining"}} if late else {}
    return {"get": {"summary": words, "responses": {"200": answer, **not_ready, "default": _error("Any refusal", error)}}}


def _post(
    forms: Iterable[Item],
    answers: Iterable[Item],
    *,
    kinds: tuple[str, ...] = ALL,
    given: tuple[str, ...] = ALL,
    error: str = "Error",
    example: Any = None,
) -> Item:
    """A predict route. forms, answers: of JSON; the other content types are as everywhere. kinds: taken; given: answered."""
    asked: Item = {"schema": {"anyOf": [*forms, ref("Question")]}}
    if example is not None:
        asked["example"] = example
    taken = {_bare(kind): asked if kind == JSON else {"schema": _opaque(kind)} for kind in kinds}
    told: Item = {"schema": {"anyOf": [*answers, ref("Identity")]}}
    content = {kind: told if kind == JSON else {"schema": _opaque(kind)} for kind in given}
    errors = {status: _error(words, error) for status, words in STATUSES.items()}
    return {
        "post": {
            "summary": "Predictions for rows",
            "requestBody": {"required": True, "content": taken},
            "responses": {
                "200": {"description": "One entry a row in each output", "headers": _headers(), "content": content},
                **errors,
                "default": _error("Any other refusal", error),
            },
        }
    }


def _bare(kind: str) -> str:
    return kind.partition(";")[0]


def _opaque(kind: str) -> Item:
    return TEXT if kind.startswith(("text/", "application/json")) else BINARY


def _error(words: str, schema: str) -> Item:
    return {"description": words, "content": {JSON: {"schema": ref(schema)}}}


def _headers() -> Item:
    return {
        "X-Mlship-Release": {"$ref": "#/components/headers/Release"},
        "X-Request-Id": {"$ref": "#/components/headers/RequestId"},
    }


def _sample(about: About, key: str) -> Any:
    rows = list(about.entry.sample[:EXAMPLES])
    return {key: rows} if rows else None


def _envelope(about: About, key: str, rows: Item, parameters: str) -> Item:
    """A platform's object around rows; what else stands in it is refused unless serve.extra ignores it."""
    return shape({key: rows}, {parameters: NONE}, closed=about.entry.extra != "ignore")


def _split() -> Item:
    """A table as pandas writes it."""
    columns = {"type": "array", "items": {"type": ["string", "integer"]}}
    return shape({"data": {"type": "array"}}, {"columns": columns, "index": {"type": "array"}})


def _predict(about: About) -> Item:
    return _post([shape({"instances": about.ref("Rows")})], [about.ref("Answer")], example=_sample(about, "instances"))


def _invocations(about: About) -> Item:
    forms: list[Item] = []
    answers: list[Item] = []
    is_mlflow_alone = about.serving.invocations == "mlflow" or not about.speaks("sagemaker")
    if not (is_mlflow_alone and about.speaks("mlflow")):
        forms, answers = [shape({"instances": about.ref("Rows")}), about.ref("Rows")], [about.ref("Answer")]
    if about.speaks("mlflow"):
        tables = {"dataframe_split": _split(), "dataframe_records": about.ref("Rows"), "instances": about.ref("Rows")}
        inputs = {"anyOf": [about.ref("Rows"), {"type": "object", "additionalProperties": {"type": "array"}}]}
        forms += [_envelope(about, key, rows, "params") for key, rows in {**tables, "inputs": inputs}.items()]
        answers.append(shape({"predictions": listed(about.ref("Entry"))}))
    given = (JSON,) if is_mlflow_alone and about.speaks("mlflow") else ALL
    item = _post(forms, answers, given=given, example=_sample(about, "instances"))
    item["post"]["responses"]["406"] = _error("Accept names only types that there are not", "Error")
    return item


def _vertex(about: About) -> Item:
    forms = [
        _envelope(about, "instances", about.ref("Rows"), "parameters"),
        shape({"instances": {**listed(ref("Question")), "maxItems": 1}}),
    ]
    answers = [shape({"predictions": listed(about.ref("Entry"))}), shape({"predictions": listed(ref("Identity"))})]
    return _post(forms, answers, example=_sample(about, "instances"))


def _score(about: About) -> Item:
    rows = {"input_data": {"anyOf": [_split(), about.ref("Rows")]}, "data": about.ref("Rows"), "instances": about.ref("Rows")}
    forms = [_envelope(about, key, schema, "params") for key, schema in rows.items()]
    return _post(forms, [listed(about.ref("Entry")), about.ref("Answer")], example=_sample(about, "input_data"))


def _infer(about: About) -> Item:
    typed = {"name": TEXT, "shape": {**SIZES, "minItems": 1}, "datatype": {"enum": list(HELD)}}
    given = shape(typed, {"data": SOME, "parameters": OBJECT}, closed=False)
    tensor = shape({"name": TEXT, "shape": SIZES, "datatype": TEXT}, {"data": ANY, "parameters": OBJECT}, closed=False)
    wanted = shape({"name": TEXT}, {"parameters": OBJECT}, closed=False)
    more = {"id": TEXT, "parameters": OBJECT, "outputs": {"type": "array", "items": wanted}}
    asked = shape({"inputs": listed(given)}, more, closed=False)
    told = shape({"model_name": TEXT, "model_version": TEXT, "outputs": {"type": "array", "items": tensor}}, {"id": TEXT})
    kinds = (*ALL, "application/octet-stream")
    return _post([asked], [told], kinds=kinds, given=kinds, error="FlatError")


def _tensorflow(about: About) -> Item:
    named = {"signature_name": {"enum": ["", "serving_default"]}}
    forms = [shape({"instances": about.ref("Rows")}, named), shape({"inputs": SOME}, named)]
    answers = [shape({"predictions": {"type": "array"}}), shape({"outputs": ANY})]
    return _post(forms, answers, error="FlatError", example=_sample(about, "instances"))


def _health(words: str, kind: str = "") -> Callable[[About], Item]:
    return lambda about: _get(words, TEXT if kind else None, kind=kind, late=True)


def _told(words: str, schema: Item, kind: str = JSON, error: str = "Error", late: bool = False) -> Callable[[About], Item]:
    return lambda about: _get(words, schema, kind=kind, error=error, late=late)


ITEMS: dict[str, Callable[[About], Item]] = {
    "/predict": _predict,
    "/predict/{model}": _predict,
    "/invocations": _invocations,
    "/vertex/predict": _vertex,
    "/score": _score,
    "/v2/models/{model}/infer": _infer,
    "/v1/models/{model}:predict": _tensorflow,
    "/livez": _told("Alive", OBJECT),
    "/readyz": _told("Ready for predictions", OBJECT, late=True),
    "/mlship/release": _told("Which release this is", ref("Identity")),
    "/schema": _told("What the model takes and gives", OBJECT),
    "/schema/{model}": _told("What the model takes and gives", OBJECT),
    "/openapi.json": _told("This document", OBJECT),
    "/docs": _told("A page to try the model", TEXT, "text/html; charset=utf-8"),
    "/metrics": _told("What was counted, as Prometheus reads it", TEXT, "text/plain; version=0.0.4; charset=utf-8"),
    "/ping": _health("Ready for predictions, to SageMaker and MLflow"),
    "/health": _health("Ready for predictions, to MLflow"),
    "/": _health("Ready for predictions, to Azure Machine Learning", "text/plain; charset=utf-8"),
    "/vertex/health": _health("Ready for predictions, to Vertex AI"),
    "/version": _told("The version of mlship, where MLflow tells its own", TEXT, "text/plain; charset=utf-8"),
    "/v2": _told("The server", OBJECT, error="FlatError"),
    "/v2/health/live": _told("Alive", OBJECT, error="FlatError"),
    "/v2/health/ready": _told("Ready for predictions", OBJECT, error="FlatError", late=True),
    "/v2/models/{model}": _told("What the model takes and gives, as tensors", OBJECT, error="FlatError"),
    "/v2/models/{model}/ready": _told("Ready for predictions", OBJECT, error="FlatError", late=True),
    "/v1/models/{model}": _told("The state of the model's one version", OBJECT, error="FlatError"),
    "/v1/models/{model}/metadata": _told("What the model takes and gives, as tensors", OBJECT, error="FlatError"),
}
