"""The WWW-Authenticate header of a 401 -> what the registry wants (RFC 9110, 11.6.1). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 -- a grammar's word
_PART = re.compile(
    rf"""\s*(?:,\s*)*(?:
        (?P<key>{_TOKEN})\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>{_TOKEN}))
        |(?P<scheme>{_TOKEN})(?=\s|,|$)(?P<token68>\s+[A-Za-z0-9._~+/-]+=*(?=\s*(?:,|$)))?
    )""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class Challenge:
    """One scheme, in lower case, with its parameters: `bearer`, {realm, service, scope}."""

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict)


def challenges(header: str) -> list[Challenge]:
    """Every challenge of a header; what follows something unreadable is left out."""
    found: list[tuple[str, dict[str, str]]] = []
    for part in _parts(header):
        if part["scheme"]:
            found.append((part["scheme"].lower(), {}))
        elif found:
            value = part["plain"] if part["quoted"] is None else re.sub(r"\\(.)", r"\1", part["quoted"])
            found[-1][1].setdefault(part["key"].lower(), value)
    return [Challenge(scheme, parameters) for scheme, parameters in found]


def best(headers: Iterable[str]) -> Challenge | None:
    """The challenge to answer: Bearer before Basic; None where the registry offers neither."""
    offered = [challenge for header in headers for challenge in challenges(header)]
    for wanted in ("bearer", "basic"):
        for challenge in offered:
            if challenge.scheme == wanted and (wanted == "basic" or challenge.parameters.get("realm")):
                return challenge
    return None


def _parts(header: str) -> Iterator[re.Match[str]]:
    position = 0
    while position < len(header) and (part := _PART.match(header, position)):
        yield part
        position = part.end()
