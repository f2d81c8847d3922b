"""HTTPS to the app or to one of its revisions, the way that callers go: through the proxies that the environment names."""

from __future__ import annotations

from collections.abc import Mapping

from mlship.errors import need
from mlship.targets.base import Answer, Request


def ask(host: str, request: Request, headers: Mapping[str, str]) -> Answer:
    """One request. Status 0, with the reason in words, where nothing answers."""
    httpx = need("httpx")
    sent = {**request.headers, **headers}
    if request.method == "POST":
        sent["Content-Type"] = request.content_type
    try:
        got = httpx.request(
            request.method,
            f"https://{host}{request.path}",
            content=request.body or None,
            headers=sent,
            timeout=request.timeout_s,
        )
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:  # a copy that is not well answers 404 or 503
        return Answer(0, _words(error).encode(), is_unreached=True)
    except httpx.TimeoutException:
        return Answer(0, f"no answer within {request.timeout_s:g} s".encode())
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return Answer(0, _words(error).encode())
    return Answer(got.status_code, got.content, {name.lower(): value for name, value in got.headers.items()})


def _words(error: Exception) -> str:
    return (" ".join(str(error).split()) or type(error).__name__).lower()[:300]
