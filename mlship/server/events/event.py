"""An event of Lambda as a request of this server, and the answer in the form that its sender waits for. Pure.

Payload format 2.0 is what function URLs and HTTP APIs send (AWS Lambda developer guide, "Invoking Lambda function URLs", read
2026-11): headers in lower case with several values joined by commas, cookies beside them, a body that is text or base64. Every
other JSON object is the body of a prediction itself, as `aws lambda invoke` sends it.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import orjson

from mlship.server.messages import JSON, Request, Response
from mlship.server.problems import InputError

FORMAT = "2.0"
OTHERS = ("httpMethod", "routeKey", "requestContext")  # of an event that is a request of some kind
DEFAULT_STAGE = "$default"  # of an HTTP API: its name is not in the path
TEXT = (JSON, "text/")


@dataclass(frozen=True)
class Event:
    """request: what this server is asked. is_http: the sender waits for a status and headers, not for the body alone."""

    request: Request
    is_http: bool


def read(raw: bytes, request_id: str, direct: str) -> Event:
    """direct: the path of a prediction, for events that name none. Raises InputError(400)."""
    try:
        told = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise InputError(400, message=f"the event is no JSON: {error}") from None
    if not isinstance(told, dict) or not any(key in told for key in OTHERS):
        headers = {"content-type": JSON, "accept": JSON}
        return Event(Request("POST", direct, headers, request_id, raw), is_http=False)
    return Event(_request(told, request_id), is_http=True)


def is_http(raw: bytes) -> bool:
    """Of an event that could not be read: whether its sender waits for a status."""
    return any(b'"%b"' % key.encode() in raw for key in OTHERS)


def told(response: Response, headers: dict[str, str]) -> bytes:
    """The answer in payload format 2.0. What is no text goes as base64."""
    is_text = response.content_type.startswith(TEXT) or response.content_type.endswith("jsonlines")
    body = response.body.decode() if is_text else base64.b64encode(response.body).decode()
    return orjson.dumps(
        {
            "statusCode": response.status,
            "headers": {"content-type": response.content_type, **headers},
            "body": body,
            "isBase64Encoded": not is_text,
        }
    )


def failure(response: Response) -> dict[str, Any]:
    """How a function says that it failed."""
    document = orjson.loads(response.body)
    error = document.get("error")
    message = error.get("message", "") if isinstance(error, dict) else str(error)
    phrase = HTTPStatus(response.status).phrase
    return {"errorMessage": f"{response.status} {phrase}: {message}", "errorType": "mlship.Failed", "stackTrace": []}


def with_status(response: Response) -> bytes:
    """A refusal for a sender that waits for the body alone."""
    return orjson.dumps({**orjson.loads(response.body), "status": response.status})


def _request(event: dict[str, Any], request_id: str) -> Request:
    context = event.get("requestContext")
    context = context if isinstance(context, dict) else {}
    asked = context.get("http")
    if event.get("version") != FORMAT or not isinstance(asked, dict):
        given = event.get("version", "1.0")
        raise InputError(400, message=f"the event has payload format {given!r:.20}; this server reads {FORMAT} (function URLs)")
    given = event.get("headers")
    headers = {str(name).lower(): str(value) for name, value in given.items()} if isinstance(given, dict) else {}
    query = event.get("rawQueryString") or ""
    target = _path(str(event.get("rawPath") or "/"), str(context.get("stage") or DEFAULT_STAGE)) + (
        f"?{query}" if query else ""
    )
    return Request(str(asked.get("method", "")).upper(), target, headers, request_id, _body(event))


def _path(path: str, stage: str) -> str:
    """Without the stage of an HTTP API, which stands before it."""
    prefix = f"/{stage}"
    if stage == DEFAULT_STAGE or (path != prefix and not path.startswith(f"{prefix}/")):
        return path
    return path[len(prefix) :] or "/"


def _body(event: dict[str, Any]) -> bytes:
    body = event.get("body") or ""
    if not isinstance(body, str):
        raise InputError(400, message="the event's body must be a string")
    if not event.get("isBase64Encoded"):
        return body.encode("utf-8", "replace")
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        raise InputError(400, message="the event's body is no base64, and isBase64Encoded says that it is") from None
