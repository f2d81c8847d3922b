"""/schema: what the model takes and gives, as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import orjson

from mlship.server.messages import Request, Response, Route
from mlship.server.service import Service

SHOWN = 3  # rows of the sample; more would only make the page heavy


def routes(service: Service) -> list[Route]:
    """/schema."""
    body = orjson.dumps(schema(service), default=str)

    def answer(request: Request) -> Response:
        return Response(200, body)

    return [Route("/schema", {"GET": answer})]


def schema(service: Service) -> dict[str, Any]:
    """The signature of the default model, with its sample."""
    entry = service.model.entry
    return {
        "project": service.manifest.project,
        "model": entry.name,
        "title": service.model.loaded.title,
        "framework": entry.framework,
        "method": entry.method or "predict",
        "inputs": [asdict(feature) for feature in entry.signature.inputs],
        "outputs": [asdict(output) for output in entry.signature.outputs],
        "named": entry.signature.named,
        "passthrough": list(entry.passthrough),
        "extra": entry.extra,
        "sample": list(entry.sample[:SHOWN]),
        "models": list(service.models),
    }
