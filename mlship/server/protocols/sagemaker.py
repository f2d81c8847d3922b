"""SageMaker's container contract: GET /ping, POST /invocations.

Source: Amazon SageMaker developer guide, "Use Your Own Inference Code with Hosting Services" and "Common Data Formats for
Inference" (2026-03). Beside the native envelope a bare JSON list of rows is taken; CSV answers hold the predictions only and no
header, as its own containers do. Of a request and of an answer SageMaker hands on the type and one header alone,
X-Amzn-SageMaker-Custom-Attributes: the release is told there, so that whoever invokes an endpoint sees which one answered. Of several
models a caller names one there (`mlship-model=fraud`); the first answers where none is named. Other attributes are not read.
"""

from __future__ import annotations

from mlship.server.core import ServedModel
from mlship.server.input import formats
from mlship.server.messages import Call, Request, Response, Route, answered
from mlship.server.problems import InputError
from mlship.server.protocols import quick
from mlship.server.protocols.calls import Respond, ask
from mlship.server.protocols.identity import asks_release
from mlship.server.service import Service

PATHS = ("/ping", "/invocations")
ATTRIBUTES, MODEL = "x-amzn-sagemaker-custom-attributes", "mlship-model"


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
    model = service.model if len(service.models) == 1 else _named(service, request)
    if (plain := quick.call(request, model)) is not None:
        plain.respond = _telling(service, plain.respond)
        return plain
    if asks_release(request):
        return _told(service, answered(service.identity()))
    rows, form = formats.rows(request, model, bare=True)
    respond = formats.writer(formats.wanted(request, form, strict=True), model, csv_header=False)
    return ask(request, model, rows, _telling(service, respond))


def _named(service: Service, request: Request) -> ServedModel:
    """Raises InputError (404) for a model that there is not."""
    said = request.headers.get(ATTRIBUTES, "").replace(";", ",").split(",")
    name = next((text.strip() for key, _, text in (one.partition("=") for one in said) if key.strip() == MODEL), "")
    if name and name not in service.models:
        known = ", ".join(service.models)
        raise InputError(404, message=f"there is no model {name[:100]}; {MODEL} is one of: {known}", code="unknown_model")
    return service.models[name] if name else service.model


def _telling(service: Service, respond: Respond) -> Respond:
    return lambda outcome: _told(service, respond(outcome))


def _told(service: Service, answer: Response) -> Response:
    """The same answer; with the release, where the server has one."""
    release = service.settings.release
    if release:
        answer.headers = (*answer.headers, (ATTRIBUTES, f"mlship-release={release}"))
    return answer
