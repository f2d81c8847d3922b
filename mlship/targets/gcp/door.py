"""What the rest of the target knows of Google Cloud: calls with bodies as plain data, and what a refusal means for people. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from mlship.errors import Exit, MlshipError
from mlship.targets.base import Answer
from mlship.units import Secret

LOGIN = "gcloud auth application-default login, or set GOOGLE_APPLICATION_CREDENTIALS"
UNIDENTIFIED = "no-identity-token"  # code of a refusal: these credentials give none for a service's callers
DENIED, MISSING, CONFLICT, CHANGED, BUSY = "denied", "missing", "conflict", "changed", "busy"

Body = dict[str, Any]
MOST_WORDS = 1000  # where a server did not start the address of its log is at the end of what is said
# How an HTTP status says it, where the answer itself does not (google.rpc.Code, HTTP mapping).
_OF_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    412: "CONDITION_NOT_MET",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
# The errors of an operation are numbers (google.rpc.Code).
_OF_CODE = {
    1: "CANCELLED",
    2: "UNKNOWN",
    3: "INVALID_ARGUMENT",
    4: "DEADLINE_EXCEEDED",
    5: "NOT_FOUND",
    6: "ALREADY_EXISTS",
    7: "PERMISSION_DENIED",
    8: "RESOURCE_EXHAUSTED",
    9: "FAILED_PRECONDITION",
    10: "ABORTED",
    13: "INTERNAL",
    14: "UNAVAILABLE",
    16: "UNAUTHENTICATED",
}
_CODES = {
    "PERMISSION_DENIED": DENIED,
    "UNAUTHENTICATED": DENIED,
    "RESOURCE_EXHAUSTED": "quota",
    "NOT_FOUND": MISSING,
    "ALREADY_EXISTS": CONFLICT,
    "ABORTED": CONFLICT,
    "CONDITION_NOT_MET": CHANGED,
    "UNAVAILABLE": BUSY,
    "INTERNAL": BUSY,
    "DEADLINE_EXCEEDED": BUSY,
}
_DISABLED = "SERVICE_DISABLED"  # google.rpc.ErrorInfo, reason
_RATES = ("RATE_LIMIT_EXCEEDED", "rateLimitExceeded", "userRateLimitExceeded")  # the last two: Cloud Storage


class Refused(MlshipError):
    """Google Cloud answered no. said: its own word for it, `NOT_FOUND`; code: `denied`, `quota`, `missing`, `conflict`, ..."""

    def __init__(self, said: str, what: str, fix: str, exit: Exit, code: str) -> None:
        super().__init__(what, fix=fix, exit=exit, code=code)
        self.said = said


@dataclass(frozen=True)
class Kept:
    """An object of Cloud Storage. generation: what its next write has to name."""

    raw: bytes
    generation: int


class Door(Protocol):
    """Bodies and answers are the vendor's own JSON (camelCase, enums by name, `5s`) as plain data.

    All of it raises Refused for a no, and MlshipError (exit 8 or 13) where nobody can be asked. What is busy is asked again
    for a while before that.
    """

    @property
    def project(self) -> str:
        """Where everything is: as said, or that of the credentials. Raises MlshipError where nobody says one."""

    @property
    def region(self) -> str:
        """Raises MlshipError where nobody says one."""

    @property
    def identity(self) -> str:
        """Whose credentials these are, for people: an address, or `` where they do not tell."""

    def call(self, client: str, method: str, request: Mapping[str, Any], /) -> Body:
        """One method of an official client. client: `run services`, see sdk.CLIENTS; method: in its spelling, `get_service`.

        A long-running one gives its operation: `{name, done, response, error}`.
        """

    def all(self, client: str, method: str, request: Mapping[str, Any], /) -> list[Body]:
        """The entries of every page."""

    def operation(self, client: str, name: str, /) -> Body:
        """As it stands now."""

    def http(
        self,
        method: str,
        url: str,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        /,
        *,
        reads: bool = False,
    ) -> Body:
        """What has no official client here. reads: a POST that changes nothing."""

    def post(self, url: str, body: bytes, headers: Mapping[str, str], timeout_s: float, /) -> Answer:
        """A prediction: no document of Google's. Whatever comes is an answer; status 0, with the reason in words, where nothing does."""

    def find_bucket(self, name: str) -> bool:
        """Whether this project has it: a name can be taken by anybody."""

    def make_bucket(self, name: str, labels: Mapping[str, str]) -> None: ...

    def read_object(self, bucket: str, name: str) -> Kept | None:
        """None where there is none, or no bucket."""

    def write_object(self, bucket: str, name: str, raw: bytes, generation: int) -> None:
        """generation: of what is replaced; 0 creates. Raises Refused with the code `changed` where it is not what it was."""

    def list_objects(self, bucket: str, prefix: str) -> list[str]:
        """Their names."""

    def delete_object(self, bucket: str, name: str) -> None: ...

    def access_token(self) -> Secret:
        """For a registry, and nothing else."""

    def identity_token(self, audience: str, service_account: str = "") -> Secret:
        """For a caller of a service. service_account: whom a person may impersonate for it."""


def refusal(asked: str, said: str, message: str, reason: str = "", metadata: Mapping[str, str] | None = None) -> Refused:
    """asked: `run services update_service`. said: `NOT_FOUND`. reason, metadata: of google.rpc.ErrorInfo, where it came."""
    what = f"Google Cloud refuses {asked} ({said}): {' '.join(message.split())[:MOST_WORDS]}"
    if reason == _DISABLED:
        known = metadata or {}
        api, project = known.get("service", "the API that it names"), known.get("consumer", "").rpartition("/")[2]
        enable = f"gcloud services enable {api}" + (f" --project={project}" if project else "")
        return Refused(said, what, enable, Exit.DENIED, "api-disabled")
    code = BUSY if reason in _RATES else _CODES.get(said, "gcp-refused")
    if code == DENIED:
        return Refused(said, what, f"give these credentials the right to it, or {LOGIN}", Exit.DENIED, code)
    if code == "quota":
        none_left = "where it says STOCKOUT, Google has none just now: later, another type of machine, or another region"
        return Refused(said, what, f"ask for a higher quota, or take something away; {none_left}", Exit.DENIED, code)
    if code == BUSY:
        return Refused(said, what, "run the same command again in a while", Exit.UNREACHABLE, code)
    return Refused(said, what, "mend what it names and run the same command again", Exit.USAGE, code)


def error_info(details: Iterable[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The reason in a word, where one came with a refusal; else nothing."""
    return next((one for one in details if str(one.get("@type", "")).endswith("google.rpc.ErrorInfo")), {})


def status_said(status: int) -> str:
    """google.rpc.Code's name of an HTTP status."""
    return _OF_STATUS.get(status, f"HTTP {status}")


def failure_of(asked: str, operation: Mapping[str, Any]) -> Refused | None:
    """Why an operation that is done failed; None where it did not."""
    error = operation.get("error")
    if not error:
        return None
    said = _OF_CODE.get(int(error.get("code", 2)), "UNKNOWN")
    info = error_info(error.get("details") or ())
    return refusal(asked, said, str(error.get("message", "")), info.get("reason", ""), info.get("metadata"))
