"""HTTPS to the service the way that its callers go: with a token of Google's that says who asks."""

from __future__ import annotations

from mlship.errors import need
from mlship.targets.base import Answer, Request
from mlship.units import Secret

# With this header the server's own `Authorization` stays free ("Authenticating service-to-service"; so public projects use it, 2026).
IDENTITY = "X-Serverless-Authorization"
RESERVED = "/mlship/release"


def ask(address: str, request: Request, token: Secret | None) -> Answer:
    """One request. Status 0, with the reason in words, where nothing answers. token: None where callers need none."""
    httpx = need("httpx")
    sent = dict(request.headers)
    if token is not None:
        sent[IDENTITY] = f"Bearer {token.reveal()}"
    if request.method == "POST":
        sent["Content-Type"] = request.content_type
    try:
        got = httpx.request(
            request.method, address + path_of(request), content=request.body or None, headers=sent, timeout=request.timeout_s
        )
    except httpx.TimeoutException:
        return Answer(0, f"no answer within {request.timeout_s:g} s".encode())
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return Answer(0, (" ".join(str(error).split()) or type(error).__name__).lower()[:300].encode())
    return Answer(got.status_code, got.content, {name.lower(): value for name, value in got.headers.items()})


def path_of(request: Request) -> str:
    """Paths that end in z may be Cloud Run's own (cloud.google.com/run/docs/issues, read 2026-11). Its start-up check asked

    /readyz before the first caller came, and a server that says its release answers.
    """
    return RESERVED if request.method == "GET" and request.path.endswith("z") else request.path
