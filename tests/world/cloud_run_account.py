"""A project of Google Cloud on loopback in which Cloud Run runs services: the unmodified clients talk to it through a proxy that opens TLS.

Storage, Artifact Registry and the rest are google_*.py; Cloud Run, its callers' addresses, Secret Manager, logs and metrics stand here.
Every request and every answer is held against Google's discovery documents. A service takes several looks until it is as it was told.
"""

from __future__ import annotations

import base64
import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from google_contract import Method
from google_identity import PROJECT, claims_of, credentials_file, identity_told
from google_operations import Operations, typed
from google_project import NUMBER, Accounts, Projects, Services
from google_registry import ArtifactRegistry
from google_storage import Storage
from google_world import Google, No
from inspecting_proxy import Asked, Told, inspecting_proxy, told
from registry_images import image_of
from registry_parts import real_registry

from mlship.home import Home
from mlship.oci.layout import Layout
from mlship.releases.release import Proof, Release, Served, ServedModel
from mlship.runner import LocalRunner
from mlship.targets.base import Deployment, Opening
from mlship.targets.gcp.cloud_run.target import CloudRunTarget
from mlship.targets.gcp.door import Door
from mlship.targets.gcp.sdk import SdkDoor

REGION = "europe-west1"
PLACE = f"projects/{PROJECT}/locations/{REGION}"
_DOMAIN = "abcdefghij-ew.a.run.app"
# The clients send enums as numbers: their order in the discovery document.
_ENUMS = {
    "ingress": ("INGRESS_TRAFFIC_UNSPECIFIED", "INGRESS_TRAFFIC_ALL", "INGRESS_TRAFFIC_INTERNAL_ONLY"),
    "type": ("", "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION"),
    "executionEnvironment": ("", "EXECUTION_ENVIRONMENT_GEN1", "EXECUTION_ENVIRONMENT_GEN2"),
    "egress": ("", "ALL_TRAFFIC", "PRIVATE_RANGES_ONLY"),
}


def _text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _named(said: Any) -> Any:
    """Enums by name, as answers say them."""
    if isinstance(said, list):
        return [_named(one) for one in said]
    if not isinstance(said, dict):
        return said
    return {key: _ENUMS[key][one] if key in _ENUMS and isinstance(one, int) else _named(one) for key, one in said.items()}


@dataclass
class Copy:
    """A revision: what it was made of, and whether it started."""

    name: str
    template: Mapping[str, Any]
    made: float
    state: str = "CONDITION_RECONCILING"
    requests: dict[str, int] = field(default_factory=dict)

    @property
    def content(self) -> str:
        return str(self.template["annotations"]["mlship.content"])

    @property
    def environment(self) -> dict[str, Any]:
        return {one["name"]: one for one in self.template["containers"][0]["env"]}


@dataclass
class Service:
    """said: as it was told, in answers' words. shares: what callers really meet."""

    name: str
    said: dict[str, Any]
    generation: int = 1
    shares: list[dict[str, Any]] = field(default_factory=list)
    copies: dict[str, Copy] = field(default_factory=dict)
    latest: str = ""
    failed: str = ""
    statuses: int = 0  # how often they have changed by themselves: the etag does, too

    @property
    def short(self) -> str:
        return self.name.rpartition("/")[2]

    @property
    def uri(self) -> str:
        return f"https://{self.short}-{_DOMAIN}"

    @property
    def etag(self) -> str:
        return f'"{self.generation:08x}-{self.statuses:x}"'


