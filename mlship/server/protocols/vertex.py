"""Vertex AI's contract for custom containers: a health route and a predict route, both named by the environment.

Source: Vertex AI documentation, "Custom container requirements for prediction" (2026-03): AIP_HTTP_PORT, AIP_HEALTH_ROUTE,
AIP_PREDICT_ROUTE; `{"instances": [...], "parameters": {...}}` to `{"predictions": [...]}`. `rawPredict` hands on any body: CSV,
JSON Lines and npy are answered in kind. Its `predict` wants `instances`: the release is also told to `[{"mlship": "release"}]`.
"""

from __future__ import annotations

from mlship.server.input import formats, jsontext
from mlship.server.messages import Call, Request, Response, Route, answered
from mlship.server.protocols import quick
from mlship.server.protocols.answers import predictions
from mlship.server.protocols.calls import ask, ask_table
from mlship.server.protocols.envelope import Envelope
from mlship.server.protocols.identity import QUESTION, asks_release
from mlship.server.service import Service

HEALTH, PREDICT = "/vertex/health", "/vertex/predict"  # as what they are counted, and where they are without the environment
PATHS = (HEALTH, PREDICT)
ENVELOPE = Envelope(("instances",), "parameters", '{"instances": [...]}')


def routes(service: Service) -> list[Route]:
    """The two routes that the environment names."""

    def health(request: Request) -> Response:
        return Response(200 if service.is_ready else 503, b"")

    return [
        Route(service.settings.vertex_health or HEALTH, {"GET": health}, HEALTH),
        Route(service.settings.vertex_predict or PREDICT, {"POST": lambda request: predict(service, request)}, PREDICT),
    ]


def predict(service: Service, request: Request) -> Response | Call:
    """The call that the body asks for. Raises InputError."""
    model = service.model
    if (plain := quick.call(request, model)) is not None:
        plain.respond = predictions(model)
        return plain
    if asks_release(request):
        return answered(service.identity())
    if formats.sent(request)[0] != "json":
        return ask_table(request, model)
    _, rows = ENVELOPE.opened(jsontext.document(request.body), model.extras.ignored)
    if rows == [QUESTION]:
        return answered({"predictions": [service.identity()]})
    return ask(request, model, rows, predictions(model))
