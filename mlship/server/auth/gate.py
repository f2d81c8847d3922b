"""Who may pass: judged from the head of a request, before its body is read. Made once, before any worker is."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass

from mlship.server.auth.api_keys import ApiKeys, Caller, callers_from
from mlship.server.auth.jwks import key_set
from mlship.server.auth.roles import METRICS, OPEN, ROLES
from mlship.server.auth.tokens import Tokens, Unknowable, Untrusted
from mlship.server.manifest import Auth
from mlship.server.problems import SettingsError

# mlship's own key, with which it asks a release that it has just started; the target makes it, and keeps it where only that
# target's owner reads it.
OPERATOR = "MLSHIP_OPERATOR_KEY"


@dataclass(frozen=True)
class Denial:
    """Why a request does not pass. headers: of the answer. reason: for the counters (board.REASONS)."""

    status: int
    message: str
    headers: tuple[tuple[str, str], ...]
    reason: str


class Gate:
    """The callers of one service. metrics_open: /metrics needs no role."""

    def __init__(self, realm: str, keys: ApiKeys | None, tokens: Tokens | None, metrics_open: bool = False) -> None:
        self._realm = realm
        self._keys = keys
        self._tokens = tokens
        self._open = (OPEN, METRICS) if metrics_open else (OPEN,)

    def start(self) -> None:
        """In the process that answers: fetches what has to be fetched, in a thread."""
        if self._tokens is not None:
            self._tokens.keys.start()

    def fetch(self) -> None:
        """Before `start`, here and now: for a process that is stopped between two requests, and could not fetch meanwhile."""
        if self._tokens is not None and self._tokens.keys.is_empty:
            self._tokens.keys.fetch()

    def denial(self, headers: Mapping[str, str], role: str) -> Denial | None:
        """None for a request that may pass. headers: names in lower case. role: what its route needs."""
        if role in self._open:
            return None
        try:
            caller = self._caller(headers)
        except Untrusted as untrusted:
            return self._unauthorized(str(untrusted), ', error="invalid_token"')
        except Unknowable:
            return Denial(503, "the issuer's keys are being fetched; ask again", (("retry-after", "1"),), "unauthorized")
        if caller is None:
            return self._unauthorized(f"this needs {self._wanted()}", "")
        if role in caller.roles:
            return None
        challenge = f'Bearer realm="{self._realm}", error="insufficient_scope", scope="{role}"'
        return Denial(
            403, f"this needs the role {role}, which the caller has not", (("www-authenticate", challenge),), "forbidden"
        )

    def passes_for_good(self, headers: Mapping[str, str], role: str) -> bool:
        """Whether the same head may pass for as long as this process lives: with an API key, which does not end as tokens do."""
        caller = self._keys.caller(_credential(headers)) if self._keys is not None else None
        return role in self._open or (caller is not None and role in caller.roles)

    def _caller(self, headers: Mapping[str, str]) -> Caller | None:
        """None where nothing was sent. Raises Untrusted, Unknowable."""
        credential = _credential(headers)
        if not credential:
            return None
        if self._keys is not None:
            found = self._keys.caller(credential)
            if found is not None:
                return found
        if self._tokens is not None and credential.count(".") == 2:
            return self._tokens.caller(credential)
        raise Untrusted("this key is none of the service's" if self._keys is not None else "this is no token")

    def _unauthorized(self, message: str, error: str) -> Denial:
        return Denial(401, message, (("www-authenticate", f'Bearer realm="{self._realm}"{error}'),), "unauthorized")

    def _wanted(self) -> str:
        forms = [words for kind, words in ((self._keys, "an API key"), (self._tokens, "a token")) if kind is not None]
        return f"{' or '.join(forms)}: send the header Authorization: Bearer ..."


def _credential(headers: Mapping[str, str]) -> str:
    """RFC 6750 sends both kinds in the same header; a key may also stand in one of its own."""
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    return bearer.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")


def gate_from(auth: Auth | None, realm: str, environ: MutableMapping[str, str]) -> Gate | None:
    """The gate that the manifest asks for, None where everybody may pass. Takes the keys out of the environment, which the model's
    code and the programs that it starts read.

    Raises SettingsError where a secret is missing: a service that should be closed is never started open.
    """
    operator = environ.pop(OPERATOR, "")
    if auth is None:
        return None
    callers = _callers(auth, environ)
    if operator:
        callers[operator] = Caller("mlship", ROLES)
    tokens = None
    if auth.jwt is not None:
        _require_jwt()
        tokens = Tokens(auth.jwt, key_set(auth.jwt.jwks, environ))
    return Gate(realm, ApiKeys(callers) if callers else None, tokens, auth.metrics == "open")


def _callers(auth: Auth, environ: MutableMapping[str, str]) -> dict[str, Caller]:
    if not auth.api_keys:
        return {}
    text = environ.pop(auth.api_keys, "")
    if not text:
        raise SettingsError(f"{auth.api_keys} is not set, and serve.auth.api_keys names it; give it the keys, one a line")
    return callers_from(text, auth.api_keys)


def _require_jwt() -> None:
    try:
        import cryptography
        import jwt
    except ImportError as error:
        raise SettingsError(f"serve.auth.jwt needs the package {error.name}; build the image again") from None
    del cryptography, jwt
