"""What a no of Azure means for people."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from mlship.errors import Exit, MlshipError, need

LOGIN = "az login, or set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, or give this machine a managed identity"
_BUSY_STATUS = (408, 429, 500, 502, 503, 504)
_MISSING = (
    *("ResourceNotFound", "ResourceGroupNotFound", "NotFound", "ParentResourceNotFound", "ContainerNotFound", "BlobNotFound"),
    *("ContainerAppNotFound", "RevisionNotFound", "SecretNotFound", "UserNotFound"),
)
# What azure-identity 1.27 says of a kind of credentials that nobody set up.
_ABSENT = ("unavailable", "not found", "could not be found", "not installed", "requires the", "is required", "No accounts were")
# Conditions of a write that were not met any more: another command came first.
CHANGED = ("ConditionNotMet", "BlobAlreadyExists", "UnauthorizedBlobOverwrite")


KEPT_OUT = "AuthorizationFailure"  # a storage account's word for a network that may not come; a missing role has another one


class Refused(MlshipError):
    """Azure answered no. said: its own code for it, `ResourceNotFound`; status: of HTTP, 200 for an operation that failed."""

    def __init__(self, said: str, status: int, what: str, fix: str, exit: Exit, code: str) -> None:
        super().__init__(what, fix=fix, exit=exit, code=code)
        self.said = said
        self.status = status

    @property
    def is_missing(self) -> bool:
        return self.status == 404 or self.said in _MISSING


def refusal(asked: str, status: int, error: Mapping[str, Any]) -> Refused:
    """asked: `PUT /subscriptions/...`; error: as the resource manager says it, with the details of what stands inside."""
    said = str(error.get("code") or status)
    text = "; ".join(dict.fromkeys(_texts(error)))[:500]
    what = f"Azure refuses {short(asked)} ({said}): {text}"
    if status in (401, 403) or "AuthorizationFailed" in said or said == "InvalidAuthenticationToken":
        fix = "give these credentials a role that allows it (Contributor on the resource group, for most)"
        if said == KEPT_OUT:
            fix = "let this machine in by the account's network rules, or run mlship where they do"
        return Refused(said, status, what, fix, Exit.DENIED, "denied")
    if _is_quota(said, text):
        return Refused(said, status, what, "ask for a higher quota, or take something away", Exit.DENIED, "quota")
    if status in _BUSY_STATUS or "InProgress" in said:
        return Refused(said, status, what, "run the same command again in a while", Exit.UNREACHABLE, "busy")
    return Refused(said, status, what, "mend what it names and run the same command again", Exit.USAGE, "azure-refused")


def translated(asked: str, act: Callable[[], Any]) -> Any:
    """What `act` gives; what the SDK raises becomes words."""
    exceptions = need("azure.core.exceptions", "azure")
    try:
        return act()
    except exceptions.ClientAuthenticationError as error:
        if error.response is None or "/oauth2/" in str(error.response.request.url):
            raise MlshipError(f"Azure cannot be asked: {of_login(str(error))}", fix=LOGIN, exit=Exit.DENIED) from None
        raise _failed(asked, error) from None
    except exceptions.HttpResponseError as error:
        raise _failed(asked, error) from None
    except exceptions.AzureError as error:
        what = f"Azure does not answer to {short(asked)}: {line(error)}"
        fix = "look at the network and try again; nothing was changed"
        raise MlshipError(what, fix=fix, exit=Exit.UNREACHABLE) from None


def said_no(asked: str, response: Any) -> Refused:
    """Of an answer of the resource manager."""
    return refusal(asked, response.status_code, body_of(response).get("error") or {})


def body_of(response: Any) -> dict[str, Any]:
    """{} for what is no object."""
    try:
        found = json.loads(response.text() or "null")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def short(asked: str) -> str:
    """`PUT containerApps/churn`: a whole path is no reading for people."""
    method, _, path = asked.partition(" ")
    _, provider, rest = path.rpartition("/providers/")
    return f"{method} {rest.partition('/')[2]}" if provider else asked


def of_login(told: str) -> str:
    """What failed of the credentials that there are: the SDK names each of ten kinds that it looked for, too."""
    if not told.startswith("DefaultAzureCredential failed"):
        return " ".join(told.split())[:400]
    tried = (text.strip() for text in told.splitlines()[1:] if "Credential: " in text)
    failed = [text for text in tried if not any(word in text for word in _ABSENT)]
    return " ".join("; ".join(failed).split())[:400] or "there are no credentials on this machine"


def line(error: BaseException) -> str:
    return " ".join(str(error).split())[:400]


def _is_quota(said: str, text: str) -> bool:
    return (
        "quota" in said.lower()
        or said.startswith("MaxNumberOf")
        or said.endswith("LimitExceeded")
        or (said in ("OperationNotAllowed", "BadRequest") and "quota" in text.lower())
    )


def _texts(error: Mapping[str, Any]) -> list[str]:
    own = " ".join(str(error.get("message") or "").split())
    inner = [text for detail in error.get("details") or () if isinstance(detail, Mapping) for text in _texts(detail)]
    return [text for text in (own, *inner) if text]


def _failed(asked: str, error: Any) -> Refused:
    """Of an operation that ended in failure the body has what it says of it, with a status of 200."""
    body = body_of(error.response) if error.response is not None else {}
    told = body.get("error") or (body.get("properties") or {}).get("error") or {}
    said = getattr(error, "error_code", None)  # of storage: a header
    code = str(getattr(said, "value", said) or "")
    return refusal(asked, error.status_code or 0, told or {"code": code, "message": line(error)})
