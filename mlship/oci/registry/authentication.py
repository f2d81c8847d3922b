"""Answers a registry's challenges: Basic, or Bearer with tokens that are fetched, kept and renewed."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from mlship.oci.registry.challenge import Challenge, best
from mlship.oci.registry.connection import Answer, Call
from mlship.oci.registry.credentials import Credentials, CredentialSource
from mlship.oci.registry.refusals import nonsense, place, refused
from mlship.units import Secret

_LIFETIME_S = 60.0  # distribution, "Token Authentication Specification": the default of expires_in
_MARGIN_S = 10.0
_CLIENT = "mlship"


@dataclass(frozen=True)
class _Header:
    """What is sent as Authorization, and until when (on the clock) it is good; None: as long as it is accepted."""

    value: Secret
    until: float | None = None


class Authentication:
    """The Authorization header of one registry. Safe for several threads.

    send: carries a request to the token service, with retries. scopes: what the token must allow
    (`repository:team/churn:pull,push`); the challenge's own scope is added.
    """

    def __init__(
        self,
        registry: str,
        source: CredentialSource,
        send: Callable[[Call, str], Answer],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = registry
        self._source = source
        self._send = send
        self._clock = clock
        self._lock = threading.RLock()
        self._scopes: tuple[str, ...] = ()
        self._challenge: Challenge | None = None
        self._credentials: Credentials | None = None
        self._header: _Header | None = None
        self.is_secure = True

    @property
    def who(self) -> str:
        """The user in words, without secrets; empty for nobody."""
        known = self._credentials
        if known is None:
            return ""
        name = "the identity token" if known.is_identity_token else known.user
        return f"{name} ({known.source})" if known.source else name

    def want(self, *scopes: str) -> None:
        """From now on tokens must allow these, too."""
        with self._lock:
            added = tuple(scope for scope in scopes if scope not in self._scopes)
            if added:
                self._scopes += added
                if self._challenge and self._challenge.scheme == "bearer":
                    self._header = None

    def header(self) -> str:
        """What to send now; empty until the registry has asked for something. Renews a token that is about to end."""
        with self._lock:
            if self._challenge is None:
                return ""
            stale = self._header is None or (self._header.until is not None and self._header.until <= self._clock())
            if stale:
                self._header = self._answered(self._challenge)
            return self._header.value.reveal() if self._header else ""

    def renew(self, answer: Answer, used: str) -> bool:
        """After a 401 to a request sent with `used`: whether there is another header to try."""
        with self._lock:
            if used != self._current():
                return True  # another thread has renewed it meanwhile
            challenge = best(answer.challenges)
            if challenge is None:
                return False
            self._challenge = challenge
            self._header = self._answered(challenge)
            return self._current() not in ("", used)

    def _current(self) -> str:
        return self._header.value.reveal() if self._header else ""

    def _answered(self, challenge: Challenge) -> _Header | None:
        self._credentials = self._source(self._registry)
        if challenge.scheme == "basic":
            known = self._credentials
            return None if known is None or known.is_identity_token else _Header(Secret(known.basic()))
        return self._token(challenge, self._credentials)

    def _token(self, challenge: Challenge, known: Credentials | None) -> _Header:
        realm = challenge.parameters["realm"]
        if urlsplit(realm).scheme != "https" and (self.is_secure or urlsplit(realm).scheme != "http"):
            raise nonsense(self._registry, f"it sends credentials to {place(realm)}, which is not https")
        asked = _call(challenge, realm, self._all_scopes(challenge), known)
        answer = self._send(asked, known.basic() if known and not known.is_identity_token else "")
        if answer.status != 200:
            raise refused(self._registry, "a token", answer, self.who)
        return self._read(answer)

    def _all_scopes(self, challenge: Challenge) -> list[str]:
        named = challenge.parameters.get("scope", "").split()
        return list(dict.fromkeys([*self._scopes, *named]))

    def _read(self, answer: Answer) -> _Header:
        try:
            told = json.loads(answer.body)
            token = told.get("token") or told.get("access_token")
            lifetime = float(told.get("expires_in") or _LIFETIME_S)
        except (ValueError, TypeError, AttributeError):
            token = None
        if not isinstance(token, str) or not token.isprintable() or not token.isascii():
            raise nonsense(self._registry, f"{place(answer.url)} gave no token")
        until = self._clock() + max(lifetime - _MARGIN_S, lifetime / 2)
        return _Header(Secret(f"Bearer {token}"), until)


def _call(challenge: Challenge, realm: str, scopes: list[str], known: Credentials | None) -> Call:
    """GET with Basic for a password or nobody; POST for an identity token (distribution, "OAuth2 Token Authentication")."""
    service = challenge.parameters.get("service", "")
    if known is None or not known.is_identity_token:
        query = urlencode([*([("service", service)] if service else []), *(("scope", scope) for scope in scopes)])
        return Call("GET", f"{realm}{'&' if '?' in realm else '?'}{query}" if query else realm)
    form = urlencode(
        {
            "grant_type": "refresh_token",
            "service": service,
            "client_id": _CLIENT,
            "scope": " ".join(scopes),
            "refresh_token": known.password.reveal(),
        }
    ).encode()
    return Call("POST", realm, {"Content-Type": "application/x-www-form-urlencoded"}, lambda: (form,), len(form))
