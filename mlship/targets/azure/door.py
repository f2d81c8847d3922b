"""The only door to Azure: one call, and what its refusal means for people. azure-core, azure-identity and azure-storage-blob live here.

Bodies go to the resource manager as they are rendered, byte for byte, through azure-core's pipeline: the generated clients
(azure-mgmt-*) would send the one version of the API that they were made for, and lose what their models do not know.
"""

from __future__ import annotations

import functools
import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit

from mlship.errors import Exit, MlshipError, need
from mlship.targets.azure.blobs import TRIES, Blob, Blobs
from mlship.targets.azure.cloud import PUBLIC, Cloud
from mlship.targets.azure.refusal import Refused, body_of, said_no, translated
from mlship.targets.azure.tokens import Tokens

CONNECT_S, READ_S = 10, 90.0
POLL_S = 5.0  # between two looks at an operation, where Azure does not say how long to wait
OPERATION_S = 3600.0  # an operation that takes longer is left alone, and said so
SUBSCRIPTIONS_API, STORAGE_API = "2022-12-01", "2023-05-01"
Body = Mapping[str, Any]


@dataclass(frozen=True)
class Sent:
    """What a service beside the resource manager answered. headers in lower case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def json(self) -> Any:
        """Raises MlshipError (exit 13) for what is no JSON."""
        try:
            return json.loads(self.body or b"null")
        except ValueError:
            raise MlshipError("Azure answered with what is no JSON", fix="try again", exit=Exit.UNREACHABLE) from None


class Door(Protocol):
    """What the rest of the target knows of Azure. Paths of the resource manager begin with `/subscriptions/`.

    All raise Refused for a no, MlshipError (exit 8, 10 or 13) where nobody can be asked or waited for.
    """

    @property
    def cloud(self) -> Cloud: ...

    @property
    def subscription(self) -> str: ...

    def arm(self, method: str, path: str, api: str, body: Body | None = None, /, **query: str) -> dict[str, Any]:
        """One call of the resource manager; what it begins is waited for. {} where it says nothing."""

    def find(self, path: str, api: str, /) -> dict[str, Any] | None:
        """None where there is no such thing, or what it stands in."""

    def all(self, path: str, api: str, /, **query: str) -> list[dict[str, Any]]:
        """The entries of every page."""

    def token(self, scope: str, /) -> str:
        """For a service beside the resource manager: a secret. scope: `https://vault.azure.net/.default`."""

    def send(
        self,
        method: str,
        url: str,
        /,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        scope: str = "",
        timeout_s: float = READ_S,
    ) -> Sent:
        """One request to any other service of Azure, tried again as it asks; scope: whose token goes with it, `` for none.

        timeout_s: how long an answer is waited for.
        """

    def read_blob(self, account: str, container: str, name: str, /) -> Blob | None:
        """None where the object, the container or the account is not there."""

    def write_blob(self, account: str, container: str, name: str, raw: bytes, before: Blob | None, /) -> None:
        """Raises Refused with `said` ConditionNotMet when the object is not `before` (None: absent) any more."""

    def delete_blob(self, account: str, container: str, name: str, /) -> None:
        """No error when it is gone already."""

    def make_container(self, account: str, name: str, /) -> None:
        """No error when it is there."""

    def open_with_keys(self, account: str, path: str, /) -> None:
        """Where the data of the account may not be read by who these credentials are, its keys open it (listKeys).

        path: of the account at the resource manager.
        """


class AzureDoor:
    """DefaultAzureCredential; proxies and certificates as `requests` reads them of the environment. pause: in place of time."""

    def __init__(self, subscription: str = "", cloud: Cloud = PUBLIC, pause: Callable[[float], object] = time.sleep) -> None:
        self._said_subscription = subscription
        self._cloud = cloud
        self._pause = pause
        self._made: dict[str, Any] = {}
        self._blobs = Blobs(cloud, lambda: self._credential, self._transport)

    @property
    def cloud(self) -> Cloud:
        return self._cloud

    @property
    def subscription(self) -> str:
        """Said, or the only one that these credentials see. Raises MlshipError."""
        if not self._said_subscription:
            seen = [one for one in self.all("/subscriptions", SUBSCRIPTIONS_API) if one.get("state") == "Enabled"]
            if len(seen) != 1:
                names = ", ".join(f"{one['subscriptionId']} ({one['displayName']})" for one in seen[:5])
                raise MlshipError(
                    f"these credentials see {len(seen)} subscriptions" + (f": {names}" if names else ""),
                    fix="write targets.azure.subscription, or set AZURE_SUBSCRIPTION_ID",
                    code="no-subscription",
                )
            self._said_subscription = str(seen[0]["subscriptionId"])
        return self._said_subscription

    def arm(self, method: str, path: str, api: str, body: Body | None = None, /, **query: str) -> dict[str, Any]:
        def run() -> dict[str, Any]:
            first = self._run(method, path, api, body, query)
            status = first.http_response.status_code
            if status >= 400:
                raise said_no(f"{method} {path}", first.http_response)
            if method in ("GET", "HEAD") or not _goes_on(first.http_response):
                return body_of(first.http_response)
            return self._waited(f"{method} {path}", first)

        answer: dict[str, Any] = translated(f"{method} {path}", run)
        return answer

    def find(self, path: str, api: str, /) -> dict[str, Any] | None:
        try:
            return self.arm("GET", path, api)
        except Refused as no:
            if no.is_missing:
                return None
            raise

    def all(self, path: str, api: str, /, **query: str) -> list[dict[str, Any]]:
        page = self.arm("GET", path, api, **query)
        found = list(page.get("value") or ())
        while following := page.get("nextLink"):
            page = translated(f"GET {path}", functools.partial(self._page, path, str(following)))
            found += page.get("value") or ()
        return found

    def token(self, scope: str, /) -> str:
        return str(translated(f"a token for {scope}", lambda: self._credential.get_token(scope).token))

    def send(
        self,
        method: str,
        url: str,
        /,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        scope: str = "",
        timeout_s: float = READ_S,
    ) -> Sent:
        def run() -> Sent:
            sent = {**(headers or {}), **({"Authorization": f"Bearer {self.token(scope)}"} if scope else {})}
            request = need("azure.core.rest", "azure").HttpRequest(method, url, headers=sent, content=body or None)
            got = self._plain.send_request(request, read_timeout=timeout_s)
            return Sent(got.status_code, {name.lower(): text for name, text in got.headers.items()}, got.read())

        answer: Sent = translated(f"{method} {url.partition('?')[0]}", run)
        return answer

    # -- objects of storage accounts ------------------------------------------------------------------------------------------

    def read_blob(self, account: str, container: str, name: str, /) -> Blob | None:
        return self._blobs.read(account, container, name)

    def write_blob(self, account: str, container: str, name: str, raw: bytes, before: Blob | None, /) -> None:
        self._blobs.write(account, container, name, raw, before)

    def delete_blob(self, account: str, container: str, name: str, /) -> None:
        self._blobs.delete(account, container, name)

    def make_container(self, account: str, name: str, /) -> None:
        self._blobs.make_container(account, name)

    def open_with_keys(self, account: str, path: str, /) -> None:
        self._blobs.key_of[account] = lambda: str(self.arm("POST", f"{path}/listKeys", STORAGE_API)["keys"][0]["value"])

    # -- the pipeline --------------------------------------------------------------------------------------------------------

    def _run(self, method: str, path: str, api: str, body: Body | None, query: Mapping[str, str]) -> Any:
        rest = need("azure.core.rest", "azure")
        said = {} if body is None else {"content": json.dumps(body), "headers": {"Content-Type": "application/json"}}
        request = rest.HttpRequest(method, self._cloud.arm + path, params={"api-version": api, **query}, **said)
        return self._arm.send_request(request, _return_pipeline_response=True)

    def _page(self, path: str, url: str) -> dict[str, Any]:
        if not is_at(self._cloud.arm, url):  # a token goes with it
            raise MlshipError(f"Azure leads elsewhere for the rest of {path}", fix="try again", exit=Exit.UNREACHABLE)
        got = self._arm.send_request(need("azure.core.rest", "azure").HttpRequest("GET", url))
        if got.status_code >= 400:
            raise said_no(f"GET {path}", got)
        return body_of(got)

    def _waited(self, asked: str, first: Any) -> dict[str, Any]:
        """The end of what the call began. Raises MlshipError (exit 10) when it does not come."""
        polling = need("azure.mgmt.core.polling.arm_polling", "azure").ARMPolling(POLL_S)
        poller = need("azure.core.polling", "azure").LROPoller(
            self._arm, first, lambda got: body_of(got.http_response), polling
        )
        poller.wait(OPERATION_S)
        if not poller.done():
            what = f"{asked} is not done after {OPERATION_S / 60:.0f} min"
            raise MlshipError(what, fix="Azure goes on with it; run the same command again later", exit=Exit.TIMED_OUT)
        return poller.result() or {}

    @property
    def _arm(self) -> Any:
        if "arm" not in self._made:
            policies = need("azure.mgmt.core.policies", "azure")
            login = policies.ARMChallengeAuthenticationPolicy(self._credential, self._cloud.scope)
            self._made["arm"] = self._client([login])
        return self._made["arm"]

    @property
    def _plain(self) -> Any:
        if "plain" not in self._made:
            self._made["plain"] = self._client([])
        return self._made["plain"]

    def _client(self, more: list[Any]) -> Any:
        """Without the policy that registers providers on its own: preflight says what is to be registered."""
        core = need("azure.core.pipeline.policies", "azure")
        policies = [
            core.RequestIdPolicy(),
            core.HeadersPolicy(),
            core.UserAgentPolicy("mlship"),
            core.ProxyPolicy(),
            core.RetryPolicy(retry_total=TRIES),
            *more,
        ]
        pipeline = need("azure.core", "azure").PipelineClient
        return pipeline(self._cloud.arm, policies=policies, transport=self._transport())

    @property
    def _credential(self) -> Any:
        if "credential" not in self._made:
            identity = need("azure.identity", "azure")
            logging.getLogger("azure.identity").setLevel(logging.ERROR)  # refusal.of_login says it, in one line
            self._made["credential"] = Tokens(identity.DefaultAzureCredential(authority=self._cloud.authority))
        return self._made["credential"]

    def _transport(self) -> Any:
        """Waits in its own way: between two tries, and between two looks at an operation."""
        transport = need("azure.core.pipeline.transport", "azure").RequestsTransport
        patient = type("Patient", (transport,), {"sleep": lambda _, seconds: self._pause(seconds)})
        return patient(connection_timeout=CONNECT_S, read_timeout=READ_S)


def is_at(arm: str, url: str) -> bool:
    """Some of its services write the port into links: `https://management.azure.com:443/...`."""
    asked, said = urlsplit(arm), urlsplit(url)
    return (said.scheme, said.netloc.removesuffix(":443")) == (asked.scheme, asked.netloc)


def _goes_on(response: Any) -> bool:
    """Whether the answer is the beginning of an operation."""
    if response.status_code == 202 or "Azure-AsyncOperation" in response.headers:
        return True
    state = str((body_of(response).get("properties") or {}).get("provisioningState") or "Succeeded")
    return response.status_code in (200, 201) and state not in ("Succeeded", "Failed", "Canceled")
