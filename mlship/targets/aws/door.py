"""The only door to AWS: one call, and what its refusal means for people. boto3 lives here alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from mlship.errors import Exit, MlshipError, need

LOGIN = "aws sso login, or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
CONNECT_S, READ_S, TRIES = 10, 60, 5
_DENIED = frozenset(
    [
        "AccessDenied",
        "AccessDeniedException",
        "UnauthorizedOperation",
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidClientTokenId",
        "UnrecognizedClientException",
        "SignatureDoesNotMatch",
        "InvalidAccessKeyId",
        "OptInRequired",
        "InvalidSignatureException",
        "InvalidToken",
        "RequestExpired",
        "SubscriptionRequiredException",
        "403",
    ]
)
_DENIED_STATUSES = (401, 403)
# Each service has a name of its own for a quota: LimitExceededException, ResourceLimitExceeded, TooManyTargetGroups ...
_QUOTA = re.compile(r"TooMany.*|.*Limit(Exceeded|Reached)(Exception)?|(ServiceQuota|CodeStorage)ExceededException")
_BUSY = frozenset(
    [
        *("Throttling", "ThrottlingException", "ThrottledException", "TooManyRequestsException", "RequestLimitExceeded"),
        *("SlowDown", "ServiceUnavailable", "InternalFailure", "InternalError", "PriorRequestNotComplete"),
        *("ConcurrentResourcesLimitExceeded", "OperationAborted"),
    ]
)
_BUSY_STATUSES = (429, 500, 503, 504)


class Refused(MlshipError):
    """AWS answered no. said: its own code for it, `NoSuchBucket`. answer: all that it answered, where that is more."""

    def __init__(self, said: str, what: str, fix: str, exit: Exit, code: str) -> None:
        super().__init__(what, fix=fix, exit=exit, code=code)
        self.said = said
        self.answer: Mapping[str, Any] = {}


class Door(Protocol):
    """What the rest of the target knows of AWS. region: where it is; account: twelve digits."""

    @property
    def region(self) -> str: ...

    @property
    def account(self) -> str: ...

    def call(self, service: str, operation: str, /, **said: Any) -> dict[str, Any]:
        """operation: in boto3's spelling. Raises Refused for a no, MlshipError (exit 8 or 13) where nobody can be asked."""

    def all(self, service: str, operation: str, key: str, /, **said: Any) -> list[Any]:
        """The entries under `key` of every page."""


@runtime_checkable
class Trusts(Protocol):
    """A door that was told whom to trust: whoever asks AWS past it has to trust the same."""

    @property
    def certificates(self) -> str:
        """File of certificate authorities; empty for the system's."""


