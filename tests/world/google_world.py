"""Google, as far as a test needs it: whoever asks is known, what is asked and what is answered is held against the discovery documents.

    google = Google()
    google.plays["storage"] = Storage()             # a Player for each API
    with inspecting_proxy(google.answer, folder, google.forwards) as environ:
        environ |= credentials_file(folder)

A Player answers with plain data, or raises `No`. google.asked: what was asked of which method, for tests that count.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from google_contract import Method, check_answer, check_request
from google_identity import METADATA_HOSTS, knows, token_told
from inspecting_proxy import Asked, Told, told

_STATUS = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ABORTED": 409,
    "ALREADY_EXISTS": 409,
    "RESOURCE_EXHAUSTED": 429,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
}
_STORAGE_REASONS = {
    400: "invalid",
    401: "authError",
    403: "forbidden",
    404: "notFound",
    409: "conflict",
    412: "conditionNotMet",
    429: "rateLimitExceeded",
    500: "internalError",
    503: "backendError",
}


class No(Exception):
    """Google refuses. said: `NOT_FOUND`. status: where it is not the usual one of that word. reason: of google.rpc.ErrorInfo."""

    def __init__(self, said: str, message: str, *, status: int = 0, reason: str = "", **metadata: str) -> None:
        super().__init__(message)
        self.said, self.message, self.reason, self.metadata = said, message, reason, metadata
        self.status = status or _STATUS[said]

    def told(self, document: str) -> Told:
        """Cloud Storage is older than the others, and has words of its own."""
        if document.startswith("storage."):
            one = {"message": self.message, "domain": "global", "reason": self.reason or _STORAGE_REASONS[self.status]}
            return told({"error": {"code": self.status, "message": self.message, "errors": [one]}}, self.status)
        error: dict[str, Any] = {"code": self.status, "message": self.message, "status": self.said}
        if self.reason:
            kind = "type.googleapis.com/google.rpc.ErrorInfo"
            info = {"@type": kind, "reason": self.reason, "domain": "googleapis.com", "metadata": self.metadata}
            error["details"] = [info]
        return told({"error": error}, self.status)


# What one API does with a method: plain data, which is held against the documents, or an answer that has no schema (bytes).
Player = Callable[[Method, Asked], Any]


@dataclass
class Google:
    """plays: API -> its player (`aiplatform`, `storage`). hosts: others, such as a service's own address. forwards: see the proxy.

    before: may raise No, for whoever is denied, throttled or over a quota. asked: (method's id, request), in their order.
    """

    plays: dict[str, Player] = field(default_factory=dict)
    hosts: dict[str, Callable[[Asked], Told]] = field(default_factory=dict)
    forwards: dict[str, int] = field(default_factory=dict)
    before: Callable[[Method, Asked], None] = lambda method, asked: None
    asked: list[tuple[str, Asked]] = field(default_factory=list)

    def answer(self, asked: Asked) -> Told:
        if asked.host == "oauth2.googleapis.com":
            return token_told(asked)
        if asked.host in METADATA_HOSTS:
            return Told(404, {}, b"there is no metadata server here")
        if asked.host in self.hosts:
            return self.hosts[asked.host](asked)
        method = check_request(asked)
        self.asked.append((method.id, asked))
        try:
            if not knows(asked):
                raise No("UNAUTHENTICATED", "Request had invalid authentication credentials.")
            self.before(method, asked)
            said = self._played(method, asked)
        except No as no:
            return no.told(method.document)
        if isinstance(said, Told):
            return said
        check_answer(method, said)
        return told(said)

    def _played(self, method: Method, asked: Asked) -> Any:
        if method.name == "serviceAccounts.getAllowedLocations":  # google-auth looks where a token may be used, by itself
            return {"encodedLocations": "0x0"}
        return self.plays[method.document.partition(".")[0]](method, asked)

    def count(self, method: str) -> int:
        """How often it was asked: `endpoints.patch`."""
        return sum(id.endswith(method) for id, _ in self.asked)
