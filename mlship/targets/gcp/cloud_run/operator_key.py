"""The key with which mlship asks a server that judges its callers: made here once, kept in Secret Manager, read only to ask."""

from __future__ import annotations

import base64
import binascii
import secrets
from dataclasses import dataclass

from mlship.errors import Exit, MlshipError
from mlship.masks import learn
from mlship.targets.base import Deployment
from mlship.targets.gcp.cloud_run.bodies import OPERATOR_VERSION, operator_secret
from mlship.targets.gcp.door import CONFLICT, MISSING, Body, Door, Refused
from mlship.targets.gcp.given import given
from mlship.targets.gcp.preflight import default_account
from mlship.targets.gcp.scope import Scope

HOST = "https://secretmanager.googleapis.com/v1"
READER = "roles/secretmanager.secretAccessor"


@dataclass(frozen=True)
class OperatorKey:
    """Of one project in one environment."""

    door: Door
    scope: Scope

    def converge(self, deployment: Deployment) -> None:
        """The secret is there with its one version, and whoever runs the release may read it."""
        found = self._found()
        if found is None:
            wanted = {"replication": {"automatic": {}}, "labels": self.scope.labels("secret", deployment.labels)}
            try:
                self.door.http("POST", f"{HOST}/{self._parent}/secrets", wanted, {"secretId": operator_secret(self.scope)})
            except Refused as no:
                if no.code != CONFLICT:  # another command made it meanwhile
                    raise
        elif not self.scope.is_ours(found.get("labels") or {}):
            raise MlshipError(
                f"the secret {self._name} is not mlship's",
                fix="delete it, or choose another name for the project",
                exit=Exit.USAGE,
                code="foreign-secret",
            )
        if not self._has_version():
            value = base64.b64encode(secrets.token_urlsafe(32).encode()).decode()
            self.door.http("POST", f"{HOST}/{self._name}:addVersion", {"payload": {"data": value}})
        self._let_read(self._runner(deployment))

    def value(self) -> str:
        """Empty where there is none."""
        try:
            told = self.door.http("GET", f"{HOST}/{self._name}/versions/{OPERATOR_VERSION}:access")
            value = base64.b64decode(told["payload"]["data"]).decode()
        except Refused as no:
            if no.code == MISSING:
                return ""
            raise
        except (KeyError, binascii.Error, UnicodeDecodeError):
            return ""
        learn(value)
        return value

    def destroy(self) -> None:
        found = self._found()
        if found is not None and self.scope.is_ours(found.get("labels") or {}):
            self.door.http("DELETE", f"{HOST}/{self._name}")

    @property
    def _parent(self) -> str:
        return f"projects/{self.door.project}"

    @property
    def _name(self) -> str:
        return f"{self._parent}/secrets/{operator_secret(self.scope)}"

    def _found(self) -> Body | None:
        try:
            return self.door.http("GET", f"{HOST}/{self._name}")
        except Refused as no:
            if no.code in (MISSING, "api-disabled"):
                return None
            raise

    def _has_version(self) -> bool:
        try:
            self.door.http("GET", f"{HOST}/{self._name}/versions/{OPERATOR_VERSION}")
        except Refused as no:
            if no.code == MISSING:
                return False
            raise
        return True

    def _let_read(self, account: str) -> None:
        policy = self.door.http("GET", f"{HOST}/{self._name}:getIamPolicy")
        member = f"serviceAccount:{account}"
        bindings = list(policy.get("bindings") or ())
        if any(one["role"] == READER and member in one["members"] for one in bindings):
            return
        wanted = {**policy, "bindings": [*bindings, {"role": READER, "members": [member]}]}
        self.door.http("POST", f"{HOST}/{self._name}:setIamPolicy", {"policy": wanted})

    def _runner(self, deployment: Deployment) -> str:
        """Whom a revision runs as."""
        return given(deployment).service_account or default_account(self.door)