class CloudRun:
    """Implements google_world.Player for run.v2. versions, broken: what the image with a content answers, and how it is broken."""

    def __init__(self, google: Google, operations: Operations, secrets: Secrets) -> None:
        self.services: dict[str, Service] = {}
        self.versions: dict[str, int] = {}
        self.broken: dict[str, str] = {}
        self.weather: dict[str, int] = {}  # class of answers -> so many of them more at each look at the metrics
        self.frozen: list[dict[str, Any]] | None = None  # what callers go on meeting, whatever is said
        self.sour = False  # whether operations say failed as long as the revision made last is, whatever they changed
        self.unlucky: str = ""  # a message with which the next operation that makes a revision fails late
        self.crashes: Callable[[Copy], bool] = lambda copy: self.broken.get(copy.content) == "crash"
        self.serves: Callable[[Copy, Asked], Told] | None = None  # in place of the answers that are played here
        self._google, self._operations, self._secrets = google, operations, secrets
        self._numbers = itertools.count()

    def __call__(self, method: Method, asked: Asked) -> Any:
        return getattr(self, "_" + method.name.replace(".", "_"))(method.params, asked)

    # -- services --------------------------------------------------------------------------------------------------------

    def _services_get(self, params: Mapping[str, str], asked: Asked) -> Any:
        """Operations go on also where whoever began them asks no more."""
        service = self._found(params["name"])
        for one in self._operations.running(service.name):
            self._operations.look(one.name)
        return self._told(self._found(params["name"]))

    def _services_create(self, params: Mapping[str, str], asked: Asked) -> Any:
        name = f"{params['parent']}/services/{asked.query['serviceId']}"
        if name in self.services:
            raise No("ALREADY_EXISTS", f"Resource '{asked.query['serviceId']}' already exists.")
        assert len(asked.query["serviceId"]) < 50 and "etag" not in asked.json
        service = Service(name, _named(asked.json))
        made = self._make(service)
        self.services[name] = service
        return self._begin(service, made)

    def _services_patch(self, params: Mapping[str, str], asked: Asked) -> Any:
        service = self._found(params["name"])
        said = _named(asked.json)
        if said.get("etag") and said["etag"] != service.etag:
            raise No("ABORTED", "The resource has been changed since it was read.")
        mask = asked.query["updateMask"].split(",")
        assert set(mask) <= {"template", "traffic", "labels", "ingress", "invokerIamDisabled", "scaling"}, mask
        kept = {key: value for key, value in service.said.items() if key not in mask}
        wanted = Service(service.name, {**kept, **{key: said[key] for key in mask if key in said}}, copies=service.copies)
        made = self._make(wanted) if "template" in mask else None
        self._check_traffic(wanted)
        service.said, service.generation = wanted.said, service.generation + 1
        service.latest = wanted.latest or service.latest
        return self._begin(service, made)

    def _services_delete(self, params: Mapping[str, str], asked: Asked) -> Any:
        service = self._found(params["name"])

        def work() -> Mapping[str, Any]:
            self.services.pop(service.name, None)
            return typed("google.cloud.run.v2.Service", **self._told(service))

        return self._operation(service, work)

    def _operations_get(self, params: Mapping[str, str], asked: Asked) -> Any:
        return self._operations.look(params["name"])

    def _revisions_list(self, params: Mapping[str, str], asked: Asked) -> Any:
        service = self._found(params["parent"])
        return {"revisions": [self._revision(service, copy) for copy in service.copies.values()]}

    def _revisions_delete(self, params: Mapping[str, str], asked: Asked) -> Any:
        service = self._found(params["name"].partition("/revisions/")[0])
        short = params["name"].rpartition("/")[2]
        if short not in service.copies:
            raise No("NOT_FOUND", f"Revision {short} does not exist")
        if short == service.latest or any(one["revision"] == short for one in service.said["traffic"]):
            raise No("FAILED_PRECONDITION", f"Revision {short} is in use and can't be deleted")
        gone = service.copies[short]

        def work() -> Mapping[str, Any]:
            service.copies.pop(short, None)
            return typed("google.cloud.run.v2.Revision", **self._revision(service, gone))

        return self._operation(service, work)

    def _make(self, service: Service) -> Copy:
        template = service.said["template"]
        name = template["revision"]
        assert name.startswith(service.short + "-") and len(name) <= 63, name
        if name in service.copies:
            raise No("ALREADY_EXISTS", f"Revision named '{name}' with different configuration already exists.")
        for one in template["containers"][0]["env"]:
            of = (one.get("valueSource") or {}).get("secretKeyRef")
            if of and not self._secrets.has(of["secret"], of["version"]):
                raise No("INVALID_ARGUMENT", f"Secret {of['secret']}/versions/{of['version']} was not found")
        made = Copy(name, template, time.time())
        service.copies[name] = made
        service.latest = name
        try:
            self._check_traffic(service)
        except No:
            del service.copies[name]
            raise
        return made

    def _check_traffic(self, service: Service) -> None:
        traffic = service.said["traffic"]
        if sum(one.get("percent", 0) for one in traffic) != 100:
            raise No("INVALID_ARGUMENT", "spec.traffic: percent must add up to 100")
        for one in traffic:
            if one["revision"] not in service.copies:
                raise No("NOT_FOUND", f"Revision {one['revision']} of the traffic does not exist")
            if len(one.get("tag", "")) + len(service.short) > 46:
                raise No("INVALID_ARGUMENT", "traffic tag and service name together are too long")

    def _begin(self, service: Service, made: Copy | None) -> Any:
        unlucky, self.unlucky = self.unlucky, ""

        def work() -> Mapping[str, Any]:
            failed = ""
            if made is not None:
                is_well = not unlucky and not self.crashes(made)
                made.state = "CONDITION_SUCCEEDED" if is_well else "CONDITION_FAILED"
                if not is_well:
                    why = unlucky or "The user-provided container failed to start and listen on the port defined by PORT=8080."
                    failed = f"Revision '{made.name}' is not ready and cannot serve traffic. {why}"
            service.failed = failed
            if failed:
                raise No("FAILED_PRECONDITION", failed)
            for one in service.said["traffic"]:  # also one that has a tag and no callers
                if service.copies[one["revision"]].state == "CONDITION_FAILED":
                    raise No("FAILED_PRECONDITION", f"Revision '{one['revision']}' is not ready and cannot serve traffic.")
            service.shares = [dict(one) for one in self.frozen or service.said["traffic"]]
            if self.sour and service.copies[service.latest].state == "CONDITION_FAILED":
                raise No("FAILED_PRECONDITION", f"Revision '{service.latest}' is not ready and cannot serve traffic.")
            return typed("google.cloud.run.v2.Service", **self._told(service))

        self._open(service)
        return self._operation(service, work)

    def _operation(self, service: Service, work: Callable[[], Mapping[str, Any]]) -> Any:
        metadata = typed("google.cloud.run.v2.Service", **self._told(service))
        return self._operations.begin(service.name, work, metadata, under=PLACE)

    def _found(self, name: str) -> Service:
        if name not in self.services:
            raise No("NOT_FOUND", f"Resource '{name.rpartition('/')[2]}' of kind 'SERVICE' does not exist")
        return self.services[name]

    def _told(self, service: Service) -> dict[str, Any]:
        is_busy = bool(self._operations.running(service.name))
        state = "CONDITION_RECONCILING" if is_busy else "CONDITION_FAILED" if service.failed else "CONDITION_SUCCEEDED"
        ready = next((name for name, copy in reversed(service.copies.items()) if copy.state == "CONDITION_SUCCEEDED"), "")
        said = {
            **service.said,
            "name": service.name,
            "generation": str(service.generation),
            "etag": service.etag,
            "uri": service.uri,
            "urls": [service.uri],
            "latestCreatedRevision": f"{service.name}/revisions/{service.latest}",
            "trafficStatuses": [self._status(service, one) for one in service.shares],
            "terminalCondition": {"type": "Ready", "state": state, "message": service.failed},
            "reconciling": is_busy,
        }
        return {**said, **({"latestReadyRevision": f"{service.name}/revisions/{ready}"} if ready else {})}

    def _status(self, service: Service, one: Mapping[str, Any]) -> dict[str, Any]:
        """What is nothing is left out, as Google does."""
        found = {key: value for key, value in one.items() if value}
        return {**found, "uri": f"https://{one['tag']}---{service.short}-{_DOMAIN}"} if one.get("tag") else found

    def _revision(self, service: Service, copy: Copy) -> dict[str, Any]:
        ready = {"type": "Ready", "state": copy.state}
        if copy.state == "CONDITION_FAILED":
            ready |= {"revisionReason": "HEALTH_CHECK_CONTAINER_ERROR", "message": "the container did not start"}
        plain = {key: value for key, value in copy.template.items() if key not in ("revision", "annotations")}
        return {
            **plain,
            "annotations": dict(copy.template["annotations"]),
            "name": f"{service.name}/revisions/{copy.name}",
            "service": service.name,
            "createTime": _text(copy.made),
            "conditions": [ready],
        }

    # -- callers -----------------------------------------------------------------------------------------------------------

    def _open(self, service: Service) -> None:
        """The service's addresses: its own, and one a tag."""
        self._google.hosts[service.uri.removeprefix("https://")] = lambda asked: self._asked(service.name, "", asked)
        for one in service.said["traffic"]:
            if one.get("tag"):
                host = f"{one['tag']}---{service.short}-{_DOMAIN}"
                self._google.hosts[host] = lambda asked, tag=one["tag"]: self._asked(service.name, tag, asked)

    def _asked(self, name: str, tag: str, asked: Asked) -> Told:
        service = self.services.get(name)
        if service is None or asked.path.endswith("z"):
            return Told(404, {"Content-Type": "text/html"}, b"<h1>Error: Page not found</h1>")
        if service.said.get("ingress") == "INGRESS_TRAFFIC_INTERNAL_ONLY":
            return Told(404, {"Content-Type": "text/html"}, b"<h1>Error: Page not found</h1>")
        if not service.said.get("invokerIamDisabled") and not self._may_call(service, asked):
            return Told(403, {"Content-Type": "text/html"}, b"<h1>Error: Forbidden</h1>")
        copy = self._reached(service, tag)
        return self._served(copy, asked) if copy else Told(404, {}, b"no such revision")

    def _may_call(self, service: Service, asked: Asked) -> bool:
        scheme, _, token = asked.headers.get("x-serverless-authorization", "").partition(" ")
        return scheme == "Bearer" and claims_of(token).get("aud") == service.uri

    def _reached(self, service: Service, tag: str) -> Copy | None:
        if tag:
            names = [one["revision"] for one in service.shares if one.get("tag") == tag]
        else:
            names = [one["revision"] for one in service.shares for _ in range(one.get("percent", 0))]
        return service.copies.get(names[next(self._numbers) * 37 % len(names)]) if names else None

    def _served(self, copy: Copy, asked: Asked) -> Told:
        """What the server in the container says."""
        if self.serves is not None:
            return self.serves(copy, asked)
        key = copy.environment.get("MLSHIP_OPERATOR_KEY")
        if key is not None:
            of = key["valueSource"]["secretKeyRef"]
            if asked.headers.get("authorization") != f"Bearer {self._secrets.value(of['secret'], of['version'])}":
                return told({"error": "who are you?"}, 401)
        copy.requests["2xx"] = copy.requests.get("2xx", 0) + 1
        broken, version = self.broken.get(copy.content, ""), self.versions[copy.content]
        if asked.path == "/mlship/release":
            release = copy.environment["MLSHIP_RELEASE"]["value"]
            return told({"release": "r0-000000" if broken == "lies" else release})
        if asked.path.startswith("/predict"):
            return told({"predictions": [0 if broken == "answers" else version]})
        return told({})

    def logs(self, method: Method, asked: Asked) -> Any:
        """Cloud Logging, entries.list: one line of each revision that was ever started."""
        wanted = asked.json["filter"]
        copies = [(service, copy) for service in self.services.values() for copy in service.copies.values()]
        found = [
            {
                "insertId": copy.name,
                "timestamp": _text(copy.made),
                "logName": f"projects/{PROJECT}/logs/run.googleapis.com%2Fstdout",
                "textPayload": "ready",
                "labels": {"instanceId": "00c61b117c12345678"},
                "resource": {
                    "type": "cloud_run_revision",
                    "labels": {"service_name": service.short, "revision_name": copy.name, "location": REGION},
                },
            }
            for service, copy in copies
            if f'service_name="{service.short}"' in wanted
            and ("revision_name" not in wanted or f'revision_name:"{copy.name}' in wanted)
        ]
        return {"entries": found}

    def metrics(self, method: Method, asked: Asked) -> Any:
        """Cloud Monitoring, timeSeries.list: what each revision was asked, all of it within 5 ms."""
        wanted = asked.query["filter"]
        copies = [copy for service in self.services.values() for copy in service.copies.values()]
        found = []
        for copy in copies:
            if f'revision_name="{copy.name}"' not in wanted:
                continue
            for name, more in self.weather.items() if "request_count" in wanted else ():
                copy.requests[name] = copy.requests.get(name, 0) + more
            for name, count in copy.requests.items():
                is_count = "request_count" in wanted
                options = {"explicitBuckets": {"bounds": [5.0, 50.0]}}
                spread = {"count": str(count), "mean": 2.0, "bucketOptions": options, "bucketCounts": [str(count)]}
                found.append(
                    {
                        "metric": {"type": "run.googleapis.com/x", "labels": {"response_code_class": name} if is_count else {}},
                        "points": [{"value": {"int64Value": str(count)} if is_count else {"distributionValue": spread}}],
                    }
                )
        return {"timeSeries": found}


