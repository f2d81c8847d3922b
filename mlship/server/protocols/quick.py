"""The request that comes most, by the shortest way: rows of plain numbers as JSON, for a model that takes nothing else.

It decides nothing. What is in any way unusual is left to the long way, which takes the same requests, answers them equally, and
names what is wrong; a test holds both to that.
"""

from __future__ import annotations

import struct

import orjson

from mlship.server.core import Batch, ServedModel
from mlship.server.input.validate import Table
from mlship.server.messages import JSON, Call, Request, answered

# no JSON, no such envelope, a row that is no list of so many numbers, an integer that no double holds
REFUSED = (orjson.JSONDecodeError, KeyError, TypeError, IndexError, struct.error, OverflowError)


def call(request: Request, model: ServedModel) -> Call | None:
    """The call for `{"instances": [[number, ...], ...]}`, answered in JSON; None for everything else."""
    packer = model.packer
    headers = request.headers
    if packer is None or headers.get("content-type") != JSON or "content-encoding" in headers:
        return None
    body = request.body
    # a packer takes truth values for numbers, and nothing else that JSON has and is no number; one letter of each word is found
    # twenty times as fast as the word, and stands in nothing else of such a body
    if b"u" in body or b"f" in body or headers.get("accept", "*/*") != "*/*":
        return None
    try:
        value = orjson.loads(body)
        rows = value["instances"]
        if len(value) != 1 or type(rows) is not list:
            return None
        count = request.rows = len(rows)
        packed = packer.pack(*rows[0]) if count == 1 else b"".join([packer.pack(*row) for row in rows])
    except REFUSED:
        return None
    return Call(request, model, Batch(Table(count, None, (), None, None, packed), count), answered) if packed else None
