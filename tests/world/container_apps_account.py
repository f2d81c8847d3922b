"""A subscription of Azure behind the inspecting proxy: what Container Apps, ACR, storage accounts, Key Vault and Entra answer.

It is small, and plays the states that matter: operations that take several looks, revisions that become ready after a while, copies that
end at their start, defaults that are left out when a thing is read. Requests and answers are judged by Microsoft's resource types
where those know them. ACR's bytes are a real docker-registry's, behind ACR's exchange of tokens.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import itertools
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from azure_contract import check_answer, check_request, is_published
from azure_operations import ARM, SUBSCRIPTION, TENANT, Operations, refused
from container_apps_stores import BLOBS, REGISTRY, VAULT, Stores
from inspecting_proxy import Asked, Told, inspecting_proxy, told
from registry_images import image_of
from registry_parts import real_registry

from mlship.home import Home
from mlship.oci.layout import Layout
from mlship.releases.release import Proof, Release, Served, ServedModel
from mlship.runner import LocalRunner
from mlship.targets.azure.container_apps.target import ContainerAppsTarget
from mlship.targets.azure.door import AzureDoor, Door
from mlship.targets.base import Deployment, Opening

REGION, DOMAIN = "westeurope", "happyhill-70162bb9.westeurope.azurecontainerapps.io"
ADDRESS = "10.0.3.7"
SUBNET = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/net/providers/Microsoft.Network/virtualNetworks/v/subnets/apps"
LOGS = f"logs.{REGION}.azurecontainerapps.dev"
APP, ENVIRONMENT = "Microsoft.App/containerApps", "Microsoft.App/managedEnvironments"
ASSIGNMENT = "Microsoft.Authorization/roleAssignments"
PROVIDERS = ("Microsoft.App", "Microsoft.ContainerRegistry", "Microsoft.OperationalInsights", "Microsoft.ManagedIdentity")
_ITEM = re.compile(r"(?P<parent>.*/providers/(?P<kind>[^/]+/[^/]+))/(?P<name>[^/]+)(?P<below>/.*)?", re.IGNORECASE)


@dataclass
class Revision:
    """One of an app. looks: how often it was read since it was made or activated."""

    name: str
    template: dict[str, Any]
    number: int
    active: bool = True
    looks: int = 0
    restarts: int = 0
    asleep: bool = False

    @property
    def image(self) -> str:
        return str(self.template["containers"][0]["image"])

    @property
    def release(self) -> str:
        return str(next(one["value"] for one in self.template["containers"][0]["env"] if one["name"] == "MLSHIP_RELEASE"))


@dataclass
class Account(Stores):
    """versions: content -> number; broken: content -> how.

    hook: hears of each request first, and may answer it.
    """

    versions: dict[str, int] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    revisions: dict[str, dict[str, Revision]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    metrics: dict[str, tuple[float, float]] = field(default_factory=dict)
    usages: list[dict[str, Any]] = field(default_factory=list)
    unregistered: set[str] = field(default_factory=set)
    delegations: list[dict[str, Any]] = field(default_factory=list)  # of the subnet
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    operations: Operations = field(default_factory=lambda: Operations(looks=1))
    hook: Callable[[Asked], Told | None] = lambda asked: None
    starts_after: int = 2  # looks at a revision before its copies are ready

    def reset(self) -> None:
        """A new subscription; what the registry holds stays."""
        for part in (self.versions, self.broken, self.resources, self.revisions, self.blobs, self.secrets, self.metrics):
            part.clear()
        self.requests.clear()
        self.disabled.clear()
        self.usages.clear()
        self.unregistered.clear()
        self.delegations = [{"name": "apps", "properties": {"serviceName": "Microsoft.App/environments"}}]
        self.hook = lambda asked: None
        self.starts_after, self.operations.looks, self.operations.fails = 2, 1, None

    def answer(self, asked: Asked) -> Told:
        said = self.hook(asked) or self.login.answer(asked)
        if said is not None:
            return said
        self.requests.append(f"{asked.method} {asked.host}{asked.path}")
        if asked.host == ARM:
            return self.login.refusal(asked) or self.operations.answer(asked) or self._arm(asked)
        if asked.host.endswith(BLOBS):
            return self._blob(asked)
        if asked.host.endswith(REGISTRY):
            return self._registry(asked)
        if asked.host.endswith(VAULT):
            return self._vault(asked)
        if asked.host.endswith(DOMAIN):
            return self._called(asked)
        if asked.host == "api.loganalytics.io":
            return self._workspace(asked)
        if asked.host == LOGS:
            return self._log(asked)
        raise AssertionError(f"nobody is at {asked.host}")

    # -- the resource manager ------------------------------------------------------------------------------------------------

    def _arm(self, asked: Asked) -> Told:
        path = asked.path.rstrip("/")
        body = asked.json
        version = asked.query["api-version"]
        published = "/providers/" in path and is_published(asked.method, path)
        if published:
            check_request(asked.method, path, version, body)
        answer = self._told(asked, path, body)
        if published:
            check_answer(asked.method, path, version, answer.status, json.loads(answer.body) if answer.body else None)
        return answer

    def _told(self, asked: Asked, path: str, body: Any) -> Told:
        root = f"/subscriptions/{SUBSCRIPTION}"
        if path == "/subscriptions":
            return told({"value": [{"subscriptionId": SUBSCRIPTION, "displayName": "ml", "state": "Enabled"}]})
        if path == root:
            return told({"id": root, "subscriptionId": SUBSCRIPTION, "state": "Enabled", "tenantId": TENANT})
        if not path.startswith(root):
            return refused(404, "SubscriptionNotFound", f"The subscription {path.split('/')[2]!r} could not be found.")
        if path == SUBNET:
            return told({"id": SUBNET, "properties": {"delegations": self.delegations}})
        if path == f"{root}/resources":
            return told({"value": [self._shown(one) for one in self._tagged(asked.query.get("$filter", ""))]})
        if path == f"{root}/providers":
            states = [(name, "NotRegistered" if name in self.unregistered else "Registered") for name in PROVIDERS]
            return told({"value": [{"namespace": name, "registrationState": state} for name, state in states]})
        if path.lower().endswith("/microsoft.authorization/permissions"):
            return told({"value": [{"actions": ["*"], "notActions": [], "dataActions": [], "notDataActions": []}]})
        if path.lower().endswith("/usages"):
            return told({"value": self.usages})
        if path.endswith("/providers/Microsoft.Insights/metrics"):
            return self._metrics()
        if path.endswith("/providers/Microsoft.Authorization/roleAssignments"):
            on, principal = path.rpartition("/providers/")[0].lower(), asked.query["$filter"].split("'")[1]
            roles = [one for key, one in self.resources.items() if one["type"] == ASSIGNMENT and key.startswith(f"{on}/")]
            return told({"value": [one for one in roles if one["properties"]["principalId"] == principal]})
        if path == f"{root}/providers/{APP}":
            apps = [one for one in self.resources.values() if one["type"] == APP]
            return told({"value": [self._shown(one) for one in apps]})
        parts = path.split("/")
        if len(parts) == 5:
            return self._group(asked, path, body)
        found = _ITEM.fullmatch(path)
        assert found, path
        if found["kind"].lower() == APP.lower() and found["below"] and not found["below"].startswith("/providers/"):
            return self._of_app(asked, path.removesuffix(found["below"]), found["below"], body)
        if asked.method == "POST":
            return self._action(path)
        return self._resource(asked, path, body)

    def _group(self, asked: Asked, path: str, body: Any) -> Told:
        if asked.method == "PUT":
            self.resources[path.lower()] = {**body, "id": path, "name": path.rpartition("/")[2], "type": "group"}
            return told(self.resources[path.lower()], 201)
        found = self.resources.get(path.lower())
        return told(found) if found else refused(404, "ResourceGroupNotFound", "Resource group could not be found.")

    def _tagged(self, asked: str) -> list[dict[str, Any]]:
        if vault := re.fullmatch(r"resourceType eq 'Microsoft.KeyVault/vaults' and name eq '([^']+)'", asked):
            path = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/secrets/providers/Microsoft.KeyVault/vaults/{vault[1]}"
            return [{"id": path, "type": "Microsoft.KeyVault/vaults"}] if any(vault[1] in url for url in self.secrets) else []
        if kind := re.fullmatch(r"resourceType eq '([^']+)'", asked):
            return [one for one in self.resources.values() if one["type"].lower() == kind[1].lower()]
        found = re.fullmatch(r"tagName eq '([^']+)' and tagValue eq '([^']+)'", asked)
        assert found, asked
        return [one for one in self.resources.values() if (one.get("tags") or {}).get(found[1]) == found[2]]

    def _resource(self, asked: Asked, path: str, body: Any) -> Told:
        key, present = path.lower(), self.resources.get(path.lower())
        if asked.method == "GET":
            return told(self._shown(present)) if present else _missing(path)
        if asked.method == "DELETE":
            if present is None:
                return Told(204)
            if present["type"] == APP:
                present["properties"]["provisioningState"] = "Deleting"

            def gone() -> None:
                self.resources.pop(key, None)
                self.revisions.pop(key, None)

            return self.operations.accepted(asked, None, gone, form="both")
        kind, name = "/".join(path.rpartition("/providers/")[2].split("/")[:2]), path.rpartition("/")[2]
        if asked.method == "PATCH":
            if present is None:
                return _missing(path)
            wanted = _merged(present, body)
        else:
            wanted = {**copy.deepcopy(body), "id": path, "name": name, "type": kind}
        if kind == APP and (wrong := self._wrong(key, wanted)):
            return wrong
        made = self._made(path, kind, wanted)
        self.resources[key] = made
        if kind == APP:
            self._revised(key, made, asked.method)
            made["properties"]["provisioningState"] = "InProgress"
            if asked.method == "PATCH":
                return self.operations.accepted(asked, None, lambda: self._succeeded(made), form="Location")
            return self.operations.accepted(asked, self._shown(made), lambda: self._succeeded(made))
        slow = kind in (ENVIRONMENT, "Microsoft.ContainerRegistry/registries", "Microsoft.Storage/storageAccounts")
        if slow and asked.method == "PUT":
            made["properties"]["provisioningState"] = (
                "Creating" if kind == "Microsoft.ContainerRegistry/registries" else "Waiting"
            )
            if kind == "Microsoft.Storage/storageAccounts":
                return self.operations.accepted(asked, None, lambda: self._succeeded(made), form="Location", status=202)
            return self.operations.accepted(asked, self._shown(made), lambda: self._succeeded(made))
        return told(self._shown(made), 201)

    def _succeeded(self, made: dict[str, Any]) -> dict[str, Any]:
        made["properties"]["provisioningState"] = "Succeeded"
        return self._shown(made)

    def _made(self, path: str, kind: str, wanted: dict[str, Any]) -> dict[str, Any]:
        """With what Azure fills in."""
        said = wanted.setdefault("properties", {})
        if kind == "Microsoft.ManagedIdentity/userAssignedIdentities":
            said |= {"principalId": _guid(path), "clientId": _guid(path + "c"), "tenantId": TENANT}
        if kind == "Microsoft.ContainerRegistry/registries":
            said["loginServer"] = f"{wanted['name']}{REGISTRY}"
        if kind == ASSIGNMENT:
            said["createdOn"] = datetime.now(UTC).isoformat()
        if kind == "Microsoft.OperationalInsights/workspaces":
            said["customerId"] = _guid(path)
        if kind == ENVIRONMENT:
            said |= {"defaultDomain": DOMAIN, "staticIp": ADDRESS}
        if kind == APP:
            ingress = said["configuration"]["ingress"]
            inside = "" if ingress["external"] else ".internal"
            ingress["fqdn"] = f"{wanted['name']}{inside}.{DOMAIN}"
        return wanted

    def _shown(self, made: dict[str, Any]) -> dict[str, Any]:
        """As it is read: no values of secrets, and what is nothing is left out."""
        shown = copy.deepcopy(made)
        said = shown.get("properties") or {}
        if shown.get("type") == APP:
            configuration = said["configuration"]
            configuration["secrets"] = [
                {key: one[key] for key in one if key != "value"} for one in configuration.get("secrets", [])
            ]
            ingress = configuration["ingress"]
            ingress["traffic"] = [{key: one[key] for key in one if one[key] != 0} for one in ingress["traffic"]]
            del ingress["allowInsecure"]
        if shown.get("type") == ENVIRONMENT:
            said["appLogsConfiguration"]["logAnalyticsConfiguration"].pop("sharedKey", None)
        return shown

    def _action(self, path: str) -> Told:
        if path.endswith("/sharedKeys"):
            return told({"primarySharedKey": "cHJpbWFyeQ==", "secondarySharedKey": "c2Vjb25kYXJ5"})
        if path.endswith("/listKeys"):
            return told({"keys": [{"keyName": "key1", "value": base64.b64encode(b"key of the account").decode()}]})
        raise AssertionError(path)

    # -- apps and their revisions --------------------------------------------------------------------------------------------

    def _wrong(self, key: str, wanted: Mapping[str, Any]) -> Told | None:
        """What Container Apps refuses."""
        said = wanted["properties"]
        ingress, template = said["configuration"]["ingress"], said["template"]
        known = self.revisions.get(key, {})
        fresh = f"{wanted['name']}--{template['revisionSuffix']}"
        if sum(one.get("weight", 0) for one in ingress["traffic"]) != 100:
            return refused(400, "ContainerAppInvalidTrafficWeight", "The sum of traffic weights must be 100.")
        labels = [one["label"] for one in ingress["traffic"] if one.get("label")]
        if len(labels) != len(set(labels)):
            return refused(400, "ContainerAppDuplicateLabel", "A label can be on one revision only.")
        for one in ingress["traffic"]:
            found = known.get(one["revisionName"])
            if one["revisionName"] != fresh and (found is None or not found.active):
                return refused(400, "RevisionNotFound", f"Revision {one['revisionName']} is not active.")
        if fresh in known and known[fresh].template != template:
            return refused(
                400, "ContainerAppRevisionSuffixInUse", f"Revision with suffix {template['revisionSuffix']} already exists."
            )
        if str(said["environmentId"]).lower() not in self.resources:
            return refused(400, "ManagedEnvironmentNotFound", "The environment does not exist.")
        names = {one["name"] for one in said["configuration"].get("secrets", [])}
        missing = {one["secretRef"] for one in template["containers"][0]["env"] if "secretRef" in one} - names
        if missing:
            return refused(400, "ContainerAppSecretRefNotFound", f"SecretRef {sorted(missing)} is not found.")
        for one in said["configuration"].get("secrets", []):
            url = str(one.get("keyVaultUrl", ""))
            if url and (url in self.disabled or url.rpartition("/")[2] not in self.secrets.get(url.rpartition("/")[0], ())):
                return refused(400, "ContainerAppSecretKeyVaultUrlInvalid", f"Unable to get {url} using the identity.")
            if not url and not one.get("value"):
                return refused(400, "ContainerAppSecretInvalid", f"Secret {one['name']} has no value.")
        return None

    def _revised(self, key: str, made: Mapping[str, Any], method: str) -> None:
        template = made["properties"]["template"]
        name = f"{made['name']}--{template['revisionSuffix']}"
        known = self.revisions.setdefault(key, {})
        if name not in known:
            known[name] = Revision(name, copy.deepcopy(template), next(self.numbers))
        made["properties"]["latestRevisionName"] = max(known.values(), key=lambda one: one.number).name

    def _of_app(self, asked: Asked, app: str, below: str, body: Any) -> Told:
        key = app.lower()
        if key not in self.resources:
            return _missing(app)
        known, parts = self.revisions[key], below.strip("/").split("/")
        if parts[0] == "authConfigs" and asked.method != "PUT":
            found = self.resources.get(f"{key}{below.lower()}")
            if asked.method == "DELETE":
                self.resources.pop(f"{key}{below.lower()}", None)
            return told(found) if found else refused(404, "AuthConfigNotFound", "There is no such authConfig.")
        if parts[0] == "authConfigs":
            self.resources[f"{key}{below.lower()}"] = {**body, "type": "auth", "id": app + below, "name": "current"}
            return told({**body, "id": app + below, "name": "current"})
        if parts[0] == "listSecrets":
            kept = self.resources[key]["properties"]["configuration"].get("secrets", [])
            return told({"value": [{name: one[name] for name in one if name in ("name", "value")} for one in kept]})
        if parts[0].lower() == "getauthtoken":
            return told({"location": REGION, "properties": {"token": "log-token", "expires": "2099-01-01T00:00:00Z"}})
        if parts == ["revisions"]:
            for one in known.values():
                one.looks += 1
            return told({"value": [self._revision(key, one) for one in known.values()]})
        revision = known[parts[1]]
        if parts[2] == "replicas":
            return told({"value": self._replicas(app, revision)})
        assert parts[2] in ("activate", "deactivate"), below
        if parts[2] == "activate" and not revision.active:
            revision.active, revision.looks, revision.restarts, revision.asleep = True, 0, 0, False
        if parts[2] == "deactivate":
            revision.active = False
        return Told(200)

    def _revision(self, key: str, one: Revision) -> dict[str, Any]:
        is_ready, crashed = one.looks > self.starts_after, self._broken(one) == "crash"
        made = f"2026-11-23T00:{one.number // 60 % 60:02d}:{one.number % 60:02d}+00:00"
        said = {
            "createdTime": made,
            "fqdn": f"{one.name}.{DOMAIN}",
            "template": one.template,
            "active": one.active,
            "provisioningState": "Provisioned" if is_ready and not crashed else "Provisioning",
            "healthState": "None"
            if not one.active
            else "Healthy"
            if is_ready and not crashed
            else "Unhealthy"
            if crashed
            else "None",
            "runningState": "Stopped" if not one.active else "Running" if is_ready and not crashed else "Processing",
        }
        return {"id": f"{key}/revisions/{one.name}", "name": one.name, "type": f"{APP}/revisions", "properties": said}

    def _replicas(self, app: str, one: Revision) -> list[dict[str, Any]]:
        """As many as are least wanted; one that is asked wakes up where none runs."""
        if not one.active or one.asleep:
            return []
        crashed = self._broken(one) == "crash" and one.looks > 1
        ready = one.looks > self.starts_after and not crashed
        container = {
            "name": "server",
            "ready": ready,
            "started": ready,
            "restartCount": one.restarts + crashed,
            "runningState": "Terminated" if crashed else "Running" if ready else "Waiting",
            "runningStateDetails": "Container terminated with exit code 1" if crashed else "",
            "logStreamEndpoint": f"https://{LOGS}{app}/revisions/{one.name}/logstream",
        }
        many = max(1, one.template["scale"]["minReplicas"])
        made = f"2026-11-23T01:00:{one.number % 60:02d}+00:00"
        return [
            {
                "id": f"{app}/revisions/{one.name}/replicas/{one.name}-{index}",
                "name": f"{one.name}-7d9f-{index}",
                "type": f"{APP}/revisions/replicas",
                "properties": {"createdTime": made, "runningState": container["runningState"], "containers": [container]},
            }
            for index in range(many)
        ]

    def _broken(self, one: Revision) -> str:
        return self.broken.get(self.contents.get(one.image.rpartition("@")[2], ""), "")

    def _metrics(self) -> Told:
        series = []
        for name, counts in self.metrics.items():
            for category, many in zip(("2xx", "5xx"), counts, strict=True):
                dimensions = {"revisionname": name, "statuscodecategory": category}
                values = [{"name": {"value": key, "localizedValue": key}, "value": text} for key, text in dimensions.items()]
                series.append({"metadatavalues": values, "data": [{"timeStamp": "2026-11-23T00:00:00Z", "total": many}]})
        return told({"cost": 0, "value": [{"name": {"value": "Requests"}, "unit": "Count", "timeseries": series}]})

    # -- what is called ------------------------------------------------------------------------------------------------------

    def _called(self, asked: Asked) -> Told:
        """A request of a caller, or of mlship: at the app's name, at a label's, at a revision's."""
        name = asked.host.partition(".")[0]
        app, _, label = name.partition("---")
        by_name = {one["name"]: key for key, one in self.resources.items() if one["type"] == APP}
        if app.partition("--")[0] not in by_name:
            return Told(404, {}, b"Error 404 - This Container App is stopped or does not exist.")
        key = by_name[app.partition("--")[0]]
        if (login := self.resources.get(f"{key}/authconfigs/current")) is not None:
            entra = login["properties"]["identityProviders"]["azureActiveDirectory"]
            wanted = entra["validation"]["allowedAudiences"]
            if self.login.refusal(asked, *wanted):
                return Told(401, {}, b"")
        known, traffic = self.revisions[key], self.resources[key]["properties"]["configuration"]["ingress"]["traffic"]
        if label:
            entry = next((one for one in traffic if one.get("label") == label), None)
            revision = known.get(entry["revisionName"]) if entry else None
        elif "--" in app:
            revision = known.get(app)
        else:
            point, revision = next(self.calls) * 37 % 100, None
            for one in traffic:
                if point < one.get("weight", 0):
                    revision = known[one["revisionName"]]
                    break
                point -= one.get("weight", 0)
        if revision is None or not revision.active:
            return Told(404, {}, b"Error 404 - This Container App is stopped or does not exist.")
        revision.asleep = False
        return self._served(asked, key, revision)

    def _served(self, asked: Asked, key: str, revision: Revision) -> Told:
        broken = self._broken(revision)
        if broken == "crash":
            return Told(503, {}, b"upstream connect error")
        version = self.versions[self.contents[revision.image.rpartition("@")[2]]]
        named = next((one for one in revision.template["containers"][0]["env"] if one["name"] == "MLSHIP_OPERATOR_KEY"), None)
        if named is not None:
            kept = {
                one["name"]: one["value"]
                for one in self.resources[key]["properties"]["configuration"]["secrets"]
                if "value" in one
            }
            if asked.headers.get("authorization") != f"Bearer {kept[named['secretRef']]}":
                return Told(401, {}, b"")
        if asked.path == "/mlship/release":
            return told({"release": "r0-000000" if broken == "lies" else revision.release})
        if asked.path.startswith("/predict"):
            return told({"predictions": [0 if broken == "answers" else version]})
        return told({"status": "ready"})

    def _log(self, asked: Asked) -> Told:
        assert asked.headers["authorization"] == "Bearer log-token"
        lines = [
            {"TimeStamp": f"2026-11-23T01:00:0{index}+00:00", "Log": text} for index, text in enumerate(("starting", "ready"))
        ]
        return Told(200, {}, "".join(json.dumps(line) + "\n" for line in lines).encode())

    def _workspace(self, asked: Asked) -> Told:
        """What copies printed before; nothing of it is known until the first of them did."""
        if self.login.refusal(asked, "https://api.loganalytics.io"):
            return Told(401)
        app = re.search(r"ContainerAppName_s == '([^']+)'", asked.json["query"])
        of = re.search(r"RevisionName_s startswith '([^']+)'", asked.json["query"])
        assert app
        names = [name for known in self.revisions.values() for name in known if name.startswith(of[1] if of else app[1])]
        columns = [
            {"name": name, "type": "string"} for name in ("TimeGenerated", "RevisionName_s", "ContainerGroupName_s", "Log_s")
        ]
        rows = [[f"2026-11-23T00:0{index}:00Z", name, f"{name}-7d9f-0", "went to sleep"] for index, name in enumerate(names)]
        return told({"tables": [{"name": "PrimaryResult", "columns": columns, "rows": rows[::-1]}]})


