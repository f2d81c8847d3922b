"""/openapi.json: OpenAPI 3.1 of this very model and of all its routes, with examples from its sample."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from mlship.server.messages import Request, Response, Route
from mlship.server.openapi_routes import About, item
from mlship.server.openapi_schemas import components
from mlship.server.service import Service

PATH = "/openapi.json"
VERSIONS = "/versions/"


def routes(service: Service, others: Iterable[Route]) -> list[Route]:
    """/openapi.json. others: the routes that it describes beside itself."""
    body = orjson.dumps(document(service, [*others, Route(PATH)]), default=str)

    def answer(request: Request) -> Response:
        return Response(200, body)

    return [Route(PATH, {"GET": answer})]


def document(service: Service, table: Iterable[Route]) -> dict[str, Any]:
    """The whole document, in JSON's types. Its schemas are the default model's."""
    about = About(service.model.entry, service.manifest.serving)
    paths = {template(route): described for route in table if (described := _described(service, route, about))}
    made = {
        "openapi": "3.1.0",
        "info": {
            "title": service.manifest.project,
            "version": service.settings.release,
            "description": f"{service.model.loaded.title}, served by mlship.",
        },
        "paths": paths,
        "components": {"schemas": components(about.entry), "headers": _headers()},
    }
    return made if service.manifest.serving.auth is None else _with_keys(made)


def template(route: Route) -> str:
    """The path as the document names it: where many paths are one route, with the model's and the version's place."""
    if "{" not in route.label:
        return route.path
    return route.label.replace("{model}", f"{{model}}{VERSIONS}{{version}}") if VERSIONS in route.path else route.label


def _described(service: Service, route: Route, about: About) -> dict[str, Any] | None:
    found = item(route.name, about)
    if found is None:
        return None
    path = template(route)
    for method, operation in found.items():
        operation["operationId"] = f"{method} {path}"
    values = {"model": list(service.models), "version": [service.version]}
    named = [
        {"name": name, "in": "path", "required": True, "schema": {"enum": known}}
        for name, known in values.items()
        if f"{{{name}}}" in path
    ]
    return {**found, "parameters": named} if named else found


def _with_keys(document: dict[str, Any]) -> dict[str, Any]:
    """Either kind of credential; which one a service takes, its 401 says."""
    schemes = {
        "token": {"type": "http", "scheme": "bearer"},
        "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    }
    said = {**document["components"], "securitySchemes": schemes}
    return {**document, "components": said, "security": [{"token": []}, {"key": []}]}


def _headers() -> dict[str, Any]:
    return {
        "Release": {"description": "The release that answered", "schema": {"type": "string"}},
        "RequestId": {"description": "The caller's X-Request-Id, or a new one", "schema": {"type": "string"}},
    }
