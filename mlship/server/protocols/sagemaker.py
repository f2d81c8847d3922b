"""SageMaker's container contract: GET /ping, POST /invocations.

Source: Amazon SageMaker developer guide, "Use Your Own Inference Code with Hosting Services" and "Common Data Formats for
Inference" (2026-03). Beside the native envelope a bare JSON list of rows is taken; CSV answers hold the predictions only and no
header, as its own containers do. X-Amzn-SageMaker-Custom-Attributes is the caller's and the platform's: neither read nor sent.
"""

from __future__ import annotations

from mlship.server.input import formats
from mlship.server.messages import Call, Request, Response, Route, answered
from mlship.server.protocols import quick
from mlship.server.protocols.calls import ask
from mlship.server.protocols.identity import asks_release
from mlship.server.service import Service

PATHS = ("/ping", "/invocations")


def routes(service: Service) -> list[Route]:
    """/ping and /invocations."""

    def ping(request: Request) -> Response:
        return Response(200 if service.is_ready else 503, b"")

    return [
        Route("/ping", {"GET": ping}),
        Route("/invocations", {"POST": lambda request: predict(service, request)}),
    ]


def predict(service: Service, request: Request) -> Response | Call:
    """The call that the body asks for. Raises InputError; 406 when Accept names only what there is not."""
    model = service.model
    if (plain := quick.call(request, model)) is not None:
        return plain
    if asks_release(request):
        return answered(service.identity())
    rows, form = formats.rows(request, model, bare=True)
    return ask(request, model, rows, formats.writer(formats.wanted(request, form, strict=True), model, csv_header=False))