class Secrets:
    """Implements google_world.Player for Secret Manager. kept: secret -> its labels and the values of its versions."""

    def __init__(self) -> None:
        self.kept: dict[str, tuple[dict[str, str], list[str]]] = {}
        self.disabled: set[str] = set()
        self.policies: dict[str, dict[str, Any]] = {}

    def put(self, name: str, *values: str) -> None:
        self.kept[f"projects/{PROJECT}/secrets/{name}"] = ({}, list(values))

    def has(self, name: str, version: str) -> bool:
        whole = name if "/" in name else f"projects/{PROJECT}/secrets/{name}"
        return whole in self.kept and 0 < int(version) <= len(self.kept[whole][1])

    def value(self, name: str, version: str) -> str:
        return self.kept[f"projects/{PROJECT}/secrets/{name}"][1][int(version) - 1]

    def __call__(self, method: Method, asked: Asked) -> Any:
        return getattr(self, "_" + method.name.replace(".", "_"))(method.params, asked)

    def _secrets_create(self, params: Mapping[str, str], asked: Asked) -> Any:
        name = f"{params['parent']}/secrets/{asked.query['secretId']}"
        self.kept[name] = (asked.json["labels"], [])
        return {"name": name, "labels": asked.json["labels"]}

    def _secrets_get(self, params: Mapping[str, str], asked: Asked) -> Any:
        return {"name": params["name"], "labels": self._of(params["name"])[0]}

    def _secrets_delete(self, params: Mapping[str, str], asked: Asked) -> Any:
        del self.kept[params["name"]]
        return {}

    def _secrets_addVersion(self, params: Mapping[str, str], asked: Asked) -> Any:
        values = self._of(params["parent"])[1]
        values.append(base64.b64decode(asked.json["payload"]["data"]).decode())
        return {"name": f"{params['parent']}/versions/{len(values)}", "state": "ENABLED"}

    def _secrets_getIamPolicy(self, params: Mapping[str, str], asked: Asked) -> Any:
        return self.policies.get(params["resource"], {"etag": "ACAB"})

    def _secrets_setIamPolicy(self, params: Mapping[str, str], asked: Asked) -> Any:
        self.policies[params["resource"]] = asked.json["policy"]
        return asked.json["policy"]

    def _versions_get(self, params: Mapping[str, str], asked: Asked) -> Any:
        name, _, said = params["name"].partition("/versions/")
        values = self._of(name)[1]
        version = len(values) if said == "latest" else int(said)
        if not 0 < version <= len(values):
            raise No("NOT_FOUND", f"Secret Version [{params['name']}] not found.")
        found = f"projects/{NUMBER}/secrets/{name.rpartition('/')[2]}/versions/{version}"
        return {"name": found, "state": "DISABLED" if f"{name}/{version}" in self.disabled else "ENABLED"}

    def _versions_access(self, params: Mapping[str, str], asked: Asked) -> Any:
        told_ = self._versions_get(params, asked)
        name, version = params["name"].partition("/versions/")[0], int(told_["name"].rpartition("/")[2])
        return {"name": told_["name"], "payload": {"data": base64.b64encode(self._of(name)[1][version - 1].encode()).decode()}}

    def _of(self, name: str) -> tuple[dict[str, str], list[str]]:
        if name not in self.kept:
            raise No("NOT_FOUND", f"Secret [{name}] not found.")
        return self.kept[name]


