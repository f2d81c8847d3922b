"""SageMaker on loopback: moto keeps models, configurations, tags, logs, alarms and autoscaling; what it lacks stands here.

That is the endpoint: states over several looks, updates by weights and by SageMaker's own shifting, what comes up and what does not,
updates that are set back without a word, and machines that answer InvokeEndpoint. Every request, and every answer that is made here, is
checked against botocore's service model (aws_model.py). What the service refuses and moto takes is refused here.
"""

from __future__ import annotations

import io
import itertools
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aws_model
from registry_images import image_of
from sagemaker_parts import ACCOUNT, REGION, CheckedDoor, Emulated

from mlship.home import Home
from mlship.oci.layout import Layout
from mlship.releases.release import Proof, Release, Served, ServedModel
from mlship.runner import LocalRunner
from mlship.targets.aws.door import Door, Refused, refusal
from mlship.targets.aws.sagemaker.target import SagemakerTarget
from mlship.targets.base import Deployment, Opening

INSTANCE = "ml.m5.large"
LOOKS = 2  # at an endpoint until it is up
LOOK_S = 10.0  # that pass with each look
BAKED = 3  # looks at which a canary is watched


@dataclass
class Machines:
    """A variant at an endpoint. release: as its model says; content: of the image."""

    slot: str
    release: str
    content: str
    count: int
    weight: float
    told: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Update:
    """What an endpoint is on its way to. looks: until it is there; shifting: DeploymentConfig; at: how many looks were had."""

    config: str
    variants: list[Machines]
    shifting: Mapping[str, Any] = field(default_factory=dict)
    at: int = 0
    comes_up: bool = True


@dataclass
class FakeEndpoint:
    name: str
    config: str
    variants: list[Machines]
    status: str = "Creating"
    update: Update | None = None
    reason: str = ""
    left: int = LOOKS
    shifting: Mapping[str, Any] = field(default_factory=dict)

    @property
    def arn(self) -> str:
        return f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:endpoint/{self.name}"


