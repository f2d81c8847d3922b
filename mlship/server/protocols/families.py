"""Paths that begin alike and speak alike: what is said of one that is not there, and the form of their errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import orjson

from mlship.server.messages import JSON, Response
from mlship.server.service import Service


@dataclass(frozen=True)
class Family:
    """What stands under one prefix.

    absent: what is said of a path of the family that no route has; an empty text for the server's usual words. worded: an
    error in the form that the family's clients read.
    """

    prefix: str
    absent: Callable[[Service, str], str]
    worded: Callable[[Response], Response]

    def holds(self, target: str) -> bool:
        """True for the prefix itself and all below it."""
        return target.startswith(self.prefix) and target[len(self.prefix) : len(self.prefix) + 1] in ("", "/", "?", ":")


def flat(response: Response) -> Response:
    """An error with `error` as a string, beside it the code and the problems of the server's one form.

    The Open Inference Protocol and TensorFlow Serving have a string there, and their clients show nothing else.
    """
    if response.content_type != JSON or not response.body:
        return response
    document = orjson.loads(response.body)
    error = document.get("error")
    if not isinstance(error, dict):
        return response
    told = {"error": error["message"], "code": error["code"], "problems": error["problems"]}
    return replace(response, body=orjson.dumps({**told, "request_id": document["request_id"]}))
