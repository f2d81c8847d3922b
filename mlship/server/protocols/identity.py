"""`{"mlship": "release"}` as the body of any predict route: where a platform lets nothing else through, the release is asked so."""

from __future__ import annotations

import orjson

from mlship.server.messages import Request

QUESTION = {"mlship": "release"}
LONGEST = 64  # bytes; a longer body is no question, and pays nothing for it


def asks_release(request: Request) -> bool:
    """True for the question, whatever type it is announced as."""
    body = request.body
    if len(body) > LONGEST or b'"mlship"' not in body:
        return False
    try:
        return bool(orjson.loads(body) == QUESTION)
    except orjson.JSONDecodeError:
        return False
