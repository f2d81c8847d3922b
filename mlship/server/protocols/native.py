"""mlship's own protocol: POST /predict, JSON, CSV or JSON Lines in, the same out unless Accept says otherwise."""

from __future__ import annotations

from mlship.server import decode, formats
from mlship.server.messages import Call, Request, Response, Route, answered
from mlship.server.service import Service

ASKS_RELEASE = b'"mlship"'  # seldom in a body, so that the question costs other requests one search


def routes(service: Service) -> list[Route]:
    """/predict for the only or default model."""
    return [Route("/predict", {"POST": lambda request: predict(service, request, bare=False, csv_header=True)})]


def predict(service: Service, request: Request, bare: bool, csv_header: bool) -> Response | Call:
    """The call that the body asks for, or the release for `{"mlship": "release"}`. Raises InputError."""
    if ASKS_RELEASE in request.body[:64] and asks_release(request):
        return answered(service.identity())
    model = service.model
    rows, form = formats.rows(request, model, bare)
    batch = model.prepare(rows)
    request.rows = batch.count
    return Call(request, model, batch, formats.writer(formats.wanted(request, form), model, csv_header))


def asks_release(request: Request) -> bool:
    """True for `{"mlship": "release"}`: where a platform lets nothing but its predict route through. Raises InputError."""
    form, _ = formats.sent(request)
    return form == "json" and bool(decode.document(request.body) == {"mlship": "release"})
