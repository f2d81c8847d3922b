"""All routes of a server as one table, and the step from a request to its answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mlship.server.auth.roles import role_for
from mlship.server.batching.admission import TIMEOUT
from mlship.server.core import ServedModel
from mlship.server.manifest import Manifest
from mlship.server.messages import Call, Handler, Request, Response, Route, refused, refused_input
from mlship.server.monitoring import log, metrics
from mlship.server.pages import docs_page, health, openapi, schema_page
from mlship.server.problems import InputError
from mlship.server.protocols import azureml, invocations, mlflow, native, sagemaker, tfserving, v2, vertex
from mlship.server.protocols.families import Family
from mlship.server.service import Service

# in the order in which they are asked: where two want the same path and method, the later one has it
PROTOCOLS: dict[str, Callable[[Service], list[Route]]] = {
    "native": native.routes,
    "v2": v2.routes,
    "tfserving": tfserving.routes,
    "sagemaker": sagemaker.routes,
    "mlflow": mlflow.routes,
    "azureml": azureml.routes,
    "vertex": vertex.routes,
}
ALWAYS = ("/livez", "/readyz", "/mlship/release", "/metrics", *schema_page.PATHS, "/openapi.json", "/docs")
OF_PROTOCOL = {
    "native": native.PATHS,
    "v2": v2.PATHS,
    "tfserving": tfserving.PATHS,
    "sagemaker": sagemaker.PATHS,
    "mlflow": mlflow.PATHS,
    "azureml": azureml.PATHS,
    "vertex": vertex.PATHS,
}
FAMILIES: dict[str, Family] = {"v2": v2.FAMILY, "tfserving": tfserving.FAMILY}
NOT_FOUND = 0  # index of the route that stands for unknown paths


def unknown_protocols(protocols: tuple[str, ...]) -> list[str]:
    """Those that this server does not speak."""
    return [name for name in protocols if name not in PROTOCOLS]


def paths(manifest: Manifest) -> tuple[str, ...]:
    """Labels of the counted routes; index 0 is everything unknown. Known before the fork, so that the board has room."""
    spoken = (path for name in PROTOCOLS if name in manifest.serving.protocols for path in OF_PROTOCOL[name])
    return tuple(dict.fromkeys((metrics.UNKNOWN, *ALWAYS, *spoken)))


def merged(table: list[Route]) -> list[Route]:
    """One route a path, with the methods of all that name it."""
    methods: dict[str, dict[str, Handler]] = {}
    labels: dict[str, str] = {}
    for route in table:
        methods.setdefault(route.path, {}).update(route.methods)
        labels[route.path] = route.label
    return [Route(path, handlers, labels[path]) for path, handlers in methods.items()]


class App:
    """The routes of one worker."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.paths = paths(service.manifest)
        table = [
            *health.routes(service),
            *metrics.routes(service, self.paths),
            *schema_page.routes(service),
            *docs_page.routes(service),
            *(route for name in PROTOCOLS if name in service.manifest.serving.protocols for route in PROTOCOLS[name](service)),
            *invocations.routes(service),
        ]
        table = merged([*table, *openapi.routes(service, merged(table))])
        self._routes = {route.path: (self.paths.index(route.name), route) for route in table}
        self._families = [FAMILIES[name] for name in service.manifest.serving.protocols if name in FAMILIES]

    def open(self, request: Request) -> Response | Call:
        """The answer, or the model's call that makes it. Every failure becomes an answer, none an exception."""
        try:
            request.put_together()
            return self._open(request)
        except InputError as error:
            return refused_input(error, request.id)
        except Exception as error:
            log.failure("request_failed", error, request_id=request.id, path=self.paths[request.route])
            return refused(500, "the server failed on this request; the log has the reason under this request id", request.id)

    def _open(self, request: Request) -> Response | Call:
        target = request.target
        found = self._routes.get(target) or self._routes.get(_path(target))
        if found is None:
            return refused(404, self._absent(_path(target)), request.id)
        request.route, route = found
        handler = route.methods.get("GET" if request.method == "HEAD" else request.method)
        if handler is None:
            allowed = route.allowed()
            message = f"{request.method} is not possible at {route.path}; send {allowed}"
            return refused(405, message, request.id, headers=(("allow", allowed),))
        return handler(request)

    def plain(self, method: str, target: str) -> tuple[int, ServedModel] | None:
        """The index of the route and the model whose requests may be of plain numbers and nothing else; None for other routes."""
        index, route = self._routes.get(target, (NOT_FOUND, None))
        handler = route.methods.get(method) if route is not None else None
        return (index, handler.model) if isinstance(handler, native.Predicts) else None

    def refused_as(self, method: str, target: str, headers: Mapping[str, str]) -> int | None:
        """As what a refusal is counted that says the same to whoever asks this; None where it has words or a time of its own."""
        if method != "POST" or TIMEOUT in headers or any(family.holds(_path(target)) for family in self._families):
            return None
        return self._routes.get(target, (None, None))[0]

    def has(self, path: str) -> bool:
        """Whether there is something at this path."""
        return path in self._routes

    def locate(self, request: Request) -> None:
        """Tells by which route a request is counted that is answered without it."""
        found = self._routes.get(request.target) or self._routes.get(_path(request.target))
        request.route = found[0] if found else NOT_FOUND

    def role(self, method: str, target: str) -> str:
        """What a caller needs for this where the service has serve.auth."""
        found = self._routes.get(target) or self._routes.get(_path(target))
        return role_for(found[1].name, method, found[1].path) if found else role_for("", method)

    def worded(self, request: Request, response: Response) -> Response:
        """An error in the form of the protocol whose path was asked; also one that was made before a route was found."""
        path = _path(request.target)
        return next((family.worded(response) for family in self._families if family.holds(path)), response)

    def _absent(self, path: str) -> str:
        said = next((family.absent(self.service, path) for family in self._families if family.holds(path)), "")
        known = ", ".join(sorted({route.name for _, route in self._routes.values()}))
        return said or f"there is nothing at this path; there is {known}"


def _path(target: str) -> str:
    """The path of a target without its query; `http://host/path` is what proxies send (RFC 9112, 3.2.2)."""
    path = target.partition("?")[0]
    return "/" + path.split("/", 3)[-1] if path.startswith(("http://", "https://")) and path.count("/") > 2 else path
