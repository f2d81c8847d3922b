"""Vertex AI as far as a test needs it: models with versions, endpoints with deployed models, splits that add up, operations that take

their time, and what is served behind them. Requests and answers are held against the discovery document (google_world.py). What of it
is not in that document, and plays as Google is known to from elsewhere, says so.
"""

from __future__ import annotations

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

from google.cloud.aiplatform_v1.types import DeployedModel
from google_contract import Method
from google_identity import PROJECT, credentials_file
from google_operations import Operations, typed
from google_project import NUMBER, Accounts, Projects, Services
from google_registry import ArtifactRegistry
from google_storage import Storage
from google_watching import Logging, Machines, Monitoring
from google_world import Google, No
from inspecting_proxy import Asked, Told, inspecting_proxy
from registry_images import image_of

from mlship.home import Home
from mlship.oci.layout import Layout
from mlship.releases.release import Proof, Release, Served, ServedModel
from mlship.runner import LocalRunner
from mlship.targets.base import Deployment, Opening
from mlship.targets.gcp.door import Door
from mlship.targets.gcp.sdk import SdkDoor
from mlship.targets.gcp.vertex.target import VertexTarget

REGION = "us-central1"
INSTANCE = "n2-standard-2"
_KIND = "google.cloud.aiplatform.v1."
PLACE = f"projects/{NUMBER}/locations/{REGION}"


@dataclass
class Model:
    """versions: number -> what was uploaded."""

    versions: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass
class Endpoint:
    said: dict[str, Any]
    etag: str
    deployed: dict[str, dict[str, Any]] = field(default_factory=dict)
    split: dict[str, int] = field(default_factory=dict)


