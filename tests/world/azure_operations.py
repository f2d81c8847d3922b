"""What all fakes of Azure share: the login, refusals in Azure's form, and operations that take several looks to end.

    login = Login()                                        # azure-identity signs in here: login.environ goes into the environment
    operations = Operations(clock)
    def answer(asked):                                      # for inspecting_proxy
        if said := login.answer(asked) or operations.answer(asked): return said
        if asked.host == ARM: return login.refusal(asked) or my_own(asked)
    operations.accepted(asked, body, finish, form=ASYNC)    # what a PUT answers: 201, Azure-AsyncOperation, Retry-After

Facts: "Track asynchronous Azure operations" (learn.microsoft.com/azure/azure-resource-manager/management/async-operations, read
2026-11): 201 or 202 with Azure-AsyncOperation, or Location, and Retry-After; the first answers 200 with `status`, the second 202
until it is done. azure-core 1.41 takes a Retry-After of 0 for none and waits 30 s: here it is never less than 1.
"""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qs

from inspecting_proxy import Asked, Told, told

ARM, LOGIN = "management.azure.com", "login.microsoftonline.com"
SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
TENANT = "00000000-0000-0000-0000-00000000000a"
CLIENT = "00000000-0000-0000-0000-00000000000b"
OBJECT = "00000000-0000-0000-0000-00000000000c"  # the service principal's own id
SECRET = "fake-secret-of-a-test"
ASYNC, LOCATION, BOTH = "Azure-AsyncOperation", "Location", "both"
Form = Literal["Azure-AsyncOperation", "Location", "both"]
_LIVES_S = 3600


def refused(status: int, code: str, message: str, **headers: str) -> Told:
    """As Azure Resource Manager says no."""
    return told({"error": {"code": code, "message": message}}, status, **headers)


@dataclass
class Login:
    """A tenant of Entra with one service principal. audiences: for which a token was asked, in their order."""

    host: str = LOGIN
    arm: str = ARM
    tenant: str = TENANT
    client: str = CLIENT
    secret: str = SECRET
    audiences: list[str] = field(default_factory=list)

    @property
    def environ(self) -> dict[str, str]:
        """What azure-identity reads (EnvironmentCredential)."""
        return {
            "AZURE_TENANT_ID": self.tenant,
            "AZURE_CLIENT_ID": self.client,
            "AZURE_CLIENT_SECRET": self.secret,
            "AZURE_AUTHORITY_HOST": f"https://{self.host}",
            "AZURE_SUBSCRIPTION_ID": SUBSCRIPTION,
        }

    def answer(self, asked: Asked) -> Told | None:
        """None for what is not asked of the login."""
        if asked.host != self.host:
            return None
        if asked.path == "/common/discovery/instance":
            names = {"preferred_network": self.host, "preferred_cache": self.host, "aliases": [self.host]}
            place = f"https://{self.host}/{self.tenant}/v2.0/.well-known/openid-configuration"
            return told({"tenant_discovery_endpoint": place, "api-version": "1.1", "metadata": [names]})
        if asked.path.endswith("/.well-known/openid-configuration"):
            return told(self._configuration())
        if asked.path == f"/{self.tenant}/oauth2/v2.0/token":
            return self._token(asked)
        raise AssertionError(f"the login was asked for {asked.method} {asked.path}")

    def refusal(self, asked: Asked, *audiences: str) -> Told | None:
        """None for who has a token of this login for one of the audiences (Resource Manager's where none is said)."""
        claims = self.claims(asked)
        wanted = {
            audience.rstrip("/") for audience in audiences or (f"https://{self.arm}", "https://management.core.windows.net")
        }
        if claims and claims["aud"].rstrip("/") in wanted:
            return None
        return refused(401, "AuthenticationFailed", "Authentication failed.", www_authenticate='Bearer error="invalid_token"')

    def claims(self, asked: Asked) -> dict[str, Any]:
        """Of the token that is shown; {} for none of this login's."""
        kind, _, token = asked.headers.get("authorization", "").partition(" ")
        parts = token.split(".")
        if kind != "Bearer" or len(parts) != 3 or parts[2] != "made-by-the-fake-login":
            return {}
        claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(parts[1] + "=="))
        return claims

    def token(self, audience: str) -> str:
        """Readable as all of Entra's are, signed by nobody."""
        claims = {"aud": audience, "iss": f"https://sts.windows.net/{self.tenant}/", "tid": self.tenant, "oid": OBJECT}
        parts = ({"typ": "JWT", "alg": "none"}, {**claims, "appid": self.client, "sub": OBJECT, "ver": "1.0"})
        told_parts = (base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts)
        return ".".join([*told_parts, "made-by-the-fake-login"])

    def _token(self, asked: Asked) -> Told:
        said = {name: values[-1] for name, values in parse_qs(asked.body.decode()).items()}
        assert said["grant_type"] == "client_credentials", said["grant_type"]
        if said["client_id"] != self.client or said["client_secret"] != self.secret:
            what = "AADSTS7000215: Invalid client secret provided."
            return told({"error": "invalid_client", "error_description": what, "error_codes": [7000215]}, 401)
        (scope,) = [one for one in said["scope"].split() if one.endswith("/.default")]
        audience = scope.removesuffix("/.default")
        self.audiences.append(audience)
        lives = {"expires_in": _LIVES_S, "ext_expires_in": _LIVES_S}
        return told({"token_type": "Bearer", **lives, "access_token": self.token(audience)})

    def _configuration(self) -> dict[str, Any]:
        place = f"https://{self.host}/{self.tenant}"
        return {
            "issuer": f"{place}/v2.0",
            "authorization_endpoint": f"{place}/oauth2/v2.0/authorize",
            "token_endpoint": f"{place}/oauth2/v2.0/token",
            "device_authorization_endpoint": f"{place}/oauth2/v2.0/devicecode",
            "jwks_uri": f"{place}/discovery/v2.0/keys",
            "tenant_region_scope": "EU",
        }


