"""TensorFlow Serving's REST API: status, metadata and predict of every model.

Source: tensorflow/serving, g3doc/api_rest.md. `instances` are rows and are answered with `predictions`, `inputs` are columns and are
answered with `outputs`; several outputs are objects by their names, one is bare. classify and regress need tf.Example: not here. CSV, JSON
Lines and npy are taken as at every route.
"""

from __future__ import annotations

from typing import Any

from mlship.server.core import ServedModel
from mlship.server.input import formats, jsontext
from mlship.server.input.pandas_json import rows_of_columns
from mlship.server.messages import Call, Handler, Request, Response, Route, answered
from mlship.server.problems import InputError, described, near, shown
from mlship.server.protocols.calls import ask, ask_table
from mlship.server.protocols.families import Family, flat
from mlship.server.protocols.identity import asks_release
from mlship.server.service import Service

MODELS = "/v1/models/"
PATHS = ("/v1/models/{model}", "/v1/models/{model}/metadata", "/v1/models/{model}:predict")
SIGNATURE = "serving_default"
KEYS = ("signature_name", "instances", "inputs")
OF_DTYPE = {
    "bool": "DT_BOOL", "float16": "DT_HALF", "float32": "DT_FLOAT", "float64": "DT_DOUBLE",
    **{f"{sign}int{bits}": f"DT_{sign.upper()}INT{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}  # fmt: skip


def routes(service: Service) -> list[Route]:
    """For each model, with and without its version: status, metadata, predict."""
    return [route for model in service.models.values() for route in _Endpoint(service, model).routes()]


def absent(service: Service, path: str) -> str:
    """What is said of a model, a version or a method that there is not."""
    rest, _, method = path.removeprefix(MODELS).partition(":")
    name, _, rest = rest.partition("/")
    if not path.startswith(MODELS) or not name:
        return ""
    if name not in service.models:
        known = list(service.models)
        return f'there is no model "{shown(name)}" here{near(name, known)}; there is {", ".join(known)}'
    version = rest.removeprefix("versions/").partition("/")[0] if rest.startswith("versions/") else service.version
    if version != service.version:
        return f'{name} has no version "{shown(version)}" here; this release serves version {service.version}'
    return f'"{shown(method)}" is not answered here; post to {MODELS}{name}:predict' if method else ""


FAMILY = Family("/v1/models", absent, flat)


class _Endpoint:
    """One model's routes."""

    def __init__(self, service: Service, model: ServedModel) -> None:
        self._service = service
        self._model = model

    def routes(self) -> list[Route]:
        name, version = self._model.entry.name, self._service.version
        methods: dict[str, dict[str, Handler]] = {
            "": {"GET": self.status},
            "/metadata": {"GET": self.metadata},
            ":predict": {"POST": self.predict},
        }
        return [
            Route(f"{MODELS}{name}{of_version}{suffix}", handlers, f"{MODELS}{{model}}{suffix}")
            for suffix, handlers in methods.items()
            for of_version in ("", f"/versions/{version}")
        ]

    def status(self, request: Request) -> Response:
        """AVAILABLE while this worker takes work."""
        state = "UNLOADING" if self._service.is_draining else "AVAILABLE" if self._service.is_ready else "LOADING"
        status = {"error_code": "OK", "error_message": ""}
        return answered({"model_version_status": [{"version": self._service.version, "state": state, "status": status}]})

    def metadata(self, request: Request) -> Response:
        """The signature, each feature and each output a tensor of one value (or more) a row."""
        entry = self._model.entry
        definition = {
            "inputs": {feature.name: _tensor_info(feature.dtype, feature.shape) for feature in entry.signature.inputs},
            "outputs": {output.name: _tensor_info(output.dtype, output.shape) for output in entry.signature.outputs},
            "method_name": "tensorflow/serving/predict",
        }
        return answered(
            {
                "model_spec": {"name": entry.name, "signature_name": "", "version": self._service.version},
                "metadata": {"signature_def": {"signature_def": {SIGNATURE: definition}}},
            }
        )

    def predict(self, request: Request) -> Response | Call:
        """Raises InputError."""
        if asks_release(request):
            return answered(self._service.identity())
        if formats.sent(request)[0] != "json":
            return ask_table(request, self._model, _rows)
        rows, is_columnar = asked_rows(request.body)
        return ask(request, self._model, rows, _columns if is_columnar else _rows)


def asked_rows(raw: bytes) -> tuple[Any, bool]:
    """The rows of a body of JSON, and whether they came as columns. Raises InputError(400)."""
    body = jsontext.document(raw)
    if not isinstance(body, dict):
        raise InputError(400, message=f'the body must be {{"instances": [...]}} or {{"inputs": ...}}, got {described(body)}')
    unknown = next((key for key in body if key not in KEYS), None)
    if unknown is not None:
        raise InputError(400, message=f'the body has "{shown(unknown)}"{near(unknown, list(KEYS))}; known: {", ".join(KEYS)}')
    if body.get("signature_name", SIGNATURE) not in ("", SIGNATURE):
        said = described(body["signature_name"])
        raise InputError(400, message=f"signature_name is {said}; the only signature is {SIGNATURE}")
    if ("instances" in body) == ("inputs" in body):
        raise InputError(400, message='the body must have either "instances" or "inputs"')
    if "instances" in body:
        return body["instances"], False
    inputs = body["inputs"]
    return rows_of_columns(inputs, "inputs") if isinstance(inputs, dict) else inputs, True


def _rows(outcome: dict[str, Any]) -> Response:
    if len(outcome) == 1:
        return answered({"predictions": next(iter(outcome.values()))})
    names = list(outcome)
    return answered({"predictions": [dict(zip(names, row, strict=True)) for row in zip(*outcome.values(), strict=True)]})


def _columns(outcome: dict[str, Any]) -> Response:
    return answered({"outputs": next(iter(outcome.values())) if len(outcome) == 1 else outcome})


def _tensor_info(dtype: str, shape: tuple[int, ...]) -> dict[str, Any]:
    sizes = [{"size": str(size), "name": ""} for size in (-1, *shape)]
    return {
        "dtype": OF_DTYPE.get(dtype, "DT_STRING"),
        "tensor_shape": {"dim": sizes, "unknown_rank": False},
        "name": "",
    }
