"""A workspace of Azure ML in the subscription that is played: endpoints, deployments, environments, autoscaling, scoring, metrics.

It plays what matters: operations that take several looks, deployments that fail late, shares that do not add up or name nobody, a
deployment with callers that is not deleted, versions of an environment that never change, a quota, and answers that leave out what
Azure fills in by itself (`bare`). Everything else of Azure is container_apps_account's; requests and answers are judged there.
"""

from __future__ import annotations

import copy
import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from azure_operations import SUBSCRIPTION, refused
from container_apps_account import Account
from inspecting_proxy import Asked, Told, inspecting_proxy, told
from registry_images import image_of
from registry_parts import real_registry

from mlship.home import Home
from mlship.oci.layout import Layout
from mlship.releases.release import Proof, Release, Served, ServedModel
from mlship.runner import LocalRunner
from mlship.targets.azure.azureml.target import AzureMlTarget
from mlship.targets.azure.door import AzureDoor, Door
from mlship.targets.base import Deployment, Opening

REGION, GROUP, WORKSPACE, INSTANCE = "westeurope", "ml", "shop", "Standard_DS3_v2"
ML = "Microsoft.MachineLearningServices"
PLACE = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}"
SHOP = f"{PLACE}/providers/{ML}/workspaces/{WORKSPACE}"
REGISTRY = f"{PLACE}/providers/Microsoft.ContainerRegistry/registries/shopimages"
SCORING = ".inference.ml.azure.com"
_NAME = re.compile(r"[a-zA-Z]([-a-zA-Z0-9]{1,30}[a-zA-Z0-9])")
_FILLED_IN = ("scaleSettings", "requestSettings", "livenessProbe", "readinessProbe", "appInsightsEnabled")
_KEY = "key-of-the-endpoint"


@dataclass
class Clock:
    """The time of a test, which goes on when somebody waits."""

    now: float = field(default_factory=time.time)
    slept: float = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept += seconds


