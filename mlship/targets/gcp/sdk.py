"""The only file that knows Google's clients: application default credentials, REST, the environment's proxies and certificates."""

from __future__ import annotations

import json
import random
import re
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mlship.errors import Exit, MlshipError, need
from mlship.targets.base import Answer
from mlship.targets.gcp.door import LOGIN, UNIDENTIFIED, Body, Kept, Refused, error_info, refusal, status_said
from mlship.units import Secret

# name -> module, class, host; `{region}` stands for the region. An empty host is the client's own.
CLIENTS = {
    "run services": ("google.cloud.run_v2", "ServicesClient", ""),
    "run revisions": ("google.cloud.run_v2", "RevisionsClient", ""),
    "artifactregistry": ("google.cloud.artifactregistry_v1", "ArtifactRegistryClient", ""),
    "aiplatform endpoints": ("google.cloud.aiplatform_v1", "EndpointServiceClient", "{region}-aiplatform.googleapis.com"),
    "aiplatform models": ("google.cloud.aiplatform_v1", "ModelServiceClient", "{region}-aiplatform.googleapis.com"),
    "aiplatform predictions": ("google.cloud.aiplatform_v1", "PredictionServiceClient", "{region}-aiplatform.googleapis.com"),
}
SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
READ_S, TRIES, FIRST_PAUSE_S, LONGEST_PAUSE_S = 60, 6, 1.0, 16.0
_READS = re.compile(r"get_|list_|test_|predict|raw_predict|check_")
PRECONDITION = 412
_TURNED_AWAY = ("UNAVAILABLE", "RESOURCE_EXHAUSTED")  # nothing was done: any call may be made again
# Whose tokens the library fetches itself: a key's, and a machine's of Google.
_IDENTIFIED = ("google.oauth2.service_account", "google.auth.compute_engine")
_TOKEN_S = 3000.0  # of the hour that it is good for
_IMPERSONATE = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{account}:generateIdToken"


