"""HTTP to a server of this machine, past every proxy."""

from __future__ import annotations

import http.client
import json

from mlship.targets.base import Answer, Request

_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 listened on, never connected to


def ask(host: str, port: int, request: Request) -> Answer:
    """One request on its own connection. Status 0, with the reason in words, where nothing answers."""
    connection = http.client.HTTPConnection(_ANY.get(host, host), port, timeout=request.timeout_s)
    headers = {"Connection": "close", **request.headers}
    if request.method == "POST":
        headers["Content-Type"] = request.content_type
    try:
        connection.request(request.method, request.path, request.body or None, headers)
        got = connection.getresponse()
        return Answer(got.status, got.read(), {name.lower(): value for name, value in got.getheaders()})
    except TimeoutError:
        return Answer(0, f"no answer within {request.timeout_s:g} s".encode())
    except (OSError, http.client.HTTPException) as error:
        return Answer(0, (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower().encode())
    finally:
        connection.close()


def is_ready(port: int, timeout_s: float = 2.0) -> Answer:
    """What the server says on its own probe port."""
    return ask("127.0.0.1", port, Request("GET", "/readyz", timeout_s=timeout_s))


def release_at(host: str, port: int, timeout_s: float = 2.0) -> str:
    """The release that really answers there, as it says itself; empty when nothing does."""
    answer = ask(host, port, Request("GET", "/mlship/release", timeout_s=timeout_s))
    try:
        document = json.loads(answer.body) if answer.status == 200 else {}
    except ValueError:
        return ""
    said = document.get("release", "") if isinstance(document, dict) else ""
    return said if isinstance(said, str) else ""
