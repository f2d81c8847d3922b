"""/openapi.json: OpenAPI 3.1 of this very model and of all its routes, with examples from its sample."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Any

import orjson

from mlship.server.messages import Request, Response, Route
from mlship.server.pages.openapi_routes import About, item
from mlship.server.pages.openapi_schemas import of_all, of_model
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
    """The whole document, in JSON's types."""
    paths = {template(service, route): described for route in table if (described := _described(service, route))}
    of_models = (of_model(model.entry, _suffix(service, name)) for name, model in service.models.items())
    schemas = chain.from_iterable(group.items() for group in (of_all(), *of_models))
    made = {
        "openapi": "3.1.0",
        "info": {
            "title": service.manifest.project,
            "version": service.settings.release,
            "description": f"{service.model.loaded.title}, served by mlship.",
        },
        "paths": paths,
        "components": {"schemas": dict(schemas), "headers": _headers()},
    }
    return made if service.manifest.serving.auth is None else _with_keys(made)


def template(service: Service, route: Route) -> str:
    """The path as the document names it: with the model's and the version's place where they are one route.

    Of several models each has its own, as what they take differs.
    """
    if "{" not in route.label or len(service.models) > 1:
        return route.path
    return route.label.replace("{model}", f"{{model}}{VERSIONS}{{version}}") if VERSIONS in route.path else route.label


def _described(service: Service, route: Route) -> dict[str, Any] | None:
    name = _model_of(service, route)
    found = item(route.name, About(service.models[name].entry, service.manifest.serving, _suffix(service, name)))
    if found is None:
        return None
    path = template(service, route)
    for method, operation in found.items():
        operation["operationId"] = f"{method} {path}"
    values = {"model": list(service.models), "version": [service.version]}
    named = [
        {"name": name, "in": "path", "required": True, "schema": {"enum": known}}
        for name, known in values.items()
        if f"{{{name}}}" in path
    ]
    return {**found, "parameters": named} if named else found


def _model_of(service: Service, route: Route) -> str:
    """The model that the path names; the default one where it names none."""
    before, found, after = route.label.partition("{model}")
    default = service.model.entry.name
    if not found:
        return default
    inside = route.path.removeprefix(before).removesuffix(after).partition(VERSIONS)[0]
    return inside if inside in service.models else default


def _suffix(service: Service, name: str) -> str:
    return "" if name == service.model.entry.name else f".{name}"


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
