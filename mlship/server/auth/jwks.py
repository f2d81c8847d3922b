"""The public keys of an identity provider, by key id: read once, or fetched again and again by a thread of their own.

An unknown key id means that the provider has changed its keys, or that somebody plays: it makes one fetch, and none again
within PAUSE_S, however many such tokens come. Keys that are here stay while the provider cannot be reached.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any

from mlship.server.monitoring import log
from mlship.server.problems import SettingsError

RETRY_S = 5.0  # after a fetch that failed while no key is known yet
REFRESH_S = 300.0  # so that a key which the provider takes back is forgotten
PAUSE_S = 30.0  # between two fetches for the sake of unknown key ids
FETCH_S = 5.0
LARGEST = 1_000_000  # bytes
RSA_BITS = 2048  # fewer are not accepted (RFC 7518, 3.3)
# by type and curve of the key, so that a token cannot choose how it is judged
ALGORITHMS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("RSA", ""): ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("OKP", "Ed25519"): ("EdDSA",),
}


class PublicKey:
    """One key. algorithms: those that a token signed with it may name."""

    def __init__(self, key: Any, algorithms: tuple[str, ...]) -> None:
        self.key = key
        self.algorithms = algorithms


def keys_from(document: Any) -> dict[str, PublicKey]:
    """By key id, those of a JWK set (RFC 7517) that verify signatures. Secret keys, and what is not understood, are left out.

    Raises ValueError for what is no JWK set.
    """
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise ValueError("it is no JWK set")
    found = {}
    for entry in entries:
        key = _key(entry) if isinstance(entry, dict) else None
        if key is not None:
            found[str(entry.get("kid", ""))] = key
    if not found:
        raise ValueError("it has no public key for signatures")
    return found


class KeySet:
    """The keys at hand. `start` begins to fetch them where they come from a URL."""

    def __init__(
        self, source: str, keys: Mapping[str, PublicKey] | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """source: URL, or empty with keys that never change. clock: seconds, never goes back."""
        self._source = source
        self._keys = dict(keys or {})
        self._clock = clock
        self._asked = float("-inf")
        self._wake = threading.Event()
        self._is_busy = False
        self._thread: threading.Thread | None = None
        self.generation = 0
        """Changes when keys go: what was judged by them does not count any more."""

    @property
    def is_empty(self) -> bool:
        """True while no key could be fetched."""
        return not self._keys

    def start(self) -> None:
        """Fetches now and every REFRESH_S; to be called in the process that judges tokens."""
        if self._source and self._thread is None:
            self._thread = threading.Thread(target=self._follow, name="jwks", daemon=True)
            self._thread.start()

    def find(self, key_id: str | None) -> PublicKey | None:
        """None for an unknown id. A token without one is taken when there is one key only."""
        if key_id is None:
            return next(iter(self._keys.values())) if len(self._keys) == 1 else None
        return self._keys.get(key_id)

    def ask_again(self) -> bool:
        """Has the keys fetched off this thread; False when that was done within PAUSE_S, or there is nothing to fetch."""
        now = self._clock()
        if not self._source or now < self._asked + PAUSE_S:
            return False
        self._asked = now
        self._wake.set()
        return True

    @property
    def is_fetching(self) -> bool:
        """True from `ask_again` on until the answer is there, and while there are no keys at all."""
        return self._is_busy or self._wake.is_set() or (self._thread is not None and self.is_empty)

    def fetch(self) -> None:
        """Once, here and now. Keeps what it has when the provider gives nothing better."""
        try:
            keys = keys_from(json.loads(_document(self._source)))
        except (OSError, http.client.HTTPException, ValueError, RecursionError) as error:
            reason = getattr(error, "reason", None) or error
            log.event("warning", "jwks_not_fetched", url=self._source, message=str(reason)[:300], keys=len(self._keys))
            return
        # first the keys, then the generation: what is judged in between by keys that go is not kept
        before, self._keys = self._keys, keys
        if before.keys() - keys.keys() or any(not _same(before[name], keys[name]) for name in before):
            self.generation += 1

    def _follow(self) -> None:
        while True:
            self._is_busy = True
            self._wake.clear()  # who asks from now on may mean keys that are newer than this answer
            self.fetch()
            self._is_busy = False
            self._wake.wait(RETRY_S if self.is_empty else REFRESH_S)


def _document(url: str) -> bytes:
    """Raises OSError, HTTPException, ValueError."""
    request = urllib.request.Request(url, headers={"accept": "application/json"})  # noqa: S310 -- judged by key_set
    with _OPENER.open(request, timeout=FETCH_S) as answer:
        body: bytes = answer.read(LARGEST + 1)
    if len(body) > LARGEST:
        raise ValueError(f"it is longer than {LARGEST} bytes")
    return body


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Keys come from where mlship.yaml says, and from nowhere else."""

    def redirect_request(self, *arguments: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirect)


def key_set(source: str, environ: Mapping[str, str]) -> KeySet:
    """source: `https://...`, http only on this machine, or `secret:NAME`. Raises SettingsError."""
    if not source.startswith("secret:"):
        return KeySet(source)
    name = source.removeprefix("secret:")
    if not environ.get(name):
        raise SettingsError(f"{name} is not set, and serve.auth.jwt.jwks names it; give it the provider's JWK set")
    try:
        return KeySet("", keys_from(json.loads(environ[name])))
    except ValueError:
        raise SettingsError(f"{name} is no JWK set with a public key in it (serve.auth.jwt.jwks)") from None


def _key(entry: dict[str, Any]) -> PublicKey | None:
    import jwt
    from cryptography.exceptions import UnsupportedAlgorithm

    allowed = ALGORITHMS.get((str(entry.get("kty")), str(entry.get("crv", ""))), ())
    if entry.get("alg") is not None:
        allowed = tuple(name for name in allowed if name == entry["alg"])
    uses = entry.get("key_ops", ["verify"])
    if not allowed or entry.get("use", "sig") != "sig" or not isinstance(uses, list) or "verify" not in uses:
        return None
    try:
        key = jwt.PyJWK(entry, allowed[0]).key
    except (jwt.PyJWTError, UnsupportedAlgorithm, ValueError, TypeError, AttributeError):
        return None
    return PublicKey(key, allowed) if getattr(key, "key_size", RSA_BITS) >= RSA_BITS or entry["kty"] != "RSA" else None


def _same(one: PublicKey, other: PublicKey) -> bool:
    return bool(one.key == other.key) and one.algorithms == other.algorithms
