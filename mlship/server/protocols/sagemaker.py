"""SageMaker's container contract: GET /ping, POST /invocations.

Source: Amazon SageMaker developer guide, "Use Your Own Inference Code with Hosting Services" (2026-03). Beside the native
envelope a bare JSON list of rows is taken; CSV answers hold the predictions only and no header, as its own containers do.
"""

from __future__ import annotations

from mlship.server.messages import Request, Response, Route
from mlship.server.protocols import native
from mlship.server.service import Service


def routes(service: Service) -> list[Route]:
    """/ping and /invocations."""

    def ping(request: Request) -> Response:
        return Response(200 if service.is_ready else 503, b"")

    return [
        Route("/ping", {"GET": ping}),
        Route("/invocations", {"POST": lambda request: native.predict(service, request, bare=True, csv_header=False)}),
    ]
