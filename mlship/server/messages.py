"""What the HTTP connection and the routes hand each other."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson

from mlship.server.core import Batch, ServedModel
from mlship.server.problems import InputError, Problem

JSON = "application/json"
TAKEN = f"{JSON}, text/csv, application/jsonlines, application/x-npy"  # by predict routes

CODES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    408: "timeout",
    413: "body_too_large",
    415: "unsupported_media_type",
    417: "expectation_failed",
    422: "invalid_input",
    431: "headers_too_large",
    500: "internal",
    503: "unavailable",
    504: "timeout",
}


@dataclass(slots=True)
class Request:
    """One request, read completely. target: path with query, as sent. headers: names in lower case, the last value of each."""

    method: str
    target: str
    headers: dict[str, str]
    id: str
    body: bytes = b""
    route: int = 0  # index of the route that answers, for the counters
    rows: int = 0
    started: float = 0.0  # time.perf_counter, when the last byte had come
    expected_s: float = 0.0  # of waiting, when it was let in behind others
    timeout_s: float = 0.0  # from then on, for how long the caller waits; 0: serve.request_timeout
    size: int = 0  # bytes of a body that is in parts, or let go
    parts: Sequence[bytes | memoryview] = ()  # of the body, as they came; nobody copies those of a request that is refused

    def put_together(self) -> None:
        """Makes the body of its parts."""
        if self.parts:
            self.body, self.parts = b"".join(self.parts), ()

    def let_body_go(self) -> None:
        """It is read: who waits for the answer need not hold it, least of all when many wait with large ones."""
        self.size, self.body = len(self.body), b""


@dataclass(slots=True)
class Response:
    """One answer without the headers that every answer has."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class Call:
    """A prediction that a route asks for; the engine decides when and where it runs."""

    request: Request
    model: ServedModel
    batch: Batch
    respond: Callable[[dict[str, Any]], Response]


Handler = Callable[[Request], "Response | Call"]


@dataclass(frozen=True)
class Route:
    """One path. methods: what answers to each; HEAD is GET without its body.

    label: as what it is counted and named, where many paths (one a model) are one route; empty for the path itself.
    """

    path: str
    methods: dict[str, Handler] = field(default_factory=dict)
    label: str = ""

    @property
    def name(self) -> str:
        """As what the route is counted."""
        return self.label or self.path

    def allowed(self) -> str:
        """The value of the Allow header."""
        heads = {"HEAD"} if "GET" in self.methods else set()
        return ", ".join(sorted({*self.methods, *heads}))


def answered(value: Any, status: int = 200) -> Response:
    """A JSON answer; arrays as their lists. Raises TypeError (orjson.JSONEncodeError) for what JSON cannot hold."""
    return Response(status, orjson.dumps(value, None, orjson.OPT_SERIALIZE_NUMPY))


def refused(
    status: int,
    message: str,
    request_id: str,
    code: str = "",
    problems: Sequence[Problem] = (),
    headers: tuple[tuple[str, str], ...] = (),
) -> Response:
    """The one form of every error: `{"error": {"code", "message", "problems"}, "request_id"}`."""
    error = {"code": code or CODES[status], "message": message, "problems": [asdict(problem) for problem in problems]}
    return Response(status, _json({"error": error, "request_id": request_id}), JSON, headers)


def _json(document: dict[str, Any]) -> bytes:
    """Messages quote models and callers, whose words may hold what UTF-8 does not: an answer it is all the same."""
    try:
        return orjson.dumps(document)
    except TypeError:
        return json.dumps(document, ensure_ascii=False).encode("utf-8", "replace")


def refused_input(error: InputError, request_id: str) -> Response:
    """The answer to an InputError."""
    headers = (("accept", TAKEN),) if error.status == 415 else ()
    code = CODES[error.status] if error.status not in (400, 422) else error.code
    return refused(error.status, error.message, request_id, code, error.problems, headers)