class Vertex:
    """Implements google_world.Player. answers: what a server says, given its environment and the request.

    late: what the next deployments end with, after all their looks. preempted: ids of deployed models without a machine.
    """

    def __init__(self, operations: Operations, answers: Callable[[Mapping[str, str], str, bytes], tuple[int, bytes]]) -> None:
        self.models: dict[str, Model] = {}
        self.endpoints: dict[str, Endpoint] = {}
        self.late: list[No] = []
        self.preempted: set[str] = set()
        self.crashes: Callable[[Mapping[str, str]], bool] = lambda environ: False
        self.logging = Logging()
        self.operations = operations
        self.answers = answers
        self._numbers = itertools.count(1)
        self._turns = itertools.count()

    def __call__(self, method: Method, asked: Asked) -> Any:
        return getattr(self, "_" + method.name.replace(".", "_"))(method.params, asked)

    # -- models ----------------------------------------------------------------------------------------------------------

    def _models_upload(self, params: Mapping[str, str], asked: Asked) -> Any:
        said = asked.json
        id = said.get("modelId") or said["parentModel"].rpartition("/")[2]
        assert re.fullmatch(r"[a-z_][a-z0-9_-]{0,62}", id), id
        if "parentModel" in said and id not in self.models:
            raise No("NOT_FOUND", f"The Model {id} does not exist.")
        if "parentModel" not in said and id in self.models:
            raise No("ALREADY_EXISTS", f"The Model {id} exists already.")

        def make() -> Mapping[str, Any]:
            model = self.models.setdefault(id, Model())
            number = str(max(map(int, model.versions), default=0) + 1)
            aliases = list(said["model"].get("versionAliases", ()))
            for other in model.versions.values():
                other["versionAliases"] = [alias for alias in other["versionAliases"] if alias not in aliases]
            if not model.versions:
                aliases.append("default")
            made = {"versionId": number, "versionAliases": aliases, "createTime": _now(), "versionCreateTime": _now()}
            model.versions[number] = {**said["model"], **made}
            return typed(_KIND + "UploadModelResponse", model=f"{PLACE}/models/{id}", modelVersionId=number)

        return self.operations.begin(f"{PLACE}/models/{id}", make, typed(_KIND + "UploadModelOperationMetadata"))

    def _models_get(self, params: Mapping[str, str], asked: Asked) -> Any:
        return self._version(params["name"])

    def _models_list(self, params: Mapping[str, str], asked: Asked) -> Any:
        return {"models": [self._version(f"{PLACE}/models/{id}") for id in self.models]}

    def _models_listVersions(self, params: Mapping[str, str], asked: Asked) -> Any:
        id = self._model_id(params["name"])
        return {"models": [self._told_version(id, number) for number in self.models[id].versions]}

    def _models_mergeVersionAliases(self, params: Mapping[str, str], asked: Asked) -> Any:
        id, number = self._place_of(params["name"])
        for alias in asked.json["versionAliases"]:
            for other in self.models[id].versions.values():
                other["versionAliases"] = [one for one in other["versionAliases"] if one != alias]
            self.models[id].versions[number]["versionAliases"].append(alias)
        return self._told_version(id, number)

    def _models_deleteVersion(self, params: Mapping[str, str], asked: Asked) -> Any:
        id, number = self._place_of(params["name"])
        if "default" in self.models[id].versions[number]["versionAliases"]:
            raise No("FAILED_PRECONDITION", "the default version cannot be deleted; move the alias, or delete the model")
        self._unused(id, number)
        return self._gone(params["name"], "Model", lambda: self.models[id].versions.pop(number, None))

    def _models_delete(self, params: Mapping[str, str], asked: Asked) -> Any:
        id = self._model_id(params["name"])
        for number in self.models[id].versions:
            self._unused(id, number)
        return self._gone(params["name"], "Model", lambda: self.models.pop(id, None))

    def _unused(self, id: str, number: str) -> None:
        used = [
            name for name, one in self.endpoints.items() for each in one.deployed.values() if each["version"] == (id, number)
        ]
        if used:
            raise No("FAILED_PRECONDITION", f"the version {id}@{number} is deployed to {', '.join(used)}; undeploy it first")

    def _version(self, name: str) -> dict[str, Any]:
        return self._told_version(*self._place_of(name))

    def _told_version(self, id: str, number: str) -> dict[str, Any]:
        made = {"name": f"{PLACE}/models/{id}", "etag": "AMEw9y", "supportedDeploymentResourcesTypes": ["DEDICATED_RESOURCES"]}
        return {**self.models[id].versions[number], **made}

    def _model_id(self, name: str) -> str:
        id = name.rpartition("/")[2].partition("@")[0]
        if id not in self.models:
            raise No("NOT_FOUND", f"The Model {id} does not exist.")
        return id

    def _place_of(self, name: str) -> tuple[str, str]:
        """By number or alias, the default one where none is said."""
        id, wanted = self._model_id(name), name.rpartition("/")[2].partition("@")[2] or "default"
        for number, one in self.models[id].versions.items():
            if wanted in (number, *one["versionAliases"]):
                return id, number
        raise No("NOT_FOUND", f"The Model {id} has no version {wanted}.")

    # -- endpoints -------------------------------------------------------------------------------------------------------

    def _endpoints_create(self, params: Mapping[str, str], asked: Asked) -> Any:
        id = asked.query["endpointId"]
        assert re.fullmatch(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", id), id
        if id in self.endpoints:
            raise No("ALREADY_EXISTS", f"The Endpoint {id} exists already.")

        def make() -> Mapping[str, Any]:
            self.endpoints[id] = Endpoint({**asked.json, "createTime": _now()}, self._etag())
            return typed(_KIND + "Endpoint", name=f"{PLACE}/endpoints/{id}")

        return self.operations.begin(f"{PLACE}/endpoints/{id}", make, typed(_KIND + "CreateEndpointOperationMetadata"))

    def _endpoints_get(self, params: Mapping[str, str], asked: Asked) -> Any:
        return self._told_endpoint(*self._endpoint(params["name"]))

    def _endpoints_list(self, params: Mapping[str, str], asked: Asked) -> Any:
        return {"endpoints": [self._told_endpoint(id, one) for id, one in self.endpoints.items()]}

    def _endpoints_patch(self, params: Mapping[str, str], asked: Asked) -> Any:
        id, found = self._endpoint(params["name"])
        if asked.json.get("etag", found.etag) != found.etag:
            # from memory, verify: both this and FAILED_PRECONDITION are told of others of Google's services
            raise No("ABORTED", "The etag does not match the current version of the Endpoint.")
        for path in asked.query["updateMask"].split(","):
            if path in ("trafficSplit", "traffic_split"):
                self._check_split(found, asked.json.get("trafficSplit", {}))
                found.split = dict(asked.json.get("trafficSplit", {}))
            else:
                found.said[path] = asked.json.get(path)
        found.etag = self._etag()
        return self._told_endpoint(id, found)

    def _endpoints_delete(self, params: Mapping[str, str], asked: Asked) -> Any:
        id, found = self._endpoint(params["name"])
        self._alone(id)
        if found.deployed:
            raise No("FAILED_PRECONDITION", "the Endpoint has deployed models; undeploy them first")
        return self._gone(params["name"], "Endpoint", lambda: self.endpoints.pop(id, None))

    def _endpoints_deployModel(self, params: Mapping[str, str], asked: Asked) -> Any:
        id, found = self._endpoint(params["endpoint"])
        self._alone(id)
        said = json.loads(
            DeployedModel.to_json(
                DeployedModel.from_json(json.dumps(asked.json["deployedModel"])),
                use_integers_for_enums=False,
                always_print_fields_with_no_presence=False,
            )
        )
        model, number = self._place_of(said["model"])
        own = said.get("id") or str(next(self._numbers) + 4_294_967_000)
        split = {own if one == "0" else one: int(share) for one, share in asked.json.get("trafficSplit", {}).items()}
        late = self.late.pop(0) if self.late else None

        def make() -> Mapping[str, Any]:
            if late is not None:
                raise late
            environ = self.environ_of(model, number)
            if self.crashes(environ):
                # github.com/googleapis/python-aiplatform/issues/4559
                raise No("FAILED_PRECONDITION", "Model server exited unexpectedly. Model server logs can be found at ...")
            found.deployed[own] = {**said, "id": own, "createTime": _now(), "version": (model, number)}
            self._log(id, own, "ready")
            if split:
                self._check_split(found, split)
                found.split = split
            found.etag = self._etag()
            return typed(_KIND + "DeployModelResponse", deployedModel=self._told_deployed(own, found.deployed[own]))

        metadata = typed(_KIND + "DeployModelOperationMetadata", deploymentStage="STARTING_DEPLOYMENT")
        return self.operations.begin(f"{PLACE}/endpoints/{id}", make, metadata)

    def _log(self, endpoint: str, own: str, text: str) -> None:
        """As a container's lines come to Cloud Logging."""
        self.logging.entries.append(
            {
                "logName": f"projects/{PROJECT}/logs/aiplatform.googleapis.com%2Fprediction_container",
                "resource": {
                    "type": "aiplatform.googleapis.com/Endpoint",
                    "labels": {"endpoint_id": endpoint, "location": REGION},
                },
                "labels": {"deployed_model_id": own, "replica_id": f"{own}-7d9f"},
                "textPayload": text,
                "timestamp": _now(),
                "insertId": str(next(self._numbers)),
            }
        )

    def _endpoints_undeployModel(self, params: Mapping[str, str], asked: Asked) -> Any:
        id, found = self._endpoint(params["endpoint"])
        self._alone(id)
        own = asked.json["deployedModelId"]
        if own not in found.deployed:
            raise No("NOT_FOUND", f"The Endpoint has no deployed model {own}.")
        if found.split.get(own):
            raise No("FAILED_PRECONDITION", f"the deployed model {own} has {found.split[own]} % of the traffic")

        def end() -> Mapping[str, Any]:
            found.deployed.pop(own, None)
            found.split.pop(own, None)
            found.etag = self._etag()
            return typed(_KIND + "UndeployModelResponse")

        return self.operations.begin(f"{PLACE}/endpoints/{id}", end, typed(_KIND + "UndeployModelOperationMetadata"))

    def _endpoints_mutateDeployedModel(self, params: Mapping[str, str], asked: Asked) -> Any:
        id, found = self._endpoint(params["endpoint"])
        self._alone(id)
        said, own = asked.json["deployedModel"], asked.json["deployedModel"]["id"]
        paths = [path.split(".")[1] for path in _camel(asked.json["updateMask"]).split(",")]
        assert set(paths) <= {"minReplicaCount", "maxReplicaCount", "autoscalingMetricSpecs"}, paths

        def change() -> Mapping[str, Any]:
            resources = found.deployed[own]["dedicatedResources"]
            for path in paths:
                resources[path] = said["dedicatedResources"].get(path, [])
            return typed(_KIND + "MutateDeployedModelResponse", deployedModel=self._told_deployed(own, found.deployed[own]))

        return self.operations.begin(f"{PLACE}/endpoints/{id}", change, typed(_KIND + "MutateDeployedModelOperationMetadata"))

    def _endpoint(self, name: str) -> tuple[str, Endpoint]:
        id = name.rpartition("/")[2]
        if id not in self.endpoints:
            raise No("NOT_FOUND", f"The Endpoint {id} does not exist.")
        return id, self.endpoints[id]

    def _alone(self, id: str) -> None:
        """One change of an endpoint at a time (from memory, verify: its words)."""
        running = self.operations.running(f"{PLACE}/endpoints/{id}")
        if running:
            names = ", ".join(one.name for one in running)
            raise No("FAILED_PRECONDITION", f"There are other operations running on the Endpoint: {names}")

    def _check_split(self, found: Endpoint, split: Mapping[str, int]) -> None:
        unknown = set(split) - set(found.deployed)
        if unknown:
            raise No("INVALID_ARGUMENT", f"the traffic split names {', '.join(sorted(unknown))}, which are not deployed")
        if split and sum(split.values()) != 100:
            raise No("INVALID_ARGUMENT", f"the traffic split adds up to {sum(split.values())}, and not to 100")

    def _told_endpoint(self, id: str, found: Endpoint) -> dict[str, Any]:
        deployed = [self._told_deployed(own, one) for own, one in found.deployed.items()]
        said = {**found.said, "name": f"{PLACE}/endpoints/{id}", "etag": found.etag, "updateTime": _now()}
        return {**said, "deployedModels": deployed, "trafficSplit": found.split}

    def _told_deployed(self, own: str, one: Mapping[str, Any]) -> dict[str, Any]:
        is_gone = own in self.preempted
        status: dict[str, Any] = {"availableReplicaCount": 0 if is_gone else one["dedicatedResources"]["minReplicaCount"]}
        status |= {
            "lastUpdateTime": _now(),
            **({"message": "STOCKOUT: no machine is to be had in the zones"} if is_gone else {}),
        }
        said = {name: text for name, text in one.items() if name != "version"}
        return {**said, "model": f"{PLACE}/models/{one['version'][0]}", "modelVersionId": one["version"][1], "status": status}

    # -- predictions -----------------------------------------------------------------------------------------------------

    def _endpoints_predict(self, params: Mapping[str, str], asked: Asked) -> Any:
        own, one, status, body = self._led(params["endpoint"], asked.body)
        if status != 200:
            raise No("FAILED_PRECONDITION", body.decode())
        said = {"deployedModelId": own, "model": f"{PLACE}/models/{one['version'][0]}", "modelVersionId": one["version"][1]}
        return {**said, "predictions": json.loads(body)["predictions"]}

    def _endpoints_rawPredict(self, params: Mapping[str, str], asked: Asked) -> Any:
        own, _, status, body = self._led(params["endpoint"], asked.body)
        headers = {"Content-Type": "application/json", "X-Vertex-AI-Deployed-Model-Id": own}
        return Told(status, headers, body)

    def _led(self, name: str, body: bytes) -> tuple[str, dict[str, Any], int, bytes]:
        _, found = self._endpoint(name)
        if not found.split:
            # github.com/GoogleCloudPlatform/explainable_ai_sdk/issues/3
            raise No("FAILED_PRECONDITION", f"Endpoint {name} doesn't have traffic_split.")
        line = [own for own, share in sorted(found.split.items()) for _ in range(share)]
        own = line[next(self._turns) * 37 % len(line)]
        if own in self.preempted:
            raise No("UNAVAILABLE", "no machine is to be had")
        one = found.deployed[own]
        model, number = one["version"]
        route = self.models[model].versions[number]["containerSpec"]["predictRoute"]
        return own, one, *self.answers(self.environ_of(model, number), route, body)

    def environ_of(self, model: str, number: str) -> dict[str, str]:
        spec = self.models[model].versions[number]
        said = {one["name"]: one.get("value", "").replace("$$", "$") for one in spec["containerSpec"].get("env", ())}
        return {**said, "CONTENT": spec.get("versionDescription", ""), "IMAGE": spec["containerSpec"]["imageUri"]}

    # -- operations ------------------------------------------------------------------------------------------------------

    def _operations_get(self, params: Mapping[str, str], asked: Asked) -> Any:
        return self.operations.look(params["name"])

    def _operations_list(self, params: Mapping[str, str], asked: Asked) -> Any:
        of = f"{PLACE}/endpoints/{params['name'].rpartition('/')[2]}"
        return {"operations": [one.told for one in self.operations.known.values() if one.of == of]}

    def _gone(self, name: str, kind: str, act: Callable[[], object]) -> dict[str, Any]:
        def work() -> Mapping[str, Any]:
            act()
            return typed("google.protobuf.Empty")

        place = name.partition("@")[0].replace(f"projects/{PROJECT}/", f"projects/{NUMBER}/")
        return self.operations.begin(place, work, typed(_KIND + "DeleteOperationMetadata"))

    def _etag(self) -> str:
        return f"AMEw9y{next(self._numbers)}"


def _now() -> str:
    return datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _camel(mask: str) -> str:
    return re.sub(r"_([a-z])", lambda found: found[1].upper(), mask)


# -- an account, and a service on it -----------------------------------------------------------------------------------------


@dataclass
class Account:
    """The world behind the proxy. broken: content -> how; versions: content -> number."""

    google: Google
    vertex: Vertex
    storage: Storage
    registry: ArtifactRegistry
    projects: Projects
    services: Services
    accounts: Accounts
    logging: Logging
    monitoring: Monitoring
    machines: Machines
    environ: dict[str, str]
    versions: dict[str, int]
    broken: dict[str, str]
    door: Door = field(
        default_factory=lambda: SdkDoor(PROJECT, REGION, sleep=lambda seconds: None)
    )  # a client takes a while to make

    def reset(self) -> None:
        """As it was before anybody came."""
        kept = (
            self.vertex.models,
            self.vertex.endpoints,
            self.vertex.late,
            self.vertex.preempted,
            self.vertex.operations.known,
        )
        for one in (*kept, self.storage.buckets, self.storage.objects, self.registry.repositories, self.registry.gone):
            one.clear()
        for one in (self.logging.entries, self.logging.filters, self.monitoring.series, self.machines.zones, self.google.asked):
            one.clear()
        self.projects.denied, self.services.disabled, self.services.quotas = set(), set(), {}
        self.accounts.known, self.machines.reservations = set(), {}
        self.google.before = lambda method, asked: None
        self.vertex.operations.stands = False


@contextmanager
def account(folder: Path, port: int, operations: Operations | None = None) -> Iterator[Account]:
    """port: of a docker-registry."""
    running = operations or Operations()
    versions: dict[str, int] = {}
    broken: dict[str, str] = {}

    def answers(environ: Mapping[str, str], route: str, body: bytes) -> tuple[int, bytes]:
        """What the server in a container says."""
        assert route == "/vertex/predict"
        content = environ["CONTENT"]
        how = broken.get(content, "")
        if json.loads(body)["instances"] == [{"mlship": "release"}]:
            said: Any = {"release": "r0-000000" if how == "lies" else environ["MLSHIP_RELEASE"]}
        else:
            said = 0 if how == "answers" else versions[content]
        return 200, json.dumps({"predictions": [said]}).encode()

    vertex = Vertex(running, answers)
    vertex.crashes = lambda environ: broken.get(environ["CONTENT"]) == "crash"
    registry = ArtifactRegistry(running, port, REGION)
    parts = (Storage(), Projects(), Services(), Accounts(), vertex.logging, Monitoring(), Machines())
    storage, projects, services, accounts, logging, monitoring, machines = parts
    google = Google(
        plays={
            "aiplatform": vertex,
            "artifactregistry": registry,
            "storage": storage,
            "cloudresourcemanager": projects,
            "serviceusage": services,
            "iam": accounts,
            "logging": logging,
            "monitoring": monitoring,
            "compute": machines,
        },
        forwards={registry.host: port},
    )
    with inspecting_proxy(google.answer, folder / "proxy", google.forwards) as environ:
        environ |= credentials_file(folder / "identity")
        yield Account(
            *(google, vertex, storage, registry, projects, services, accounts, logging, monitoring, machines),
            *(environ, versions, broken),
        )


class VertexService:
    """Implements contract.Harness."""

    def __init__(self, folder: Path, world: Account, /, project: str = "churn", environment: str = "", **settings: Any) -> None:
        self.home, self.world = Home(folder / "home"), world
        self.project, self.environment = project, environment
        self.settings = {"region": REGION, "project": PROJECT, "service": "vertex", "instance": INSTANCE, **settings}

    def open(self, door: Door | None = None) -> VertexTarget:
        opening = Opening(
            project=self.project,
            environment=self.environment,
            home=self.home,
            runner=LocalRunner(),
            clock=time.time,
            who="anna@test",
            environ={**self.world.environ},
            settings=self.settings,
        )
        return VertexTarget(opening, door or self.world.door, poll_s=0.001)

    def deployment(self, version: int, broken: str = "") -> Deployment:
        image = image_of(Layout(self.home.images), (100,), seed=version * 10 + len(broken))
        self.world.versions[image.content] = version
        self.world.broken[image.content] = broken
        model = ServedModel(self.project, f"{version:064x}")
        served = Served(image.content, (model,), resources={"cpu": 1000, "memory": 2 * 2**30})
        proof = Proof(({"age": 30},), {"predictions": [version]}, {"rtol": 1e-6, "atol": 1e-9})
        release = Release(0, served, 0.0, proofs={self.project: proof})
        operating = {"labels": {}, "settings": self.settings}
        return Deployment(
            self.project, self.environment, "gcp", "vertex", release, self.settings, operating, startup_timeout_s=10.0
        )

    def left(self) -> list[str]:
        """Everything of the project, whatever service it is of."""
        world = self.world
        objects = [name for _, name in world.storage.objects]
        return [*world.vertex.models, *world.vertex.endpoints, *world.registry.images(), *objects]