class SdkDoor:
    """Implements door.Door. project, region: as mlship.yaml or a flag says them."""

    def __init__(self, project: str = "", region: str = "", *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._said_project, self._said_region = project, region
        self._sleep = sleep
        self._clients: dict[str, Any] = {}
        self._known: tuple[Any, str] | None = None
        self._tokens: dict[str, Any] = {}

    @property
    def project(self) -> str:
        found = self._said_project or self._default()[1]
        if not found:
            raise MlshipError(
                "no project of Google Cloud is said",
                fix="write targets.gcp.project, or set GOOGLE_CLOUD_PROJECT",
                code="no-project",
            )
        return found

    @property
    def region(self) -> str:
        if not self._said_region:
            raise MlshipError(
                "no region of Google Cloud is said", fix="write targets.gcp.region: europe-west1", code="no-region"
            )
        return self._said_region

    @property
    def identity(self) -> str:
        found = str(getattr(self._default()[0], "service_account_email", "") or "")
        return "" if found == "default" else found  # a machine's account, before it was asked

    # -- official clients ----------------------------------------------------------------------------------------------

    def call(self, client: str, method: str, request: Mapping[str, Any], /) -> Body:
        asked = f"{client} {method}"
        told: Body = self._told(asked, bool(_READS.match(method)), lambda: _plain(self._sent(client, method, request)))
        return told

    def all(self, client: str, method: str, request: Mapping[str, Any], /) -> list[Body]:
        asked = f"{client} {method}"
        found: list[Body] = self._told(asked, True, lambda: [_plain(one) for one in self._sent(client, method, request)])
        return found

    def operation(self, client: str, name: str, /) -> Body:
        def read() -> Any:
            return _plain(self._client(client).transport.operations_client.get_operation(name, retry=None, timeout=READ_S))

        found: Body = self._told(f"{client} get_operation", True, read)
        return found

    def _sent(self, client: str, method: str, request: Mapping[str, Any]) -> Any:
        opened = self._client(client)
        kind = getattr(need(CLIENTS[client][0], "gcp"), "".join(part.title() for part in method.split("_")) + "Request")
        return getattr(opened, method)(request=kind.from_json(json.dumps(request)), retry=None, timeout=READ_S)

    def _client(self, name: str) -> Any:
        if name not in self._clients:
            module, kind, host = CLIENTS[name]
            options = {"api_endpoint": host.format(region=self.region)} if host else None
            credentials = self._default()[0]
            self._clients[name] = getattr(need(module, "gcp"), kind)(
                credentials=credentials, transport="rest", client_options=options
            )
        return self._clients[name]

    # -- plain requests ------------------------------------------------------------------------------------------------

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
        def send() -> Any:
            got = self._session().request(method, url, json=body, params=query, timeout=READ_S)
            if got.status_code >= 400:
                raise _refusal_of(asked, got)
            return got.json() if got.content else {}

        asked = f"{method} {url.partition('://')[2].partition('?')[0]}"
        found: Body = self._told(asked, reads or method == "GET", send)
        return found

    def post(self, url: str, body: bytes, headers: Mapping[str, str], timeout_s: float, /) -> Answer:
        requests, auth = need("requests.exceptions", "gcp"), need("google.auth.exceptions", "gcp")
        try:
            got = self._session().post(url, data=body, headers=dict(headers), timeout=timeout_s)
        except requests.Timeout:
            return Answer(0, f"no answer within {timeout_s:g} s".encode())
        except (requests.RequestException, auth.GoogleAuthError) as error:
            return Answer(0, _line(error).lower().encode())
        return Answer(got.status_code, got.content, {name.lower(): value for name, value in got.headers.items()})

    def _session(self) -> Any:
        if "" not in self._clients:
            transport = need("google.auth.transport.requests", "gcp")
            self._clients[""] = transport.AuthorizedSession(self._default()[0])
        return self._clients[""]

    # -- objects ---------------------------------------------------------------------------------------------------------

    def find_bucket(self, name: str) -> bool:
        def read() -> bool:
            found = self._storage().list_buckets(prefix=name, project=self.project, retry=None, timeout=READ_S)
            return any(one.name == name for one in found)

        is_there: bool = self._told("storage list-buckets", True, read)
        return is_there

    def make_bucket(self, name: str, labels: Mapping[str, str]) -> None:
        def make() -> None:
            bucket = self._storage().bucket(name)
            bucket.labels = dict(labels)
            bucket.iam_configuration.uniform_bucket_level_access_enabled = True
            bucket.iam_configuration.public_access_prevention = "enforced"
            bucket.create(location=self.region, project=self.project, retry=None, timeout=READ_S)

        self._told("storage create-bucket", False, make)

    def read_object(self, bucket: str, name: str) -> Kept | None:
        def read() -> Kept:
            blob = self._storage().bucket(bucket).blob(name)
            raw = blob.download_as_bytes(raw_download=True, retry=None, timeout=READ_S)
            return Kept(raw, int(blob.generation))

        try:
            found: Kept = self._told("storage get-object", True, read)
        except Refused as no:
            if no.code == "missing":
                return None
            raise
        return found

    def write_object(self, bucket: str, name: str, raw: bytes, generation: int) -> None:
        def write() -> None:
            blob = self._storage().bucket(bucket).blob(name)
            blob.cache_control = "no-store"
            blob.upload_from_string(
                raw, content_type="application/json", if_generation_match=generation, retry=None, timeout=READ_S
            )

        self._told("storage put-object", False, write)

    def list_objects(self, bucket: str, prefix: str) -> list[str]:
        def read() -> list[str]:
            found = self._storage().list_blobs(bucket, prefix=prefix, fields="items(name),nextPageToken", retry=None)
            return [str(one.name) for one in found]

        names: list[str] = self._told("storage list-objects", True, read)
        return names

    def delete_object(self, bucket: str, name: str) -> None:
        self._told(
            "storage delete-object",
            True,
            lambda: self._storage().bucket(bucket).blob(name).delete(retry=None, timeout=READ_S),
        )

    def _storage(self) -> Any:
        if "storage" not in self._clients:
            storage = need("google.cloud.storage", "gcp")
            self._clients["storage"] = storage.Client(project=self.project, credentials=self._default()[0])
        return self._clients["storage"]

    # -- who we are ------------------------------------------------------------------------------------------------------

    def access_token(self) -> Secret:
        def fresh() -> str:
            credentials = self._default()[0]
            if not credentials.valid:
                credentials.refresh(_request())
            return str(credentials.token)

        return Secret(self._told("an access token", True, fresh))

    def identity_token(self, audience: str, service_account: str = "") -> Secret:
        known = self._tokens.get(audience)
        if known is None or not known.valid:
            known = self._tokens[audience] = self._told(
                "an identity token", True, lambda: self._identified(audience, service_account)
            )
        return Secret(str(known.token))

    def _identified(self, audience: str, service_account: str) -> Any:
        """Credentials whose token says who calls. A person's own, and those of another cloud, say it to Google's tools alone."""
        credentials = self._default()[0]
        kind = type(credentials).__module__
        if kind == "google.auth.impersonated_credentials":
            found = need(kind, "gcp").IDTokenCredentials(credentials, target_audience=audience, include_email=True)
        elif kind.startswith(_IDENTIFIED):
            found = need("google.oauth2.id_token", "gcp").fetch_id_token_credentials(audience, request=_request())
        else:
            account = service_account or str(getattr(credentials, "service_account_email", "") or "")
            return _Fetched(self._impersonated(audience, account), time.monotonic() + _TOKEN_S)
        found.refresh(_request())
        return found

    def _impersonated(self, audience: str, service_account: str) -> str:
        if not service_account:
            raise MlshipError(
                "these credentials are a person's, and give no token for the service's callers",
                fix="write targets.gcp.service_account, one that you may impersonate, or use a service account's credentials",
                exit=Exit.DENIED,
                code=UNIDENTIFIED,
            )
        asked = {"audience": audience, "includeEmail": True}
        return str(self.http("POST", _IMPERSONATE.format(account=service_account), asked, reads=True)["token"])

    def _default(self) -> tuple[Any, str]:
        """The standard chain's credentials, and the project that they say."""
        if self._known is None:
            auth, exceptions = need("google.auth", "gcp"), need("google.auth.exceptions", "gcp")
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter(
                        "ignore", UserWarning
                    )  # of a person's credentials: which project pays for what is asked
                    credentials, project = auth.default(scopes=SCOPES)
            except exceptions.DefaultCredentialsError as error:
                raise _unknown(error) from None
            self._known = credentials, str(project or "")
        return self._known

    # -- all -------------------------------------------------------------------------------------------------------------

    def _told(self, asked: str, is_read: bool, act: Callable[[], Any]) -> Any:
        """What was turned away is asked again, and a read that got no answer, too."""
        for left in reversed(range(TRIES)):
            try:
                return _translated(asked, act)
            except MlshipError as error:
                said = error.said if isinstance(error, Refused) else ""
                is_passing = said in _TURNED_AWAY or (is_read and error.exit is Exit.UNREACHABLE)
                if not left or not is_passing:
                    raise
            pause = min(FIRST_PAUSE_S * 2 ** (TRIES - 1 - left), LONGEST_PAUSE_S)
            self._sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311  # spreads retries, guards nothing
        raise AssertionError("the last try returns or raises")


@dataclass(frozen=True)
class _Fetched:
    """A token that is no credentials' own. until: as time.monotonic tells it."""

    token: str
    until: float

    @property
    def valid(self) -> bool:
        return time.monotonic() < self.until


def _translated(asked: str, act: Callable[[], Any]) -> Any:
    api, auth = need("google.api_core.exceptions", "gcp"), need("google.auth.exceptions", "gcp")
    requests = need("requests.exceptions", "gcp")
    try:
        return act()
    except api.GoogleAPICallError as error:
        raise _refusal_of(asked, error.response, error) from None
    except auth.TransportError as error:
        raise _unreachable(asked, error) from None
    except auth.GoogleAuthError as error:
        raise _unknown(error) from None
    except (api.RetryError, requests.RequestException, ConnectionError, TimeoutError) as error:
        raise _unreachable(asked, error) from None


def _refusal_of(asked: str, got: Any, error: Any = None) -> Refused:
    """From the answer itself: the clients keep neither its status nor all of its details."""
    try:
        told = got.json()["error"]
        message, said, info = str(told["message"]), str(told.get("status") or ""), error_info(told.get("details") or ())
        reason = info.get("reason") or next((one.get("reason") for one in told.get("errors") or ()), "")
    except (AttributeError, ValueError, KeyError, TypeError):
        message, said, info, reason = str(getattr(error, "message", "") or getattr(got, "text", "")), "", {}, ""
    status = int(getattr(got, "status_code", 0) or getattr(error, "code", 0) or 0)
    said = said if said and status != PRECONDITION else status_said(status)
    return refusal(asked, said, message, str(reason or ""), info.get("metadata"))


def _unreachable(asked: str, error: Exception) -> MlshipError:
    what = f"Google Cloud does not answer to {asked}: {_line(error)}"
    return MlshipError(what, fix="look at the network and try again", exit=Exit.UNREACHABLE, code="unreachable")


def _unknown(error: Exception) -> MlshipError:
    return MlshipError(f"Google Cloud cannot be asked: {_line(error)}", fix=LOGIN, exit=Exit.DENIED, code="no-credentials")


def _plain(message: Any) -> Body:
    """As its JSON says it."""
    formats = need("google.protobuf.json_format", "gcp")
    if message is None:
        return {}
    if hasattr(message, "operation"):  # what is still under way
        message = message.operation
    pure = type(message).pb(message) if hasattr(type(message), "pb") else message
    told: Body = formats.MessageToDict(pure)
    return told


def _request() -> Any:
    return need("google.auth.transport.requests", "gcp").Request()


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
