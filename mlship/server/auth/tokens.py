"""JSON web tokens of an identity provider: is it signed, meant for us, valid now, and which roles does it give."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from typing import Any

from mlship.server.auth.api_keys import Caller
from mlship.server.auth.jwks import KeySet, PublicKey
from mlship.server.auth.roles import PREDICT
from mlship.server.manifest import Jwt

LEEWAY_S = 30.0  # by so much clocks may differ
LONGEST = 8192  # characters
KEPT = 4096  # judged tokens; each is judged once, then known by its digest until it ends


class Untrusted(Exception):
    """The token is not taken; the message says why, and has nothing of the token in it."""


class Unknowable(Exception):
    """The provider's keys are being fetched: the same token may be taken in a moment."""


class Tokens:
    """Judges tokens. clock: seconds since the epoch."""

    def __init__(self, wanted: Jwt, keys: KeySet, clock: Callable[[], float] = time.time) -> None:
        self.keys = keys
        self._wanted = wanted
        self._clock = clock
        self._known: dict[bytes, tuple[Caller, float]] = {}
        self._generation = keys.generation

    def caller(self, token: str) -> Caller:
        """Raises Untrusted, Unknowable."""
        if self._generation != self.keys.generation:
            self._generation = self.keys.generation
            self._known.clear()
        digest = hashlib.sha256(token.encode("latin-1", "replace")).digest()
        known = self._known.get(digest)
        if known is not None and self._clock() < known[1] + LEEWAY_S:
            return known[0]
        caller, ends = self._judged(token)
        if len(self._known) >= KEPT:
            self._known.clear()
        self._known[digest] = caller, ends
        return caller

    def _judged(self, token: str) -> tuple[Caller, float]:
        import jwt

        if len(token) > LONGEST:
            raise Untrusted(f"the token is longer than {LONGEST} characters")
        try:
            head = jwt.get_unverified_header(token)
            key = self._key(head)
            claims = jwt.decode(
                token,
                key.key,
                algorithms=list(key.algorithms),
                audience=self._wanted.audience,
                issuer=self._wanted.issuer,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iss", "aud"]},
            )
        except jwt.PyJWTError as error:
            raise Untrusted(_reason(error)) from None
        name = str(claims.get("sub", ""))[:128]
        return Caller(name, roles_of(claims, self._wanted.claim, self._wanted.roles)), float(claims["exp"])

    def _key(self, head: Mapping[str, Any]) -> PublicKey:
        """The algorithm is the key's to name, not the token's: `none`, and a public key used as a shared secret, find no key."""
        key = self.keys.find(head.get("kid"))
        if key is None:
            if self.keys.ask_again() or self.keys.is_fetching:
                raise Unknowable
            raise Untrusted("the token is signed with a key that the issuer does not have")
        if head.get("alg") not in key.algorithms:
            raise Untrusted(f"the token is not signed with {' or '.join(key.algorithms)}")
        return key


def roles_of(claims: Mapping[str, Any], claim: str, roles: Mapping[str, str]) -> frozenset[str]:
    """Ours, by what stands in a claim. claim: dotted where it is nested. roles: ours -> the provider's word; empty: all may

    predict. Words are a list, or one text with blanks between them (`scope`). Pure.
    """
    if not roles:
        return frozenset((PREDICT,))
    found: Any = claims
    for part in claim.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    words = set(found.split()) if isinstance(found, str) else set(map(str, found)) if isinstance(found, list) else set()
    return frozenset(ours for ours, theirs in roles.items() if theirs in words)


def _reason(error: Exception) -> str:
    import jwt

    reasons: tuple[tuple[type[Exception], str], ...] = (
        (jwt.ExpiredSignatureError, "the token has expired"),
        (jwt.ImmatureSignatureError, "the token is not valid yet"),
        (jwt.InvalidAudienceError, "the token is for another audience"),
        (jwt.InvalidIssuerError, "the token is of another issuer"),
        (jwt.MissingRequiredClaimError, "the token has no exp, iss or aud"),
        (jwt.InvalidSignatureError, "the token's signature is wrong"),
    )
    return next((words for kind, words in reasons if isinstance(error, kind)), "the token cannot be read")
