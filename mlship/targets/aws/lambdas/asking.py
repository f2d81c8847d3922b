"""The ways to a function: its URL, as callers go, and an event for one version of it, before any of them does."""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable
from urllib.parse import urlsplit

from mlship.errors import MlshipError, need
from mlship.targets.aws.door import Door, trusted
from mlship.targets.base import Answer, Request

SERVICE = "lambda"


@runtime_checkable
class Signs(Protocol):
    """A door that signs a request as its credentials would."""

    def signed(self, service: str, method: str, url: str, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
        """The headers, and those that prove who asks."""


def through_url(door: Door, url: str, request: Request) -> Answer:
    """Signed where no key of the service's own is sent. Status 0, with the reason in words, where nothing answers."""
    httpx = need("httpx")
    headers = dict(request.headers)
    if request.method == "POST":
        headers["Content-Type"] = request.content_type
    address = url + request.path
    if isinstance(door, Signs):
        headers = door.signed(SERVICE, request.method, address, _beside_signature(headers), request.body)
    bundle = trusted(door)
    known = ssl.create_default_context(cafile=bundle) if bundle else True
    try:
        got = httpx.request(
            *(request.method, address),
            content=request.body or None,
            headers=headers,
            timeout=request.timeout_s,
            verify=known,
        )
    except httpx.TimeoutException:
        return Answer(0, f"no answer within {request.timeout_s:g} s".encode())
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return Answer(0, (" ".join(str(error).split()) or type(error).__name__).lower()[:300].encode())
    return Answer(got.status_code, got.content, {name.lower(): value for name, value in got.headers.items()})


def of_version(door: Door, name: str, version: str, request: Request) -> Answer:
    """Invoke with an event as the URL makes it. Status 0 where AWS or the function refuses."""
    try:
        return invoked(door, name, version, request)
    except MlshipError as error:
        return Answer(0, error.what.encode())


def invoked(door: Door, name: str, version: str, request: Request) -> Answer:
    """Status 0 where the function fails. Raises MlshipError where AWS refuses to call it."""
    payload = json.dumps(event(request)).encode()
    told = door.call(
        "lambda", "invoke", FunctionName=name, Qualifier=version, InvocationType="RequestResponse", Payload=payload
    )
    raw = told["Payload"].read()
    if told.get("FunctionError") or str(told.get("ExecutedVersion", version)) != version:
        return Answer(0, failure(raw).encode())
    return answer(raw)


def event(request: Request) -> dict[str, Any]:
    """Payload format 2.0, as the function's URL sends it."""
    url = urlsplit(request.path)
    headers = {name.lower(): value for name, value in request.headers.items()}
    if request.method == "POST":
        headers["content-type"] = request.content_type
    said: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": url.path,
        "rawQueryString": url.query,
        "headers": headers,
        "requestContext": {"http": {"method": request.method, "path": url.path}, "stage": "$default"},
        "isBase64Encoded": bool(request.body),
    }
    return {**said, "body": base64.b64encode(request.body).decode()} if request.body else said


def answer(raw: bytes) -> Answer:
    """What a function that was handed such an event gives back."""
    try:
        told = json.loads(raw)
        body = str(told.get("body", ""))
        content = base64.b64decode(body) if told.get("isBase64Encoded") else body.encode()
        headers = {str(name).lower(): str(value) for name, value in (told.get("headers") or {}).items()}
        return Answer(int(told["statusCode"]), content, headers)
    except (ValueError, KeyError, TypeError, AttributeError):
        return Answer(0, b"the function's answer is none to a request")


def failure(raw: bytes) -> str:
    """A function's error in words: of the runtime (`Runtime.ExitError`), or of the server's own start."""
    try:
        told = json.loads(raw)
        return f"{told.get('errorType', 'error')}: {told.get('errorMessage', '')}"[:300]
    except (ValueError, AttributeError):
        return "the function failed"


def _beside_signature(headers: Mapping[str, str]) -> dict[str, str]:
    """A signature takes the place of Authorization: a key of the service's own goes in its other header."""
    kept = {name: value for name, value in headers.items() if name != "Authorization"}
    bearer = headers.get("Authorization", "").removeprefix("Bearer ")
    return {**kept, "X-Api-Key": bearer} if bearer else kept