@dataclass
class MlAccount(Account):
    """endpoints, deployments, environments, scalings: path in lower case -> as it is. vcpus: the family's quota.

    bare: what Azure fills in is left out of answers. lies: traffic that is put changes nothing, and is said to have been.
    counted: (release, status) of every scoring. load, slow_ms: of callers, requests a minute and how long each takes.
    reached: since when which release has had which hundredths of them, copies too. A release that is broken as `errors` answers
    all of them with 500.
    """

    clock: Clock = field(default_factory=Clock)
    ml: dict[str, dict[str, Any]] = field(default_factory=dict)
    scalings: dict[str, dict[str, Any]] = field(default_factory=dict)
    vcpus: int = 100
    sizes: dict[str, int] = field(default_factory=lambda: {INSTANCE: 4, "Standard_DS2_v2": 2})
    bare: bool = False
    lies: bool = False
    counted: list[tuple[str, int]] = field(default_factory=list)
    slow_ms: float = 20.0
    load: float = 10.0
    reached: list[tuple[float, dict[str, int]]] = field(default_factory=list)
    key: str = _KEY
    denied: list[str] = field(default_factory=list)

    def reset(self) -> None:
        super().reset()
        for part in (self.ml, self.scalings, self.counted, self.denied, self.reached):
            part.clear()
        self.clock = Clock()
        self.operations.clock, self.operations.lasts_s, self.operations.fails = self.clock, 0.0, None
        self.vcpus, self.bare, self.lies, self.slow_ms, self.key = 100, False, False, 20.0, _KEY
        self.resources[PLACE.lower()] = {"id": PLACE, "name": GROUP, "type": "group", "location": REGION}
        self._put_given(REGISTRY, {"loginServer": "shopimages.azurecr.io"}, sku={"name": "Standard"})
        self._put_given(SHOP, {"containerRegistry": REGISTRY, "friendlyName": "shop"}, identity={"type": "SystemAssigned"})

    def _put_given(self, path: str, properties: Mapping[str, Any], **more: Any) -> None:
        kind = "/".join(path.rpartition("/providers/")[2].split("/")[:2])
        body = {"id": path, "name": path.rpartition("/")[2], "type": kind, "location": REGION, "properties": dict(properties)}
        self.resources[path.lower()] = {**body, **more}

    def answer(self, asked: Asked) -> Told:
        if asked.host.endswith(SCORING):
            said = self.hook(asked)
            self.requests.append(f"{asked.method} {asked.host}{asked.path}")
            return said or self._scored(asked)
        return super().answer(asked)

    def of(self, kind: str) -> list[dict[str, Any]]:
        """kind: `onlineEndpoints`, `deployments`, `versions`."""
        return [one for one in self.ml.values() if one["type"].rpartition("/")[2] == kind]

    # -- the resource manager ------------------------------------------------------------------------------------------------

    def _told(self, asked: Asked, path: str, body: Any) -> Told:
        if "/locations/" in path:
            return self._of_region(path)
        if path.endswith("/providers/Microsoft.Insights/metrics") and "/onlineEndpoints/" in path:
            return self._measured(asked)
        if "/Microsoft.Insights/autoscalesettings" in path:
            return self._scaling(asked, path, body)
        if path == f"/subscriptions/{SUBSCRIPTION}/resources":
            kind = re.fullmatch(r"resourceType eq '([^']+)'", asked.query.get("$filter", ""))
            tag = re.fullmatch(r"tagName eq '([^']+)' and tagValue eq '([^']+)'", asked.query.get("$filter", ""))
            every = [*self.resources.values(), *self.ml.values()]
            if kind:
                return told({"value": [one for one in every if one["type"] == kind[1]]})
            assert tag, asked.query
            return told({"value": [one for one in every if (one.get("tags") or {}).get(tag[1]) == tag[2]]})
        if path == f"/subscriptions/{SUBSCRIPTION}/providers":
            names = (ML, "Microsoft.ContainerRegistry", "Microsoft.Storage")
            states = [(name, "NotRegistered" if name in self.unregistered else "Registered") for name in names]
            return told({"value": [{"namespace": name, "registrationState": state} for name, state in states]})
        if path.endswith("/providers/Microsoft.Authorization/permissions"):
            return told({"value": [{"actions": ["*"], "notActions": self.denied}]})
        if path.startswith(f"{SHOP}/"):
            return self._in_workspace(asked, path, body)
        if asked.method == "GET" and path.lower() in self.resources:
            return told(self.resources[path.lower()])
        if f"/{ML}/" in path or "/Microsoft.ContainerRegistry/" in path:
            return _missing(path)
        return super()._told(asked, path, body)

    def _of_region(self, path: str) -> Told:
        if path.endswith("/vmSizes"):
            family = [{"name": name, "vCPUs": cores, "family": "standardDSv2Family"} for name, cores in self.sizes.items()]
            return told({"value": family})
        used = sum(self.sizes[one["properties"]["instanceType"]] * one["sku"]["capacity"] for one in self.of("deployments"))
        name = {"value": "standardDSv2Family", "localizedValue": "Standard DSv2 Family vCPUs"}
        return told({"value": [{"name": name, "unit": "Count", "currentValue": used, "limit": self.vcpus}]})

    def _in_workspace(self, asked: Asked, path: str, body: Any) -> Told:
        parts = path.removeprefix(f"{SHOP}/").split("/")
        kind = "/".join([ML, "workspaces", *parts[::2]])
        if asked.method == "POST":
            return self._action(path)
        if len(parts) % 2:  # all of a kind
            found = [self._read(one) for key, one in self.ml.items() if key.rpartition("/")[0] == path.lower()]
            parent = path.rpartition("/")[0]
            there = parent.lower() in self.ml or parent == SHOP or any(key.startswith(path.lower()) for key in self.ml)
            return told({"value": found}) if there else _missing(parent)
        if asked.method == "GET":
            return self._got(path, kind)
        if parts[0] == "environments":
            return self._environment(asked, path, kind, body)
        return self._deployment(asked, path, kind, body) if len(parts) == 4 else self._endpoint(asked, path, kind, body)

    def _got(self, path: str, kind: str) -> Told:
        found = self.ml.get(path.lower())
        if found is None and kind.endswith("/environments") and any(key.startswith(f"{path.lower()}/") for key in self.ml):
            found = {"id": path, "name": path.rpartition("/")[2], "type": kind, "properties": {}}
        return told(self._read(found)) if found else _missing(path)

    def _read(self, one: Mapping[str, Any]) -> dict[str, Any]:
        shown = copy.deepcopy(dict(one))
        if self.bare and shown["type"].endswith("/deployments"):
            shown.pop("sku", None)
            for name in _FILLED_IN:
                shown["properties"].pop(name, None)
        return shown

    def _environment(self, asked: Asked, path: str, kind: str, body: Any) -> Told:
        present = self.ml.get(path.lower())
        if asked.method == "DELETE":
            used = [one for one in self.of("deployments") if one["properties"].get("environmentId", "").lower() == path.lower()]
            if used:
                return refused(409, "Conflict", f"{path.rpartition('/')[2]} is used by a deployment.")
            self.ml.pop(path.lower(), None)
            return Told(200 if present else 204)
        fixed = ("image", "inferenceConfig", "osType")
        if present and any(present["properties"].get(name) != body["properties"].get(name) for name in fixed):
            return refused(400, "UserError", "A registered version of an environment cannot be changed.")
        self._keep(path, kind, body, "Succeeded")
        return told(self._read(self.ml[path.lower()]), 200 if present else 201)

    def _endpoint(self, asked: Asked, path: str, kind: str, body: Any) -> Told:
        present = self.ml.get(path.lower())
        if asked.method == "DELETE":
            return self._gone(asked, path) if present else Told(204)
        if asked.method == "PATCH":
            if set(body) - {"tags", "identity"}:
                return refused(400, "BadRequest", "Only tags and identity can be updated by PATCH.")
            present = {**(present or {}), **body}
            self.ml[path.lower()] = present
            return told(self._read(present))
        wrong = self._wrong_endpoint(path, body, present)
        if wrong:
            return wrong
        before = copy.deepcopy(present) if present else None
        self._keep(path, kind, body, "Updating" if present else "Creating")

        def done() -> Any:
            made = self.ml[path.lower()]
            made["properties"]["provisioningState"] = "Succeeded"
            made["properties"]["scoringUri"] = f"https://{made['name']}.{REGION}{SCORING}/score"
            if self.lies and before is not None:
                made["properties"]["traffic"] = before["properties"]["traffic"]
            self.reached.append((self.clock(), {**made["properties"]["traffic"], **made["properties"]["mirrorTraffic"]}))
            return self._read(made)

        return self.operations.accepted(asked, self._read(self.ml[path.lower()]), done)

    def _wrong_endpoint(self, path: str, body: Mapping[str, Any], present: Mapping[str, Any] | None) -> Told | None:
        said, name = body["properties"], path.rpartition("/")[2]
        placed = {one["name"] for key, one in self.ml.items() if key.startswith(f"{path.lower()}/deployments/")}
        if not _NAME.fullmatch(name) or len(name) > 32:
            return refused(400, "BadRequest", f"{name} is no name of an endpoint.")
        if body["location"] != REGION:
            return refused(400, "BadRequest", "The endpoint has to be in the workspace's region.")
        if present and present["properties"]["provisioningState"] in ("Creating", "Updating"):
            return refused(409, "Conflict", "Another operation on the endpoint is in progress.")
        traffic, mirror = said.get("traffic") or {}, said.get("mirrorTraffic") or {}
        if sum(traffic.values()) not in (0, 100):
            return refused(400, "BadRequest", "The sum of traffic has to be either 0 or 100.")
        if unknown := (set(traffic) | set(mirror)) - placed:
            return refused(400, "BadRequest", f"Traffic names deployments that do not exist: {sorted(unknown)}.")
        if sum(mirror.values()) > 50 or len(mirror) > 1 or any(traffic.get(one) for one in mirror):
            return refused(400, "BadRequest", "At most 50 percent can be mirrored, to one deployment without live traffic.")
        return None

    def _deployment(self, asked: Asked, path: str, kind: str, body: Any) -> Told:
        present, endpoint = self.ml.get(path.lower()), self.ml.get(path.lower().partition("/deployments/")[0])
        name = path.rpartition("/")[2]
        if asked.method == "DELETE":
            if present is None:
                return Told(204)
            if endpoint and (endpoint["properties"].get("traffic") or {}).get(name):
                return refused(400, "BadRequest", f"Deployment {name} has traffic and cannot be deleted.")
            return self._gone(asked, path)
        if endpoint is None:
            return _missing(path)
        if present and present["properties"]["provisioningState"] in ("Creating", "Updating"):
            return refused(409, "Conflict", "Another operation on the deployment is in progress.")
        said = body["properties"]
        if said["environmentId"].lower() not in self.ml:
            return refused(400, "UserError", "The environment does not exist.")
        if said["instanceType"] not in self.sizes:
            return refused(400, "BadRequest", f"{said['instanceType']} is not supported.")
        others = sum(
            self.sizes[one["properties"]["instanceType"]] * one["sku"]["capacity"]
            for one in self.of("deployments")
            if one["id"] != path
        )
        needed = -(-12 * body["sku"]["capacity"] // 10) * self.sizes[said["instanceType"]]
        self._keep(path, kind, body, "Updating" if present else "Creating")

        def done() -> Any:
            made = self.ml[path.lower()]
            if others + needed > self.vcpus:
                made["properties"]["provisioningState"] = "Failed"
                return ("OutOfQuota", "Not enough quota available for standardDSv2Family.")
            if self.broken.get(self._content(made)) == "crash":
                made["properties"]["provisioningState"] = "Failed"
                return ("ResourceNotReady", "User container has crashed or terminated.")
            made["properties"]["provisioningState"] = "Succeeded"
            return self._read(made)

        if self.operations.fails:
            self.ml[path.lower()]["properties"]["provisioningState"] = "Failed"
        return self.operations.accepted(asked, self._read(self.ml[path.lower()]), done)

    def _keep(self, path: str, kind: str, body: Mapping[str, Any], state: str) -> None:
        made = {**copy.deepcopy(dict(body)), "id": path, "name": path.rpartition("/")[2], "type": kind}
        before = self.ml.get(path.lower())
        made["properties"] = {**(before or {}).get("properties", {}), **made["properties"]}
        made["properties"]["provisioningState"] = state
        stamp = datetime.fromtimestamp(self.clock(), UTC).isoformat()
        made["systemData"] = before["systemData"] if before else {"createdAt": stamp}
        self.ml[path.lower()] = made

    def _gone(self, asked: Asked, path: str) -> Told:
        self.ml[path.lower()]["properties"]["provisioningState"] = "Deleting"

        def done() -> None:
            for key in [key for key in self.ml if key == path.lower() or key.startswith(f"{path.lower()}/")]:
                del self.ml[key]

        return self.operations.accepted(asked, None, done, form="Location")

    def _scaling(self, asked: Asked, path: str, body: Any) -> Told:
        key, kind = path.lower(), "Microsoft.Insights/autoscalesettings"
        if key.endswith("/autoscalesettings"):
            return told({"value": list(self.scalings.values())})
        if asked.method == "PUT":
            self.scalings[key] = {**body, "id": path, "name": path.rpartition("/")[2], "type": kind}
            return told(self.scalings[key], 201)
        if asked.method == "DELETE":
            return Told(200 if self.scalings.pop(key, None) else 204)
        return told(self.scalings[key]) if key in self.scalings else _missing(path)

    def _action(self, path: str) -> Told:
        if path.endswith("/getLogs"):
            return told({"content": "starting\nready\n"}) if path.rpartition("/")[0].lower() in self.ml else _missing(path)
        if "/onlineEndpoints/" in path and path.endswith("/listKeys"):
            return told({"primaryKey": self.key, "secondaryKey": "other"})
        if "/onlineEndpoints/" in path and path.endswith("/token"):
            return told({"accessToken": self.key, "tokenType": "Bearer", "expiryTimeUtc": int(self.clock()) + 3600})
        return super()._action(path)

    # -- callers -------------------------------------------------------------------------------------------------------------

    def _scored(self, asked: Asked) -> Told:
        endpoint = next((one for one in self.of("onlineEndpoints") if asked.host.startswith(f"{one['name']}.")), None)
        if endpoint is None:
            return Told(404, {}, b"no such endpoint")
        if not self._may(asked, endpoint["properties"]["authMode"]):
            return Told(401, {}, b"key_auth_access_denied")
        assert (asked.method, asked.path) == ("POST", "/score"), asked.path
        release = asked.headers.get("azureml-model-deployment") or self._drawn(endpoint["properties"].get("traffic") or {})
        placed = self.ml.get(f"{endpoint['id']}/deployments/{release}".lower()) if release else None
        if placed is None or placed["properties"]["provisioningState"] != "Succeeded":
            return Told(404, {}, b"no deployment answers")
        body = self._answered(placed, asked.json)
        self.counted.append((str(release), 200))
        return told(body, X_Mlship_Release=body.get("release", release))

    def _may(self, asked: Asked, mode: str) -> bool:
        if mode == "AADToken":
            return self.login.refusal(asked, "https://ml.azure.com") is None
        return asked.headers.get("authorization") == f"Bearer {self.key}"

    def _drawn(self, traffic: Mapping[str, int]) -> str:
        line = [name for name, share in sorted(traffic.items()) for _ in range(share)]
        return line[next(self.calls) * 37 % len(line)] if line else ""

    def _answered(self, placed: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
        content = self._content(placed)
        broken = self.broken.get(content, "")
        release = placed["properties"]["environmentVariables"]["MLSHIP_RELEASE"]
        if said == {"mlship": "release"}:
            return {"release": "r0-000000" if broken == "lies" else release}
        return {"predictions": [0 if broken == "answers" else self.versions[content]]}

    def _content(self, placed: Mapping[str, Any]) -> str:
        version = self.ml[placed["properties"]["environmentId"].lower()]
        return self.contents[version["properties"]["image"].rpartition("@")[2]]

    # -- Azure Monitor -------------------------------------------------------------------------------------------------------

    def _measured(self, asked: Asked) -> Told:
        """What was asked of a deployment in the first minute of what is looked at, and its load in each."""
        release = re.match(r"deployment eq '([^']+)'", asked.query["$filter"])
        assert release and asked.query["interval"] == "PT1M", asked.query
        began, _, ends = asked.query["timespan"].partition("/")
        assert began < ends, asked.query["timespan"]
        minutes = [stamp(when) for when in range(int(seconds_of(began)), int(seconds_of(ends)), 60)]
        scored = [status for name, status in self.counted if name == release[1]]
        value = []
        for metric in asked.query["metricnames"].split(","):
            series = []
            for kind in ("2xx", "5xx") if metric == "RequestsPerMinute" else ("",):
                meta = [{"name": {"value": "deployment"}, "value": release[1]}]
                meta += [{"name": {"value": "statuscodeclass"}, "value": kind}] if kind else []
                numbers = [self._load(release[1], kind, seconds_of(when)) if kind else self.slow_ms for when in minutes]
                numbers[0] += sum(f"{status // 100}xx" == kind for status in scored)
                data = [{"timeStamp": when, "average": float(n)} for when, n in zip(minutes, numbers, strict=True)]
                series.append({"metadatavalues": meta, "data": [*data, {"timeStamp": ends}]})
            value.append({"name": {"value": metric}, "timeseries": series})
        return told({"timespan": asked.query["timespan"], "interval": "PT1M", "value": value})

    def _load(self, release: str, kind: str, when: float) -> float:
        """Of the minute that begins then."""
        share = next((shares.get(release, 0) for since, shares in reversed(self.reached) if since < when + 60), 0)
        placed = next(one for one in self.of("deployments") if one["name"] == release)
        fails = self.broken.get(self._content(placed)) == "errors"
        return self.load * share / 100 if fails == (kind == "5xx") else 0.0


def stamp(when: float) -> str:
    return datetime.fromtimestamp(when, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds_of(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _missing(path: str) -> Told:
    return refused(404, "ResourceNotFound", f"The Resource {path.rpartition('/')[2]} was not found.")


@contextmanager
def workspace(folder: Path) -> Iterator[tuple[MlAccount, Mapping[str, str]]]:
    """The subscription with the workspace, and the environment that leads clients to it."""
    key = "REGISTRY_STORAGE_DELETE_ENABLED"  # docker-registry takes its settings from there, too
    os.environ[key] = "true"
    try:
        with real_registry(folder / "registry") as port:
            made = MlAccount(port)
            with inspecting_proxy(lambda asked: made.answer(asked), folder / "proxy") as environ:
                yield made, {**environ, **made.login.environ}
    finally:
        del os.environ[key]


class AzureMlService:
    """Implements contract.Harness."""

    def __init__(
        self,
        folder: Path,
        world: MlAccount,
        environ: Mapping[str, str],
        door: Callable[[MlAccount], Door],
        /,
        project: str = "churn",
        environment: str = "",
        **settings: Any,
    ) -> None:
        self.home, self.world, self.environ, self.door = Home(folder / "home"), world, environ, door
        self.project, self.environment = project, environment
        given = {"resource_group": GROUP, "workspace": WORKSPACE, "region": REGION, "instance": INSTANCE}
        self.settings: dict[str, Any] = {"service": "azureml", **given, **settings}
        self.changes: dict[str, Any] = {}

    def opening(self) -> Opening:
        return Opening(
            project=self.project,
            environment=self.environment,
            home=self.home,
            runner=LocalRunner(),
            clock=self.world.clock,
            who="anna@test",
            environ=dict(self.environ),
            settings=self.settings,
        )

    def open(self, door: Door | None = None, **said: Any) -> AzureMlTarget:
        """said: what another machine has otherwise."""
        return AzureMlTarget(replace(self.opening(), **said), door or self.door(self.world), self.world.clock.sleep)

    def deployment(self, version: int, broken: str = "") -> Deployment:
        image = image_of(Layout(self.home.images), (100,), seed=version * 10 + len(broken))
        self.world.versions[image.content] = version
        self.world.broken[image.content] = broken
        models = (ServedModel(self.project, f"{version:064x}"),)
        served = Served(image.content, models, resources={"cpu": 1000, "memory": 2 * 2**30})
        proof = Proof(({"age": 30},), {"predictions": [version]}, {"rtol": 1e-6, "atol": 1e-9})
        release = Release(0, served, 0.0, proofs={self.project: proof})
        operating = {"labels": {}, "settings": self.settings}
        said: dict[str, Any] = {"startup_timeout_s": 10.0, **self.changes}
        return Deployment(self.project, self.environment, "azure", "azureml", release, self.settings, operating, **said)

    def left(self) -> list[str]:
        """Everything that is there because of the project: its resources, its records, its images."""
        world = self.world
        found = [*world.ml, *world.scalings]
        return found + [name for name in world.blobs if f"/{self.project}/" in name]


def door_of(world: MlAccount) -> AzureDoor:
    """Waits by the test's clock."""
    return AzureDoor(SUBSCRIPTION, pause=lambda seconds: world.clock.sleep(seconds))


def body_of(said: Told) -> Any:
    return json.loads(said.body)