class World:
    """One test's Google, behind a proxy that outlives it."""

    def __init__(self, port: int) -> None:
        self.google = Google()
        self.operations = Operations(looks=2)
        self.secrets = Secrets()
        self.run = CloudRun(self.google, self.operations, self.secrets)
        self.storage = Storage()
        self.registry = ArtifactRegistry(self.operations, port, REGION)
        self.services, self.projects = Services(), Projects()
        self.accounts = Accounts(f"{NUMBER}-compute@developer.gserviceaccount.com")
        self.connectors: dict[str, str] = {}
        self.google.plays |= {
            "run": self.run,
            "storage": self.storage,
            "artifactregistry": self.registry,
            "secretmanager": self.secrets,
            "serviceusage": self.services,
            "cloudresourcemanager": self.projects,
            "logging": self.run.logs,
            "monitoring": self.run.metrics,
            "iam": self.accounts,
            "iamcredentials": self._of_tokens,
            "vpcaccess": self._of_connectors,
        }

    def _of_tokens(self, method: Method, asked: Asked) -> Any:
        email = method.params["name"].rpartition("/")[2]
        if email not in self.accounts.known:
            raise No("PERMISSION_DENIED", f"Permission 'iam.serviceAccounts.getOpenIdToken' denied on {email}")
        return identity_told(asked.json["audience"], email)

    def _of_connectors(self, method: Method, asked: Asked) -> Any:
        if method.params["name"] not in self.connectors:
            raise No("NOT_FOUND", "connector not found")
        return {"name": method.params["name"], "state": self.connectors[method.params["name"]]}