class BotoDoor:
    """The standard chain of credentials, regions, endpoints, proxies and certificates, as the SDK reads them."""

    def __init__(self, region: str = "") -> None:
        self._said_region = region
        self._session: Any = None
        self._core: Any = None
        self._clients: dict[str, Any] = {}
        self._account = ""

    @property
    def region(self) -> str:
        """Raises MlshipError where nobody says one."""
        region = self._said_region or self._opened().region_name
        if not region:
            raise MlshipError(
                "no region of AWS is said",
                fix="say --region us-east-1, write targets.aws.region, or set AWS_REGION",
                code="no-region",
            )
        return str(region)

    @property
    def account(self) -> str:
        self._account = self._account or str(self.call("sts", "get_caller_identity")["Account"])
        return self._account

    @property
    def certificates(self) -> str:
        """AWS_CA_BUNDLE, or the profile's ca_bundle."""
        self._opened()
        return str(_translated("aws", "open", lambda: self._core.get_config_variable("ca_bundle")) or "")

    def call(self, service: str, operation: str, /, **said: Any) -> dict[str, Any]:
        answer: dict[str, Any] = _translated(service, operation, lambda: getattr(self._client(service), operation)(**said))
        return answer

    def all(self, service: str, operation: str, key: str, /, **said: Any) -> list[Any]:
        def read() -> list[Any]:
            client = self._client(service)
            if not client.can_paginate(operation):
                return list(getattr(client, operation)(**said).get(key) or [])
            return list(client.get_paginator(operation).paginate(**said).build_full_result().get(key) or [])

        entries: list[Any] = _translated(service, operation, read)
        return entries

    def signed(self, service: str, method: str, url: str, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
        """The headers of a request to an address that IAM guards, with the signature of these credentials."""
        asked = need("botocore.awsrequest", "aws").AWSRequest(method, url, headers=dict(headers), data=body)
        session = self._opened()
        found = _translated(service, "sign", session.get_credentials)
        if found is None:
            raise MlshipError("AWS cannot be asked: there are no credentials", fix=LOGIN, exit=Exit.DENIED)
        frozen = _translated(service, "sign", found.get_frozen_credentials)
        need("botocore.auth", "aws").SigV4Auth(frozen, service, self.region).add_auth(asked)
        return dict(asked.headers.items())

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            settings = need("botocore.config", "aws").Config(
                connect_timeout=CONNECT_S,
                read_timeout=READ_S,
                retries={"total_max_attempts": TRIES, "mode": "standard"},
                user_agent_extra="mlship",
            )
            session = self._opened()
            self._check_certificates()
            self._clients[service] = _translated(
                service, "open", lambda: session.client(service, region_name=self.region, config=settings)
            )
        return self._clients[service]

    def _check_certificates(self) -> None:
        """The SDK says of a file that is not there only that a host cannot be verified."""
        if (bundle := self.certificates) and not Path(bundle).exists():
            fix = "correct AWS_CA_BUNDLE, or ca_bundle of the profile"
            raise MlshipError(f"there is no file {bundle} of certificate authorities", fix=fix, code="no-such-file")

    def _opened(self) -> Any:
        if self._session is None:
            boto3, self._core = need("boto3", "aws"), need("botocore.session", "aws").get_session()
            said = {"botocore_session": self._core, "region_name": self._said_region or None}
            self._session = _translated("aws", "open", lambda: boto3.session.Session(**said))
        return self._session


def _translated(service: str, operation: str, act: Callable[[], Any]) -> Any:
    exceptions = need("botocore.exceptions", "aws")
    asked = f"{service} {operation.replace('_', '-')}"
    try:
        return act()
    except exceptions.ClientError as error:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        refused = refusal(asked, error.response.get("Error", {}), status)
        refused.answer = error.response
        raise refused from None
    except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError, exceptions.ProfileNotFound) as error:
        raise MlshipError(f"AWS cannot be asked: {_line(error)}", fix=LOGIN, exit=Exit.DENIED) from None
    except exceptions.ParamValidationError:
        raise  # what we send is ours to get right
    except exceptions.BotoCoreError as error:
        what = f"AWS does not answer to {asked}: {_line(error)}"
        fix = "look at the network, HTTPS_PROXY, AWS_CA_BUNDLE and the region's name, and try again; nothing was changed"
        raise MlshipError(what, fix=fix, exit=Exit.UNREACHABLE) from None


def trusted(door: Door) -> str:
    """File of certificate authorities that the door was told to trust; empty for the system's."""
    return door.certificates if isinstance(door, Trusts) else ""


def check_account(door: Door, settings: Mapping[str, Any], where: str = "") -> None:
    """Nothing is read or made in another account than `targets.aws.account`. Raises MlshipError with exit 8."""
    wanted = str(settings.get("account") or "")
    if wanted and door.account != wanted:
        raise MlshipError(
            f"these credentials are of the account {door.account}, and targets.aws.account is {wanted}",
            where,
            "set AWS_PROFILE to a profile of that account",
            exit=Exit.DENIED,
            code="wrong-account",
        )


def refusal(asked: str, error: Mapping[str, Any], status: int = 0) -> Refused:
    """What a code of AWS means for people. asked: `ecs create-service`. status: of the answer, for codes that are not known."""
    said, text = str(error.get("Code", "")), " ".join(str(error.get("Message", "")).split())[:300]
    what = f"AWS refuses {asked} ({said}): {text}"
    if said in _BUSY or status in _BUSY_STATUSES:
        return Refused(said, what, "run the same command again in a while", Exit.UNREACHABLE, "busy")
    if said in _DENIED or status in _DENIED_STATUSES:
        return Refused(said, what, f"give these credentials the right to it, or {LOGIN}", Exit.DENIED, "denied")
    if _QUOTA.fullmatch(said):
        return Refused(said, what, "ask for a higher quota, or take something away", Exit.DENIED, "quota")
    return Refused(said, what, "mend what it names and run the same command again", Exit.USAGE, "aws-refused")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
