"""The foundation of a project, made where it is not, and what of it the documents of a release name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mlship.errors import MlshipError
from mlship.progress import Progress
from mlship.targets.azure import vault
from mlship.targets.azure.container_apps.foundation import (
    APIS,
    ENVIRONMENT,
    IDENTITY,
    REGISTRY,
    ROLE_VARIABLES,
    ROLES,
    WORKSPACE,
    Part,
    parts,
    role_definition,
)
from mlship.targets.azure.container_apps.given import Given
from mlship.targets.azure.container_apps.seen import seconds
from mlship.targets.azure.door import Door
from mlship.targets.azure.filling import covers, filled
from mlship.targets.azure.keeping import make_group
from mlship.targets.azure.preflight import readable
from mlship.targets.azure.refusal import Refused
from mlship.targets.azure.roles import ASSIGNMENT, roles_on
from mlship.targets.azure.scope import Place, Scope, assignment, name_of
from mlship.targets.base import Deployment

_EXISTS = "RoleAssignmentExists"


@dataclass
class Standing:
    """known: what variables of the documents stand for, as far as it was found or made. confirm: as of App."""

    door: Door
    place: Place
    scope: Scope
    progress: Progress
    confirm: Callable[[], None]
    known: dict[str, Any] = field(default_factory=dict)
    newest_role: float = 0.0
    """When the last of the roles was given, in seconds since the epoch; 0 where nobody tells."""

    def made(self, deployment: Deployment, has: Given) -> Mapping[str, Any]:
        """All of it is there, and known. Raises MlshipError for what cannot be made, with what can be given instead."""
        if has.region:
            make_group(self.door, self.place, has.region)
        self._begin(deployment, has)
        self._given(has)
        for part in parts(deployment, has):
            self._made(part, has)
        return self.known

    def found(self, deployment: Deployment, has: Given) -> Mapping[str, Any]:
        """The same, of what is there already. Raises MlshipError for what is missing."""
        self._begin(deployment, has)
        for part in parts(deployment, has):
            if part.kind in (REGISTRY, IDENTITY, ENVIRONMENT):
                path = self._path(part)
                self._learn(part.kind, path, self._there(path, part.api))
        self._given(has)
        return self.known

    def remove(self, kind: str, path: str) -> None:
        """Only what carries the project's tags. An assignment of its own role goes with an identity."""
        present = self.door.find(path, APIS[kind])
        if present is None or not self.scope.owns(present.get("tags")):
            return
        self.progress.step("remove", f"{kind.partition('/')[2]} {name_of(path)}")
        if kind == IDENTITY:
            self._unassigned(str((present.get("properties") or {}).get("principalId") or ""))
        self.confirm()
        self.door.arm("DELETE", path, APIS[kind])

    def _unassigned(self, principal: str) -> None:
        """Assignments outlive the identity that they are of. Where they may not be seen or removed they stay, which opens nothing."""
        if not principal:
            return
        path = f"/subscriptions/{self.place.subscription}/providers/{ASSIGNMENT}"
        asked = {"$filter": f"principalId eq '{principal}'"}
        for one in readable(lambda: self.door.all(path, APIS[ASSIGNMENT], **asked)):
            try:
                self.door.arm("DELETE", str(one["id"]), APIS[ASSIGNMENT])
            except Refused as no:
                if no.code != "denied":
                    raise
                self.progress.step("stays", f"role assignment {one['id']}")

    def _begin(self, deployment: Deployment, has: Given) -> None:
        self.known |= {
            "Region": has.region,
            "RegistryName": self.place.registry,
            "Issuer": f"https://{self.door.cloud.authority}/{has.tenant}/v2.0",
            **{name: role_definition(self.place.subscription, role) for role, name in ROLE_VARIABLES.items()},
            **{f"Vault_{name}": self._vault(name) for name in ([] if has.identity else vault.vaults(deployment.references))},
            **{
                f"Secret_{variable}": vault.address(self.door.cloud.vault, reference, version)
                for variable, version in deployment.release.served.secrets.items()
                if (reference := deployment.references.get(variable, ""))
            },
        }

    def _vault(self, name: str) -> str:
        """Its path."""
        found = vault.find(self.door, name)
        if not found:
            raise MlshipError(
                f"the subscription {self.door.subscription} has no Key Vault {name}, and the new identity needs a role on it",
                fix="name an identity that may read its secrets: targets.azure.identity",
                code="no-such-part",
            )
        return found

    def _made(self, part: Part, has: Given) -> None:
        if part.kind == ASSIGNMENT:
            self._assigned(part)
            return
        path = self._path(part)
        present: Mapping[str, Any] | None = self.door.find(path, part.api)
        if present is not None and part.kind != REGISTRY and not self.scope.owns(present.get("tags")):
            raise MlshipError(
                f"{part.kind} {name_of(path)} is there, and it is none of this project's",
                fix="name another one in targets.azure, or give the project another name",
                code="not-ours",
            )
        is_so = present is not None and _is_made(present) and (part.kind == REGISTRY or covers(present, part.body))
        if present is None or not is_so:  # the registry is everybody's in the group, who may have made it larger
            self.progress.step("make", f"{part.kind.partition('/')[2]} {name_of(path)}")
            self._keys(part, has)
            self.confirm()
            present = self.door.arm("PUT", path, part.api, filled(part.body, self.known)) or self._there(path, part.api)
        self._learn(part.kind, path, present)

    def _assigned(self, part: Part) -> None:
        """Made once: an assignment that is there already is told under whatever name."""
        on, role = filled(part.scope, self.known), filled(part.body["properties"]["roleDefinitionId"], self.known)
        name = assignment(on, role, self.known["Principal"])
        path = f"{on}/providers/{ASSIGNMENT}/{name}"
        present = self.door.find(path, part.api)
        if present is None:
            self.confirm()
        try:
            told = present or self.door.arm("PUT", path, part.api, filled(part.body, self.known))
            given = seconds(str((told.get("properties") or {}).get("createdOn") or ""))
            self.newest_role = max(self.newest_role, given)
        except Refused as no:
            if no.said == _EXISTS:
                return
            if no.code == "denied":
                if name_of(role) in (roles_on(self.door, on, self.known["Principal"]) or ()):
                    return  # an administrator gave it, under a name of their own
                words = ROLES[name_of(role)]
                raise MlshipError(
                    f"these credentials may not give the new identity the role {words} on {name_of(on)}",
                    fix=f"name an identity that has it: targets.azure.identity; or ask for the right to assign {words}",
                    exit=no.exit,
                    code="denied",
                ) from None
            raise

    def _keys(self, part: Part, has: Given) -> None:
        """The environment writes logs with the workspace's key, which only whoever makes it needs."""
        if part.kind != ENVIRONMENT:
            return
        path = self.place.resource(WORKSPACE, has.logs or self.scope.stem)
        there = self._there(path, APIS[WORKSPACE])
        self.known["WorkspaceId"] = (there.get("properties") or {}).get("customerId", "")
        keys = self.door.arm("POST", f"{path}/sharedKeys", APIS[WORKSPACE])
        self.known["WorkspaceKey"] = keys.get("primarySharedKey", "")

    def _given(self, has: Given) -> None:
        for kind, said in ((REGISTRY, has.registry), (IDENTITY, has.identity), (ENVIRONMENT, has.environment)):
            if said and kind == REGISTRY and has.registry_server:
                path = self.place.resource(REGISTRY, has.registry_name)
                self.known |= {"RegistryServer": has.registry_server, "Registry": path}
            elif said:
                path = self.place.resource(kind, said)
                self._learn(kind, path, self._there(path, APIS[kind]))

    def _learn(self, kind: str, path: str, told: Mapping[str, Any]) -> None:
        said: Mapping[str, Any] = told.get("properties") or {}
        if kind == REGISTRY:
            self.known |= {"Registry": path, "RegistryServer": str(said.get("loginServer") or "")}
        elif kind == IDENTITY:
            self.known |= {"Identity": path, "Principal": str(said.get("principalId") or "")}
        elif kind == ENVIRONMENT:
            self.known |= {"Environment": path, "Region": self.known.get("Region") or str(told.get("location") or "")}

    def _path(self, part: Part) -> str:
        return self.place.resource(part.kind, filled(part.name, self.known))

    def _there(self, path: str, api: str) -> Mapping[str, Any]:
        found = self.door.find(path, api)
        if found is None:
            raise MlshipError(f"{path} is not there", fix="run mlship deploy, which makes it", code="no-such-part")
        return found


def _is_made(present: Mapping[str, Any]) -> bool:
    """A command that was killed, or a bad day of Azure's, leaves what has to be asked for again."""
    return str((present.get("properties") or {}).get("provisioningState") or "Succeeded") == "Succeeded"
