"""MLflow's scoring protocol: POST /invocations, GET /ping, /health and /version.

Source: mlflow 3.17.2, mlflow/pyfunc/scoring_server/__init__.py and mlflow/utils/proto_json_utils.py (read 2026-11-22). One of
four keys holds the rows; MLflow drops other keys and, for a model without them, `params`: here what is not used is refused.
Its client writes NaN, which JSON has not, for a missing value: it is read as null. The answer is always JSON.
"""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

from mlship.server.input import csvtext, formats
from mlship.server.input.pandas_json import rows_of_columns, rows_of_split
from mlship.server.messages import Call, Request, Response, Route, answered
from mlship.server.problems import InputError, described
from mlship.server.protocols.answers import predictions
from mlship.server.protocols.calls import ask
from mlship.server.protocols.envelope import Envelope
from mlship.server.protocols.identity import asks_release
from mlship.server.service import Service

LONG = re.compile(rb"[0-9]{19}")  # an integer may have more than 64 bits
HALF = re.compile(rb"\\u[dD][89a-fA-F]")  # of a character: of two such escapes, or of one alone, which UTF-8 does not have
PATHS = ("/ping", "/health", "/version", "/invocations")
ENVELOPE = Envelope(
    forms=("dataframe_split", "dataframe_records", "instances", "inputs"),
    parameters="params",
    example='{"dataframe_split": {"columns": [...], "data": [[...]]}}',
)


def routes(service: Service) -> list[Route]:
    """/invocations, /ping, /health and /version."""

    def ping(request: Request) -> Response:
        return Response(200 if service.is_ready else 503, b"")

    def version(request: Request) -> Response:
        return Response(200, service.manifest.mlship.encode(), "text/plain; charset=utf-8")

    return [
        Route("/ping", {"GET": ping}),
        Route("/health", {"GET": ping}),
        Route("/version", {"GET": version}),
        Route("/invocations", {"POST": lambda request: predict(service, request)}),
    ]


def predict(service: Service, request: Request) -> Response | Call:
    """The call that the body asks for; its CSV has a header, as DataFrame.to_csv writes it. Raises InputError."""
    if asks_release(request):
        return answered(service.identity())
    model = service.model
    form, header = formats.sent(request)
    if form == "json":
        rows = rows_of(*ENVELOPE.opened(document(request.body), model.extras.ignored))
    elif form == "csv":
        rows = csvtext.rows(request.body, model.entry.signature, header is not False, model.extras)
    else:
        rows, _ = formats.rows(request, model, bare=True)
    return ask(request, model, rows, predictions(model))


def document(body: bytes) -> Any:
    """The JSON value of a body; NaN, as Python writes it, is null. Raises InputError(400)."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        try:
            return _with_nan(body)
        except (ValueError, RecursionError):
            raise InputError(400, message=f"the body is not JSON: {error.msg} (line {error.lineno})") from None


def _with_nan(body: bytes) -> Any:
    """As Python's reader takes it, but for what no answer could hold. Raises ValueError, RecursionError."""
    value = json.loads(body.decode(), parse_constant=_constant, parse_int=_integer if LONG.search(body) else None)
    if HALF.search(body):
        json.dumps(value, ensure_ascii=False).encode()
    return value


def rows_of(form: str, value: Any) -> Any:
    """The rows that the key of that form held. Raises InputError."""
    if form == "dataframe_split":
        return rows_of_split(value, form)
    if form == "inputs" and isinstance(value, dict):
        return rows_of_columns(value, form)
    if not isinstance(value, list):
        raise InputError(400, message=f"{form} must be a list of rows, got {described(value)}")
    return value


def _integer(digits: str) -> int | float:
    """A double beyond 64 bits, as the other reader has it. Raises ValueError beyond those."""
    whole = int(digits)
    try:
        return whole if -(2**63) <= whole < 2**64 else float(whole)
    except OverflowError:
        raise ValueError("a number that no double holds") from None


def _constant(name: str) -> float | None:
    return None if name == "NaN" else float(name)
