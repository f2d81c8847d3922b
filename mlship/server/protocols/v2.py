"""The Open Inference Protocol (V2) over HTTP: health, metadata, and inference with JSON or binary tensors, for every model.

Rows as CSV, JSON Lines or npy are taken as at every route, which the protocol does not know.

Source: kserve/open-inference-protocol, specification/protocol/inference_rest.md. Nothing manages models here: which there are is
settled when the image is built.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from mlship.server.core import ServedModel
from mlship.server.input import formats
from mlship.server.input.dtypes import NUMERIC
from mlship.server.input.tensors import MATRIX, Intake
from mlship.server.manifest import Signature
from mlship.server.messages import Call, Handler, Request, Response, Route, answered
from mlship.server.problems import near, shown
from mlship.server.protocols import v2_answer
from mlship.server.protocols.calls import ask_table
from mlship.server.protocols.families import Family, flat
from mlship.server.protocols.identity import asks_release
from mlship.server.protocols.v2_request import Inference, inference
from mlship.server.service import Service

MODELS = "/v2/models/"
PATHS = (
    "/v2", "/v2/health/live", "/v2/health/ready",
    "/v2/models/{model}", "/v2/models/{model}/ready", "/v2/models/{model}/infer",
)  # fmt: skip
EXTENSIONS = ["binary_tensor_data"]
ALL = Inference("", [], None, binary=False)  # every output in JSON: what rows in another form than tensors ask for


def routes(service: Service) -> list[Route]:
    """/v2 and its health, and for each model, with and without its version: metadata, ready, infer."""

    def server(request: Request) -> Response:
        return answered({"name": "mlship", "version": service.manifest.mlship, "extensions": EXTENSIONS})

    def live(request: Request) -> Response:
        return answered({"live": True})

    def ready(request: Request) -> Response:
        return answered({"ready": service.is_ready}, 200 if service.is_ready else 503)

    return [
        Route("/v2", {"GET": server}),
        Route("/v2/health/live", {"GET": live}),
        Route("/v2/health/ready", {"GET": ready}),
        *(route for model in service.models.values() for route in Endpoint(service, model).routes()),
    ]


def absent(service: Service, path: str) -> str:
    """What is said of a model or version that there is not."""
    name, _, rest = path.removeprefix(MODELS).partition("/") if path.startswith(MODELS) else ("", "", "")
    if name and name not in service.models:
        known = list(service.models)
        return f'there is no model "{shown(name)}" here{near(name, known)}; there is {", ".join(known)}'
    version = rest.removeprefix("versions/").partition("/")[0] if rest.startswith("versions/") else service.version
    if version != service.version:
        return f'{name} has no version "{shown(version)}" here; this release serves version {service.version}'
    return ""


FAMILY = Family("/v2", absent, flat)


class Endpoint:
    """One model's routes."""

    def __init__(self, service: Service, model: ServedModel) -> None:
        self._service = service
        self._model = model
        self._dtypes = {output.name: output.dtype for output in model.entry.signature.outputs}
        self._start = {"model_name": model.entry.name, "model_version": service.version}

    def routes(self) -> list[Route]:
        name, version = self._model.entry.name, self._service.version
        return [
            Route(f"{MODELS}{name}{of_version}{suffix}", methods, f"{MODELS}{{model}}{suffix}")
            for suffix, methods in self._methods().items()
            for of_version in ("", f"/versions/{version}")
        ]

    def _methods(self) -> dict[str, dict[str, Handler]]:
        return {"": {"GET": self.metadata}, "/ready": {"GET": self.ready}, "/infer": {"POST": self.infer}}

    def metadata(self, request: Request) -> Response:
        """What the model takes and gives, as tensors."""
        entry = self._model.entry
        return answered(
            {
                "name": entry.name,
                "versions": [self._service.version],
                "platform": entry.framework,
                "inputs": inputs(entry.signature),
                "outputs": [v2_answer.announced(output) for output in entry.signature.outputs],
            }
        )

    def ready(self, request: Request) -> Response:
        is_ready = self._service.is_ready
        return answered({"name": self._model.entry.name, "ready": is_ready}, 200 if is_ready else 503)

    def infer(self, request: Request) -> Response | Call:
        """Raises InputError."""
        if asks_release(request):
            return answered(self._service.identity())
        if formats.is_table(request):
            return ask_table(request, self._model, lambda outcome: v2_answer.response(ALL, self._start, self._dtypes, outcome))
        asked = inference(request)
        batch = self._intake.batch(asked.tensors)
        request.rows = batch.count
        kept = self._intake.kept(asked.tensors, batch.count) if self._model.extras.kept else {}

        def respond(outcome: dict[str, Any]) -> Response:
            return v2_answer.response(asked, self._start, self._dtypes, {**outcome, **kept} if kept else outcome)

        return Call(request, self._model, batch, respond)

    @cached_property
    def _intake(self) -> Intake:
        """Made for the first request: it loads numpy, which a model of the user's own may not need."""
        return Intake(self._model)


def inputs(signature: Signature) -> list[dict[str, Any]]:
    """The tensors that a model takes, as its metadata announce them; one tensor a feature is always taken."""
    features = signature.inputs
    names = [feature.name for feature in features]
    if signature.container == "array" and len(features) != 1 and all(feature.dtype in NUMERIC for feature in features):
        datatype = "FP32" if {feature.dtype for feature in features} == {"float32"} else "FP64"
        matrix = {"name": signature.tensor or MATRIX, "datatype": datatype, "shape": [-1, len(features) or -1]}
        return [{**matrix, "parameters": {"features": names}} if names else matrix]
    return [
        {
            "name": feature.name,
            "datatype": v2_answer.OF_DTYPE.get(feature.dtype, "BYTES"),
            "shape": [-1, *feature.shape] if feature.shape else [-1, 1],
        }
        for feature in features
    ]
