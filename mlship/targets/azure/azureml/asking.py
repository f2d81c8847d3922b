"""Requests to the scoring route, the only one of an endpoint that callers reach, with its key or token.

What else a server is asked has its answer by way of that route, or of the resource manager: the release by the body
`{"mlship": "release"}`, readiness by any answer at all.
"""

from __future__ import annotations

from collections.abc import Mapping

from mlship.errors import Exit, MlshipError
from mlship.targets.azure.azureml.seen import Seen
from mlship.targets.azure.azureml.site import ML_API, Site
from mlship.targets.azure.door import Door
from mlship.targets.base import Answer, Request

DEPLOYMENT_HEADER = "azureml-model-deployment"
# Of Entra's tokens what endpoints take ("Authenticate clients for online endpoints", learn.microsoft.com, read 2026-11); those of the
# national clouds are the addresses of their studios, from memory, not looked up.
AUDIENCES: Mapping[str, str] = {
    "public": "https://ml.azure.com",
    "china": "https://ml.azure.cn",
    "usgov": "https://ml.azure.us",
}
_RELEASE = b'{"mlship": "release"}'
_BY_RELEASE = ("/mlship/release", "/readyz", "/livez")
_PREDICT = ("/predict", "/score")


class Caller:
    """Keeps the key or token of one endpoint for the length of a command."""

    def __init__(self, door: Door, site: Site) -> None:
        self._door = door
        self._site = site
        self._secrets: dict[str, str] = {}

    def ask(self, seen: Seen, request: Request, release: str = "") -> Answer:
        """release: whose deployment is asked, whatever its share; empty goes the way of callers. Status 0 says why in words."""
        path = request.path.partition("?")[0]
        if path not in (*_BY_RELEASE, *_PREDICT):
            return Answer(404, f"an endpoint of Azure ML lets nobody through to {path}".encode())
        body = _RELEASE if path in _BY_RELEASE else request.body
        kind = "application/json" if path in _BY_RELEASE else request.content_type
        try:
            return self._sent(seen, request, body, kind, release)
        except MlshipError as error:
            return Answer(0, error.what.encode(), is_unreached=error.exit is Exit.UNREACHABLE)

    def _sent(self, seen: Seen, request: Request, body: bytes, kind: str, release: str) -> Answer:
        headers = {
            "Accept": request.accept,
            "Content-Type": kind,
            "Authorization": f"Bearer {self._secret(seen)}",
            **({DEPLOYMENT_HEADER: release} if release else {}),
        }
        told = self._door.send("POST", seen.address, headers=headers, body=body, timeout_s=request.timeout_s)
        if told.status == 401:  # a key that was made anew, a token that is over
            self._secrets.clear()
        return Answer(told.status, told.body, told.headers)

    def _secret(self, seen: Seen) -> str:
        if seen.auth not in self._secrets:
            self._secrets[seen.auth] = self._read(seen.auth)
        return self._secrets[seen.auth]

    def _read(self, auth: str) -> str:
        path = self._site.endpoint_path
        if auth == "AADToken":
            return self._door.token(f"{AUDIENCES[self._door.cloud.name]}/.default")
        if auth == "AMLToken":
            return str(self._door.arm("POST", f"{path}/token", ML_API).get("accessToken") or "")
        return str(self._door.arm("POST", f"{path}/listKeys", ML_API).get("primaryKey") or "")
