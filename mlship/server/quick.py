"""The request that comes most, by the shortest way: rows of plain numbers as JSON, for a model that takes nothing else.

It decides nothing. What is in any way unusual is left to the long way, which takes the same requests, answers them equally, and
names what is wrong; a test holds both to that.
"""

from __future__ import annotations

from typing import Any

import orjson

from mlship.server.core import Batch, ServedModel
from mlship.server.messages import JSON, Call, Request, Response
from mlship.server.validate import NUMBERS, Table


def call(request: Request, model: ServedModel) -> Call | None:
    """The call for `{"instances": [[number, ...], ...]}`, answered in JSON; None for everything else."""
    width = model.plain_width
    headers = request.headers
    if not width or headers.get("content-type") != JSON or "content-encoding" in headers:
        return None
    if headers.get("accept", "*/*") != "*/*":
        return None
    try:
        value = orjson.loads(request.body)
    except orjson.JSONDecodeError:
        return None
    rows = value.get("instances") if type(value) is dict and len(value) == 1 else None
    if type(rows) is not list or not rows:
        return None
    kinds: set[type] = set()
    for row in rows:
        if type(row) is not list or len(row) != width:
            return None
        kinds.update(map(type, row))
    if not kinds <= NUMBERS:
        return None
    count = request.rows = len(rows)
    return Call(request, model, Batch(Table(count, rows, (), None, rows), count), _json)


def _json(answer: dict[str, Any]) -> Response:
    return Response(200, orjson.dumps(answer))