@dataclass
class SagemakerAccount(Emulated):
    """quota: machines of a type at endpoints. set_back: names of configurations that SageMaker takes back without a word.

    broken: content -> how; versions: content -> number.
    """

    versions: dict[str, int] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=itertools.count)
    endpoints: dict[str, FakeEndpoint] = field(default_factory=dict)
    quota: int = 100
    set_back: set[str] = field(default_factory=set)
    requests: Iterator[int] = field(default_factory=itertools.count)
    looks: Iterator[int] = field(default_factory=itertools.count)
    counts: dict[str, dict[str, float]] = field(
        default_factory=dict
    )  # variant -> what CloudWatch has counted more at each look
    totals: dict[str, float] = field(default_factory=dict)
    sent: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    # -- the control plane -------------------------------------------------------------------------------------------------

    def create_endpoint(self, said: Mapping[str, Any]) -> dict[str, Any]:
        name, config = said["EndpointName"], said["EndpointConfigName"]
        if name in self.endpoints:
            raise _no("create-endpoint", f"Cannot create already existing endpoint {name}")
        self.client("sagemaker").create_endpoint(**said)
        made = FakeEndpoint(name, config, self._machines(config))
        self._within_quota(made.variants)
        self.endpoints[name] = made
        self._start(name, made.variants)
        return {"EndpointArn": made.arn}

    def update_endpoint(self, said: Mapping[str, Any]) -> dict[str, Any]:
        one, config = self._found(said["EndpointName"]), said["EndpointConfigName"]
        self._is_at_rest(one)
        if config == one.config:
            raise _no("update-endpoint", f"the endpoint has the configuration {config} already")
        wanted, shifting = self._machines(config), said.get("DeploymentConfig") or {}
        slots = {variant.slot for variant in wanted}
        if shifting and slots != {variant.slot for variant in one.variants}:
            raise _no("update-endpoint", "a deployment configuration takes the same variant names")
        for variant in one.variants:
            after = next((new for new in wanted if new.slot == variant.slot), None)
            changes = after is None or after.told["InstanceType"] != variant.told["InstanceType"]
            if changes and self._is_scaled(one.name, variant.slot):
                raise _no("update-endpoint", f"the variant {variant.slot} must be deregistered from autoscaling")
            if after is not None and said.get("RetainAllVariantProperties"):
                after.count = variant.count
        assert _excludes_weight(said), "a retained weight of 0 would lead callers nowhere"
        self._within_quota(wanted)
        one.status, one.shifting = "Updating", shifting
        one.update = Update(config, wanted, shifting, comes_up=not self._crashes(wanted) and config not in self.set_back)
        self._start(one.name, [new for new in wanted if new.content not in {old.content for old in one.variants}])
        return {"EndpointArn": one.arn}

    def update_weights(self, said: Mapping[str, Any]) -> dict[str, Any]:
        one = self._found(said["EndpointName"])
        self._is_at_rest(one)
        wanted = [Machines(**vars(variant)) for variant in one.variants]
        for change in said["DesiredWeightsAndCapacities"]:
            variant = next(variant for variant in wanted if variant.slot == change["VariantName"])
            variant.weight = change.get("DesiredWeight", variant.weight)
            variant.count = change.get("DesiredInstanceCount", variant.count)
        one.status, one.update = "Updating", Update(one.config, wanted, at=LOOKS - 1)
        return {"EndpointArn": one.arn}

    def delete_endpoint(self, said: Mapping[str, Any]) -> dict[str, Any]:
        one = self._found(said["EndpointName"])
        if one.status != "Failed":
            self._is_at_rest(one)
        self.client("sagemaker").delete_endpoint(**said)
        one.status, one.left = "Deleting", 1
        return {}

    def describe_endpoint(self, said: Mapping[str, Any]) -> dict[str, Any]:
        one = self._found(said["EndpointName"])
        told = self._told(one)
        self._goes_on(one)
        return told

    def _goes_on(self, one: FakeEndpoint) -> None:
        """What happens until the next look."""
        if one.status == "Deleting":
            one.left -= 1
            if one.left <= 0:
                del self.endpoints[one.name]
        elif one.status == "Creating":
            one.left -= 1
            if one.left <= 0:
                up = not self._crashes(one.variants)
                one.status = "InService" if up else "Failed"
                one.reason = "" if up else "The primary container for production variant a did not pass the ping health check."
        elif one.update is not None:
            self._updates(one, one.update)

    def _updates(self, one: FakeEndpoint, update: Update) -> None:
        update.at += 1
        baked = BAKED if update.shifting and _is_stepped(update.shifting) else 0
        if update.at < LOOKS:
            return
        if one.status == "RollingBack" or not update.comes_up or (update.shifting and self._has_alarm(update.shifting)):
            if one.status != "RollingBack" and not self._crashes(update.variants):
                one.status, update.at = "RollingBack", LOOKS - 1
                return
            one.status, one.update, one.reason = "InService", None, ""
        elif update.at >= LOOKS + baked:
            one.config, one.variants, one.update, one.status = update.config, update.variants, None, "InService"

    def _told(self, one: FakeEndpoint) -> dict[str, Any]:
        now = datetime.now(UTC)
        told: dict[str, Any] = {
            "EndpointName": one.name,
            "EndpointArn": one.arn,
            "EndpointConfigName": one.config,
            "EndpointStatus": one.status,
            "CreationTime": now,
            "LastModifiedTime": now,
        }
        if one.status not in ("Creating", "Failed"):
            told["ProductionVariants"] = [_summary(variant) for variant in one.variants]
        if one.reason:
            told["FailureReason"] = one.reason
        if one.update is not None and one.update.config != one.config:
            state = "Baking" if one.update.shifting and one.update.at >= LOOKS else "Creating"
            variants = [{**_summary(new), "VariantStatus": [{"Status": state}]} for new in one.update.variants]
            told["PendingDeploymentSummary"] = {"EndpointConfigName": one.update.config, "ProductionVariants": variants}
        return told

    # -- the data plane ----------------------------------------------------------------------------------------------------

    def invoke_endpoint(self, said: Mapping[str, Any]) -> dict[str, Any]:
        one = self.endpoints.get(said["EndpointName"])
        if one is None or one.status in ("Creating", "Failed", "Deleting"):
            raise refusal("sagemaker-runtime invoke-endpoint", {"Code": "ValidationError", "Message": "Endpoint not found."})
        variants = one.variants
        is_new = one.update is not None and one.update.shifting and one.update.at >= LOOKS and next(self.requests) % 4 == 0
        if one.update is not None and is_new:
            variants = one.update.variants
        chosen = self._chosen(variants, str(said.get("TargetVariant") or ""))
        broken, version = self.broken.get(chosen.content, ""), self.versions[chosen.content]
        body: dict[str, Any] = {"predictions": [0 if broken == "answers" else version]}
        if json.loads(said["Body"]) == {"mlship": "release"}:
            body = {"release": "r0-000000" if broken == "lies" else chosen.release, "ready": True}
        return {
            "Body": io.BytesIO(json.dumps(body).encode()),
            "ContentType": "application/json",
            "InvokedProductionVariant": chosen.slot,
            "CustomAttributes": f"mlship-release={chosen.release}",
        }

    def _chosen(self, variants: list[Machines], wanted: str) -> Machines:
        if wanted:
            return next(variant for variant in variants if variant.slot == wanted)
        line = [variant for variant in variants for _ in range(round(variant.weight * 100))]
        return line[next(self.requests) * 37 % len(line)]

    # -- what else there is ------------------------------------------------------------------------------------------------

    def _machines(self, config: str) -> list[Machines]:
        sagemaker, found = self.client("sagemaker"), []
        for told in sagemaker.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"]:
            model = sagemaker.describe_model(ModelName=told["ModelName"])
            tags = sagemaker.list_tags(ResourceArn=model["ModelArn"])["Tags"]
            content = next(tag["Value"] for tag in tags if tag["Key"] == "mlship.content")
            release = model["PrimaryContainer"]["Environment"]["MLSHIP_RELEASE"]
            count, weight = told["InitialInstanceCount"], float(told["InitialVariantWeight"])
            found.append(Machines(told["VariantName"], release, content, count, weight, told))
        return found

    def _start(self, endpoint: str, variants: list[Machines]) -> None:
        """Every machine writes into a stream of its own."""
        logs, group = self.client("logs"), f"/aws/sagemaker/Endpoints/{endpoint}"
        for variant in variants:
            stream = f"{variant.slot}/i-{next(self.numbers):017x}"
            place = {"logGroupName": group, "logStreamName": stream}
            said = {"event": "ready", "release": variant.release, "time": "2026-11-23T05:00:00Z"}
            lines = [json.dumps(said), "ready"]
            now = int(time.time() * 1000)
            logs.create_log_stream(**place)
            logs.put_log_events(**place, logEvents=[{"timestamp": now + at, "message": text} for at, text in enumerate(lines)])

    def _crashes(self, variants: list[Machines]) -> bool:
        return any(self.broken.get(variant.content) == "crash" for variant in variants)

    def _has_alarm(self, shifting: Mapping[str, Any]) -> bool:
        names = [one["AlarmName"] for one in (shifting.get("AutoRollbackConfiguration") or {}).get("Alarms") or ()]
        told = self.client("cloudwatch").describe_alarms(AlarmNames=names)["MetricAlarms"] if names else []
        assert len(told) == len(names), "SageMaker refuses alarms that there are not"
        return any(one["StateValue"] == "ALARM" for one in told)

    def _is_scaled(self, endpoint: str, slot: str) -> bool:
        place = f"endpoint/{endpoint}/variant/{slot}"
        told = self.client("application-autoscaling").describe_scalable_targets(
            ServiceNamespace="sagemaker", ResourceIds=[place]
        )
        return bool(told["ScalableTargets"])

    def _found(self, name: str) -> FakeEndpoint:
        if name not in self.endpoints:
            raise _no("describe-endpoint", f"Could not find endpoint {name}")
        return self.endpoints[name]

    def _is_at_rest(self, one: FakeEndpoint) -> None:
        if one.status != "InService":
            raise _no("update-endpoint", f"Cannot update in-progress endpoint {one.name}: {one.status}")

    def _within_quota(self, more: list[Machines]) -> None:
        used = sum(variant.count for one in self.endpoints.values() for variant in one.variants)
        if used + sum(variant.count for variant in more) > self.quota:
            said = {"Code": "ResourceLimitExceeded", "Message": f"the account-level limit of {INSTANCE} is {self.quota}"}
            raise refusal("sagemaker update-endpoint", said)

    def in_use(self) -> set[str]:
        ends = self.endpoints.values()
        return {one.config for one in ends} | {one.update.config for one in ends if one.update is not None}


