"""/schema: what the model takes and gives, as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import orjson

from mlship.server.core import ServedModel
from mlship.server.messages import Handler, Response, Route
from mlship.server.service import Service

PATHS = ("/schema", "/schema/{model}")
SHOWN = 3  # rows of the sample; more would only make the page heavy


def routes(service: Service) -> list[Route]:
    """/schema of the only or default model, and a path below it for each."""
    named = [Route(f"/schema/{name}", {"GET": _told(service, model)}, PATHS[1]) for name, model in service.models.items()]
    return [Route(PATHS[0], {"GET": _told(service, service.model)}), *named]


def _told(service: Service, model: ServedModel) -> Handler:
    body = orjson.dumps(schema(service, model), default=str)
    return lambda request: Response(200, body)


def schema(service: Service, model: ServedModel) -> dict[str, Any]:
    """The signature of a model, with its sample."""
    entry = model.entry
    return {
        "project": service.manifest.project,
        "model": entry.name,
        "title": model.loaded.title,
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
