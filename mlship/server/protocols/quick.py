"""The request that comes most, by the shortest way: rows of plain numbers as JSON, for a model that takes nothing else.

It decides nothing. What is in any way unusual is left to the long way, which takes the same requests, answers them equally, and
names what is wrong; a test holds both to that.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from itertools import starmap

import orjson

from mlship.server.core import Batch, ServedModel
from mlship.server.input import flat_numbers
from mlship.server.input.validate import Table
from mlship.server.messages import JSON, Call, Request, answered

# no JSON, no such envelope, a row that is no list of so many numbers, an integer that no double holds
REFUSED = (orjson.JSONDecodeError, KeyError, TypeError, IndexError, struct.error, OverflowError)


def call(request: Request, model: ServedModel) -> Call | None:
    """The call for `{"instances": [[number, ...], ...]}`, answered in JSON; None for everything else."""
    packer = model.packer
    if packer is None or not is_usual(request.headers):
        return None
    (rows,) = packed((request.body,), packer)
    if rows is None:
        return None
    count = request.rows = len(rows) // packer.size
    return Call(request, model, Batch(Table(count, None, (), None, None, rows), count), answered)


def is_usual(headers: Mapping[str, str]) -> bool:
    """Whether the body is said to be plain JSON, and may be answered so."""
    return headers.get("content-type") == JSON and "content-encoding" not in headers and headers.get("accept", "*/*") == "*/*"


def packed(bodies: Sequence[bytes], packer: struct.Struct) -> list[bytes | None]:
    """The rows of each body, as the packer writes them; None for a body that is left to the long way.

    All that a request pays for being read is in this one loop: 1 us for 30 numbers, most of it orjson's.
    """
    loads, pack = orjson.loads, packer.pack
    found: list[bytes | None] = []
    # a packer takes truth values for numbers, and nothing else that JSON has and is no number; one letter of each word is found
    # twenty times as fast as the word, and stands in nothing else of such a body
    together = bodies[0] if len(bodies) == 1 else b"".join(bodies)
    has_words = b"u" in together or b"f" in together
    for body in bodies:
        rows: bytes | None = None
        if not has_words or not (b"u" in body or b"f" in body):
            if len(body) >= flat_numbers.SMALLEST:
                rows = flat_numbers.float64_rows(body, packer.size // 8)
                if rows is not None:
                    found.append(rows)
                    continue
            try:
                value = loads(body)
                listed = value["instances"]
                if len(value) == 1 and type(listed) is list:
                    rows = pack(*listed[0]) if len(listed) == 1 else b"".join(starmap(pack, listed)) or None
            except REFUSED:
                pass
        found.append(rows)
    return found