class Loopback:
    """The proxy with whatever world a test has just now. door: one for all, because its clients are slow to make."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.world = World(port)
        self.door = SdkDoor("", REGION, sleep=lambda seconds: None)
        self.environ: dict[str, str] = {}

    def answer(self, asked: Asked) -> Told:
        return self.world.google.answer(asked)

    def anew(self) -> World:
        self.world = World(self.port)
        return self.world


@contextmanager
def loopback(folder: Path) -> Iterator[Loopback]:
    """With the environment that leads the clients there, in this process, too."""
    with real_registry(folder / "registry") as port:
        found = Loopback(port)
        forwards = {f"{REGION}-docker.pkg.dev": port}
        with inspecting_proxy(found.answer, folder / "proxy", forwards) as environ, pytest.MonkeyPatch.context() as patch:
            found.environ = {**environ, **credentials_file(folder / "identity")}
            for name, value in found.environ.items():
                patch.setenv(name, value)
            yield found


class CloudRunService:
    """Implements contract.Harness."""

    def __init__(self, folder: Path, there: Loopback, /, named: str = "churn", environment: str = "", **settings: Any) -> None:
        self.home, self.there, self.world = Home(folder / "home"), there, there.world
        self.project, self.environment, self.settings = named, environment, {"region": REGION, **settings}
        self.serving: dict[str, Any] = {}

    def open(self, door: Door | None = None) -> CloudRunTarget:
        opening = Opening(
            project=self.project,
            environment=self.environment,
            home=self.home,
            runner=LocalRunner(),
            clock=time.time,
            who="anna@test",
            environ=dict(self.there.environ),
            settings=self.settings,
        )
        return CloudRunTarget(opening, door or self.there.door, poll_s=0.01)

    def deployment(self, version: int, broken: str = "") -> Deployment:
        image = image_of(Layout(self.home.images), (100,), seed=version * 10 + len(broken))
        self.world.run.versions[image.content] = version
        self.world.run.broken[image.content] = broken
        served = Served(
            image.content,
            (ServedModel(self.project, f"{version:064x}"),),
            serving=self.serving,
            resources={"cpu": 1000, "memory": 2 * 2**30},
        )
        proof = Proof(({"age": 30},), {"predictions": [version]}, {"rtol": 1e-6, "atol": 1e-9})
        release = Release(0, served, 0.0, proofs={self.project: proof})
        operating = {"labels": {}, "settings": self.settings}
        return Deployment(
            self.project, self.environment, "gcp", "cloud-run", release, self.settings, operating, startup_timeout_s=10.0
        )

    def left(self) -> list[str]:
        """Everything that is this project's, whatever service it is of."""
        world = self.world
        own = (name for name in world.secrets.kept if "/mlship-" in name)
        found = [*world.run.services, *world.registry.repositories, *own]
        return sorted([*found, *(name for _, name in world.storage.objects)])


def service_of(world: World) -> Service:
    """The only one."""
    (found,) = world.run.services.values()
    return found
