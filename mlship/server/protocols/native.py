"""mlship's own protocol: POST /predict, JSON, CSV or JSON Lines in, the same out unless Accept says otherwise."""

from __future__ import annotations

from dataclasses import dataclass

from mlship.server.core import ServedModel
from mlship.server.input import formats
from mlship.server.messages import Call, Request, Response, Route, answered
from mlship.server.protocols import quick
from mlship.server.protocols.calls import ask
from mlship.server.protocols.identity import asks_release
from mlship.server.service import Service

PATHS = ("/predict", "/predict/{model}")


def routes(service: Service) -> list[Route]:
    """/predict for the only or default model, and a path below it for each."""
    named = [Route(f"/predict/{name}", {"POST": Predicts(service, model)}, PATHS[1]) for name, model in service.models.items()]
    return [Route(PATHS[0], {"POST": Predicts(service, service.model)}), *named]


@dataclass(frozen=True)
class Predicts:
    """The handler of one model."""

    service: Service
    model: ServedModel

    def __call__(self, request: Request) -> Response | Call:
        return predict(self.service, self.model, request)


def predict(service: Service, model: ServedModel, request: Request) -> Response | Call:
    """The call that the body asks for, or the release for `{"mlship": "release"}`. Raises InputError."""
    if (plain := quick.call(request, model)) is not None:
        return plain
    if asks_release(request):
        return answered(service.identity())
    rows, form = formats.rows(request, model, bare=False)
    return ask(request, model, rows, formats.writer(formats.wanted(request, form), model, csv_header=True))
