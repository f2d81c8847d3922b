"""Values that stand in no output: learned where they are read, and covered wherever text leaves the program.

The set is the process's own: whoever reads a secret need not know who prints, and nobody who prints need know of secrets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

SHORTEST = 6  # characters: "1" or "true" as a secret would blacken every second line
COVER = "***"
_ENCODED_SHORTEST = 8  # of a piece of base64, which is no word of anybody's
_SCHEMES = ("Bearer ", "Basic ", "token ")
_learned: dict[str, None] = {}


def learn(value: str) -> None:
    """A secret of several lines is learned line by line, too: logs are printed so. Short ones are nobody's secret."""
    whole = value.strip()
    for scheme in _SCHEMES:
        whole = whole.removeprefix(scheme)
    lines = [line.strip() for line in whole.splitlines()]
    for text in (whole, *(line for line in lines if not line.startswith("-----"))):  # the frame of a PEM is public
        if len(text) >= SHORTEST:
            _learned[text] = None


def forget() -> None:
    """A new command begins."""
    _learned.clear()


def learned() -> tuple[str, ...]:
    """In the order in which they were learned."""
    return tuple(_learned)


def masked(text: str) -> str:
    """The text with every learned value covered: as it is, in base64, in addresses, in JSON and in XML."""
    return _pattern(tuple(_learned)).sub(COVER, text) if _learned and text else text


def masked_plain(value: Any) -> Any:
    """The same for plain data before it becomes JSON: covered text must not break the document that holds it."""
    if isinstance(value, str):
        return masked(value)
    if isinstance(value, Mapping):
        return {key: masked_plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [masked_plain(entry) for entry in value]
    return value


@lru_cache(maxsize=4)
def _pattern(values: tuple[str, ...]) -> re.Pattern[str]:
    forms = {form for value in values for form in _forms(value)}
    return re.compile("|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True)))


def _forms(value: str) -> Iterator[str]:
    # here and not above: every command imports this module, and few have a secret
    import base64
    import json
    from urllib.parse import quote, quote_plus
    from xml.sax.saxutils import escape

    yield value
    yield from (quote(value), quote(value, safe=""), quote_plus(value))
    yield from (json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], repr(value)[1:-1])
    yield from (escape(value), escape(value, {'"': "&quot;", "'": "&#x27;"}))
    raw = value.encode(errors="surrogateescape")
    for ahead in range(3):  # what stands before it moves it against the groups of three bytes
        for encoded in (base64.b64encode(b"\0" * ahead + raw), base64.urlsafe_b64encode(b"\0" * ahead + raw)):
            piece = encoded.decode()[(0, 2, 3)[ahead] : (ahead + len(raw)) * 8 // 6]
            if len(piece) >= _ENCODED_SHORTEST:
                yield piece