def _no(operation: str, text: str) -> Refused:
    return refusal(f"sagemaker {operation}", {"Code": "ValidationException", "Message": text})


def _summary(variant: Machines) -> dict[str, Any]:
    return {
        "VariantName": variant.slot,
        "CurrentWeight": variant.weight,
        "DesiredWeight": variant.weight,
        "CurrentInstanceCount": variant.count,
        "DesiredInstanceCount": variant.count,
    }


def _is_stepped(shifting: Mapping[str, Any]) -> bool:
    policy = shifting.get("BlueGreenUpdatePolicy") or {}
    return (policy.get("TrafficRoutingConfiguration") or {}).get("Type") != "ALL_AT_ONCE" or bool(
        policy.get("TerminationWaitInSeconds")
    )


def _excludes_weight(said: Mapping[str, Any]) -> bool:
    excluded = [one["VariantPropertyType"] for one in said.get("ExcludeRetainedVariantProperties") or ()]
    return not said.get("RetainAllVariantProperties") or "DesiredWeight" in excluded


class SagemakerDoor(CheckedDoor):
    """The real door to moto, and the endpoints of the account."""

    def __init__(self, account: SagemakerAccount) -> None:
        super().__init__(account)
        self.world = account

    def call(self, service: str, operation: str, /, **said: Any) -> dict[str, Any]:
        own = _OWN.get((service, operation))
        if own is None:
            self._refuse(service, operation, said)
            return super().call(service, operation, **said)
        aws_model.check_request(service, operation, said)
        self.world.sent.append((operation, said))
        answer: dict[str, Any] = getattr(self.world, own)(said)
        if operation != "delete_endpoint":
            aws_model.check_answer(service, operation, answer)
        return answer

    def all(self, service: str, operation: str, key: str, /, **said: Any) -> list[Any]:
        if (service, operation) == ("service-quotas", "list_service_quotas"):
            aws_model.check_request(service, operation, said)
            return [{"QuotaName": f"{INSTANCE} for endpoint usage", "Value": float(self.world.quota)}]
        if (service, operation) == ("cloudwatch", "get_metric_data"):
            aws_model.check_request(service, operation, said)
            return [self._metric(query) for query in said["MetricDataQueries"]]
        return super().all(service, operation, key, **said)

    def _metric(self, query: Mapping[str, Any]) -> dict[str, Any]:
        slot = query["MetricStat"]["Metric"]["Dimensions"][1]["Value"]
        more = self.world.counts.get(slot, {}).get(query["Id"], 0.0)
        total = self.world.totals.setdefault(slot + query["Id"], 0.0) + more
        self.world.totals[slot + query["Id"]] = total
        return {"Id": query["Id"], "Values": [total]}

    def _refuse(self, service: str, operation: str, said: Mapping[str, Any]) -> None:
        """What moto takes and the service does not."""
        sagemaker = self.world.client("sagemaker")
        if service != "sagemaker":
            return
        models = [one["ModelName"] for one in sagemaker.list_models()["Models"]]
        if operation == "create_model" and said["ModelName"] in models:
            raise _no("create-model", f"Cannot create already existing model {said['ModelName']}")
        if operation == "create_endpoint_config":
            known = [one["EndpointConfigName"] for one in sagemaker.list_endpoint_configs()["EndpointConfigs"]]
            if said["EndpointConfigName"] in known:
                raise _no("create-endpoint-config", "Cannot create already existing endpoint configuration")
        if operation == "delete_endpoint_config":
            assert said["EndpointConfigName"] not in self.world.in_use(), "a configuration in use must not be deleted"


