"""API keys: who has one, and what that one may. In memory stands what a key hashes to, never the key."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mlship.server.auth.roles import PREDICT, ROLES
from mlship.server.problems import SettingsError

SHORTEST = 16  # characters: what is shorter can be guessed
KEY = re.compile(r"[A-Za-z0-9._~+/=-]{1,256}", re.ASCII)  # what stands in a header without quotes (RFC 6750, b64token)
PLACE = 16  # bytes of a digest by which it is found
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)


@dataclass(frozen=True)
class Caller:
    """Who asks. name: for people; empty where none was given."""

    name: str
    roles: frozenset[str]


class ApiKeys:
    """The keys of one server. Several at once, so that an old one goes on while callers change to the new one."""

    def __init__(self, callers: Mapping[str, Caller]) -> None:
        """callers: by key."""
        # Hashed under a secret of this process: what a caller sends leads to no digest that they could know, so that the time
        # which a search among the digests takes tells them nothing of the keys.
        self._secret = os.urandom(32)
        digests = {self._digest(key): caller for key, caller in callers.items()}
        self._callers = {digest[:PLACE]: (digest, caller) for digest, caller in digests.items()}

    def caller(self, key: str) -> Caller | None:
        """Whose key it is."""
        digest = self._digest(key)
        known, caller = self._callers.get(digest[:PLACE], (_NOBODYS, None))
        return caller if hmac.compare_digest(known, digest) else None

    def _digest(self, key: str) -> bytes:
        return hashlib.blake2b(key.encode("utf-8", "surrogateescape"), digest_size=32, key=self._secret).digest()


_NOBODYS = bytes(32)


def callers_from(text: str, variable: str) -> dict[str, Caller]:
    """By key, from lines `KEY`, `NAME:KEY` or `NAME:ROLE[+ROLE]:KEY`; `#` begins a comment. Without roles: predict.

    variable: where the text stands. Raises SettingsError, which never shows a key.
    """
    callers: dict[str, Caller] = {}
    for number, line in _lines(text):
        *words, key = (word.strip() for word in line.split(":"))
        fault = _fault(words, key) or ("is there twice" if key in callers else "")
        if fault:
            raise SettingsError(f"line {number} of {variable} {fault}; write KEY, NAME:KEY or NAME:ROLE:KEY")
        roles = words[1].split("+") if len(words) > 1 else [PREDICT]
        callers[key] = Caller(words[0] if words else "", frozenset(roles))
    if not callers:
        raise SettingsError(f"{variable} has no key in it; write one a line: KEY, NAME:KEY or NAME:ROLE:KEY")
    return callers


def _lines(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield number, line.strip()


def _fault(words: list[str], key: str) -> str:
    """What is wrong with a line, as the end of a sentence; empty for a good one."""
    if len(words) > 2:
        return "has more than three parts"
    if words and not NAME.fullmatch(words[0]):
        return "has a name that is none: letters, digits, dot, dash and underscore"
    if len(words) > 1 and (unknown := sorted(set(words[1].split("+")) - ROLES)):
        return f"has a role that there is not: {unknown[0][:40]!r}, and there is {' and '.join(sorted(ROLES))}"
    if not KEY.fullmatch(key):
        return "has a key with characters that no header takes, or longer than 256"
    return f"has a key of fewer than {SHORTEST} characters" if len(key) < SHORTEST else ""