@dataclass
class Operation:
    """finish: makes it so, and gives what a GET of Location answers then; may refuse in the end. until: by the clock."""

    finish: Callable[[], Any]
    looks_left: int
    until: float
    fails: tuple[str, str] | None = None
    result: Any = None
    is_done: bool = False


@dataclass
class Operations:
    """Those that run. looks: how often each says that it is not done; lasts_s: and for how long, by the clock.

    fails: (code, message) with which the next operation ends, after all that time. begun: how many there were.
    """

    clock: Callable[[], float] = lambda: 0.0
    host: str = ARM
    looks: int = 2
    lasts_s: float = 0.0
    retry_after_s: int = 1
    fails: tuple[str, str] | None = None
    running: dict[str, Operation] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def accepted(
        self, asked: Asked, body: Any, finish: Callable[[], Any], *, form: Form = ASYNC, status: int = 0, path: str = ""
    ) -> Told:
        """The first answer: 201 with the body for a PUT, else 202. path: where operations of this provider are looked at."""
        number, self.fails, fails = f"op-{next(self.numbers)}", None, self.fails
        self.running[number] = Operation(finish, self.looks, self.clock() + self.lasts_s, fails)
        place = f"https://{self.host}{path or f'/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Fake'}"
        version = asked.query["api-version"]
        links = {
            ASYNC: {"Azure_AsyncOperation": f"{place}/operationsStatus/{number}?api-version={version}"},
            LOCATION: {"Location": f"{place}/operationResults/{number}?api-version={version}"},
        }
        headers = {**links[ASYNC], **links[LOCATION]} if form == BOTH else links[form]
        if status == 0:
            status = 201 if asked.method == "PUT" else 202
        return self._told(body, status, headers)

    def answer(self, asked: Asked) -> Told | None:
        """None for a path that is no operation's."""
        place, _, number = asked.path.rpartition("/")
        kind = place.rpartition("/")[2]
        if asked.host != self.host or kind not in ("operationsStatus", "operationResults"):
            return None
        operation = self.running.get(number)
        if operation is None:
            return refused(404, "NotFound", f"There is no operation {number}.")
        self._go_on(operation)
        return self._status(number, operation) if kind == "operationsStatus" else self._result(operation)

    def _go_on(self, operation: Operation) -> None:
        if operation.is_done:
            return
        if operation.looks_left > 0 or self.clock() < operation.until:
            operation.looks_left -= 1
            return
        operation.is_done = True
        if operation.fails is None:
            operation.result = operation.finish()
            if isinstance(operation.result, tuple):  # refused in the end
                operation.fails = operation.result

    def _status(self, number: str, operation: Operation) -> Told:
        if not operation.is_done:
            return self._told({"id": number, "name": number, "status": "InProgress"}, 200, {})
        if operation.fails:
            code, message = operation.fails
            return told({"id": number, "name": number, "status": "Failed", "error": {"code": code, "message": message}})
        return told({"id": number, "name": number, "status": "Succeeded"})

    def _result(self, operation: Operation) -> Told:
        if not operation.is_done:
            return self._told(None, 202, {})
        if operation.fails:
            return refused(400, *operation.fails)
        return told(operation.result) if operation.result is not None else Told(204)

    def _told(self, body: Any, status: int, headers: Mapping[str, str]) -> Told:
        headers = {**headers, "Retry_After": str(max(1, self.retry_after_s))}
        if body is None:
            return Told(status, {name.replace("_", "-"): text for name, text in headers.items()})
        return told(body, status, **headers)