_OWN = {
    ("sagemaker", "create_endpoint"): "create_endpoint",
    ("sagemaker", "update_endpoint"): "update_endpoint",
    ("sagemaker", "update_endpoint_weights_and_capacities"): "update_weights",
    ("sagemaker", "delete_endpoint"): "delete_endpoint",
    ("sagemaker", "describe_endpoint"): "describe_endpoint",
    ("sagemaker-runtime", "invoke_endpoint"): "invoke_endpoint",
}


class SagemakerService:
    """Implements contract.Harness."""

    def __init__(
        self, folder: Path, world: SagemakerAccount, /, project: str = "churn", environment: str = "", **settings: Any
    ) -> None:
        self.home, self.account_of = Home(folder / "home"), world
        self.project, self.environment = project, environment
        self.settings = {"region": REGION, "service": "sagemaker", "instance": INSTANCE, **settings}

    def open(self, door: Door | None = None) -> SagemakerTarget:
        opening = Opening(
            project=self.project,
            environment=self.environment,
            home=self.home,
            runner=LocalRunner(),
            clock=lambda: time.time() + LOOK_S * next(self.account_of.looks),  # what never settles is given up soon
            who="anna@test",
            environ=dict(self.account_of.environ),
            settings=self.settings,
        )
        return SagemakerTarget(opening, door or SagemakerDoor(self.account_of), poll_s=0.0)

    def deployment(self, version: int, broken: str = "") -> Deployment:
        image = image_of(Layout(self.home.images), (100,), seed=version * 10 + len(broken))
        self.account_of.versions[image.content] = version
        self.account_of.broken[image.content] = broken
        served = Served(
            image.content, (ServedModel(self.project, f"{version:064x}"),), resources={"cpu": 1000, "memory": 2 * 2**30}
        )
        proof = Proof(({"age": 30},), {"predictions": [version]}, {"rtol": 1e-6, "atol": 1e-9})
        release = Release(0, served, 0.0, proofs={self.project: proof})
        operating = {"labels": {}, "settings": self.settings}
        return Deployment(
            self.project, self.environment, "aws", "sagemaker", release, self.settings, operating, startup_timeout_s=10.0
        )

    def left(self) -> list[str]:
        """Everything that carries the project's name, whatever service it is of."""
        account = self.account_of
        stacks = account.client("cloudformation").describe_stacks()["Stacks"]
        found = [stack["StackName"] for stack in stacks if stack["StackStatus"] != "DELETE_COMPLETE"]
        found += list(account.endpoints)
        sagemaker = account.client("sagemaker")
        found += [one["EndpointConfigName"] for one in sagemaker.list_endpoint_configs()["EndpointConfigs"]]
        found += [one["ModelName"] for one in sagemaker.list_models()["Models"]]
        found += [one["AlarmName"] for one in account.client("cloudwatch").describe_alarms()["MetricAlarms"]]
        told = account.client("application-autoscaling").describe_scalable_targets(ServiceNamespace="sagemaker")
        found += [one["ResourceId"] for one in told["ScalableTargets"]]
        found += [one["logGroupName"] for one in account.client("logs").describe_log_groups()["logGroups"]]
        for bucket in account.client("s3").list_buckets()["Buckets"]:
            objects = account.client("s3").list_objects_v2(Bucket=bucket["Name"]).get("Contents", [])
            found += [one["Key"] for one in objects]
        return found
