"""Azure Machine Learning's contract for online endpoints: POST /score, and GET / says that the server lives.

Source: Azure Machine Learning documentation, "Deploy MLflow models to online endpoints" and "Azure Machine Learning inference
HTTP server" (2026-03). `input_data` (pandas' split form, or rows) is answered by a bare list, as its own servers answer MLflow
models; `data` is the key of its custom scripts, `instances` the native envelope.
"""

from __future__ import annotations

from mlship.server.input import formats, jsontext
from mlship.server.input.pandas_json import rows_of_split
from mlship.server.messages import Call, Request, Response, Route, answered
from mlship.server.protocols.answers import bare
from mlship.server.protocols.calls import ask, ask_table
from mlship.server.protocols.envelope import Envelope
from mlship.server.protocols.identity import asks_release
from mlship.server.service import Service

PATHS = ("/", "/score")
ENVELOPE = Envelope(("input_data", "data", "instances"), "params", '{"input_data": {"columns": [...], "data": [[...]]}}')


def routes(service: Service) -> list[Route]:
    """/score and /."""

    def alive(request: Request) -> Response:
        return Response(200 if service.is_ready else 503, b"Healthy" if service.is_ready else b"", "text/plain; charset=utf-8")

    return [
        Route("/", {"GET": alive}),
        Route("/score", {"POST": lambda request: predict(service, request)}),
    ]


def predict(service: Service, request: Request) -> Response | Call:
    """The call that the body asks for. Raises InputError."""
    if asks_release(request):
        return answered(service.identity())
    model = service.model
    if formats.sent(request)[0] != "json":
        return ask_table(request, model)
    key, rows = ENVELOPE.opened(jsontext.document(request.body), model.extras.ignored)
    if key != "input_data":
        return ask(request, model, rows, formats.writer("json", model, csv_header=True))
    return ask(request, model, rows_of_split(rows, key) if isinstance(rows, dict) else rows, bare(model))