def _missing(path: str) -> Told:
    return refused(404, "ResourceNotFound", f"The Resource {path.rpartition('/')[2]} was not found.")


def _guid(text: str) -> str:
    digits = hashlib.sha256(text.encode()).hexdigest()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:32]}"


def _merged(present: Any, change: Any) -> Any:
    """JSON merge patch: lists are replaced."""
    if not isinstance(present, Mapping) or not isinstance(change, Mapping):
        return copy.deepcopy(change)
    kept = {key: copy.deepcopy(entry) for key, entry in present.items() if change.get(key, entry) is not None}
    return {**kept, **{key: _merged(present.get(key), entry) for key, entry in change.items() if entry is not None}}


@contextmanager
def account(folder: Path) -> Iterator[tuple[Account, Mapping[str, str]]]:
    """The subscription, and the environment that leads clients to it."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("REGISTRY_STORAGE_DELETE_ENABLED", "true")  # docker-registry reads it
        with real_registry(folder / "registry") as port:
            made = Account(port)
            with inspecting_proxy(lambda asked: made.answer(asked), folder / "proxy") as environ:
                yield made, {**environ, **made.login.environ}


class ContainerAppsService:
    """Implements contract.Harness."""

    def __init__(
        self,
        folder: Path,
        world: Account,
        environ: Mapping[str, str],
        /,
        door: Door | None = None,
        project: str = "churn",
        env: str = "",
        **settings: Any,
    ) -> None:
        self.home, self.world, self.environ = Home(folder / "home"), world, environ
        self.project, self.environment = project, env
        self.settings = {"service": "container-apps", "region": REGION, "subnet": SUBNET, **settings}
        self.door = door or AzureDoor(SUBSCRIPTION, pause=lambda _: None)
        self.looks = itertools.count()
        self.served: dict[str, Any] = {}
        self.extra: dict[str, Any] = {}
        self.knows: Callable[[str], bool] = lambda host: True

    def open(self, door: Door | None = None) -> ContainerAppsTarget:
        opening = Opening(
            project=self.project,
            environment=self.environment,
            home=self.home,
            runner=LocalRunner(),
            clock=self._clock,
            who="anna@test",
            environ=dict(self.environ),
            settings=self.settings,
        )
        return ContainerAppsTarget(opening, door or self.door, poll_s=0.0, knows=lambda host: self.knows(host))

    def _clock(self) -> float:
        """Half a second later at each look: what never comes is not waited for long."""
        return time.time() + 0.5 * next(self.looks)

    def deployment(self, version: int, broken: str = "") -> Deployment:
        image = image_of(Layout(self.home.images), (100,), seed=version * 10 + len(broken))
        self.world.versions[image.content] = version
        self.world.broken[image.content] = broken
        resources = {"cpu": 1000, "memory": 2 * 2**30}
        served = Served(image.content, (ServedModel(self.project, f"{version:064x}"),), resources=resources, **self.served)
        proof = Proof(({"age": 30},), {"predictions": [version]}, {"rtol": 1e-6, "atol": 1e-9})
        release = Release(0, served, 0.0, proofs={self.project: proof})
        operating = {"labels": {}, "settings": self.settings}
        said: dict[str, Any] = {"startup_timeout_s": 10.0, **self.extra}
        return Deployment(self.project, self.environment, "azure", "container-apps", release, self.settings, operating, **said)

    def left(self) -> list[str]:
        """Everything that carries the project's tags, its records, and its images' tags."""
        world = self.world
        found = [key for key, one in world.resources.items() if (one.get("tags") or {}).get("mlship.project") == self.project]
        found += [name for name in world.blobs if f"/{self.project}/" in name]
        found += [key for key, one in world.resources.items() if one["type"] == "Microsoft.Authorization/roleAssignments"]
        return found
