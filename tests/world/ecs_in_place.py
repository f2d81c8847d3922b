"""Services of ECS without a balancer: what no emulator has of them. A task's address and health, deployments that do not come up, the
circuit breaker that takes them back (states: service model of botocore 1.44.5), and names of Cloud Map, which moto's CloudFormation does
not make. Each look at a service is a step of its deployment.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

import aws_model

LOOKS = 2  # at a deployment that does not come up, until the circuit breaker has counted enough
UNWELL = ("unwell", "lies")  # what the container's own check finds
TAKEN_BACK = "ECS deployment circuit breaker: rolling back to deploymentId ecs-svc/1234567890."


class World(Protocol):
    broken: dict[str, str]
    copies: dict[str, Any]

    def client(self, service: str, endpoint: str = "") -> Any: ...

    def run_tasks(self) -> None: ...


class InPlaceEcs:
    """taken_back: task definitions that the circuit breaker gave up."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._looks: Counter[str] = Counter()
        self.taken_back: list[str] = []

    # -- ECS -----------------------------------------------------------------------------------------------------------------

    def tell_tasks(self, tasks: Sequence[dict[str, Any]]) -> None:
        for task in tasks:
            if task.get("stoppedReason") == "Task definition updated":  # ministack says so of what its scheduler stops
                task["stopCode"] = "ServiceSchedulerInitiated"
            copy = self._world.copies.get(task["taskArn"])
            if copy is None or copy.group:
                continue
            task["healthStatus"] = "UNHEALTHY" if self._is_unwell(copy) else "HEALTHY"
            place = [{"name": "privateIPv4Address", "value": copy.address}]
            task["attachments"] = [{"type": "ElasticNetworkInterface", "status": "ATTACHED", "details": place}]

    def tell_services(self, services: Sequence[dict[str, Any]]) -> None:
        for told in services:
            if not told.get("serviceRegistries") or told["status"] != "ACTIVE" or not told["desiredCount"]:
                continue
            primary, definition = told["deployments"][0], told["taskDefinition"]
            if not self._fails(definition, told):
                if self.taken_back and definition != self.taken_back[-1]:
                    primary["rolloutStateReason"] = TAKEN_BACK
                continue
            primary["rolloutState"] = "IN_PROGRESS"
            self._looks[definition] += 1
            if self._looks[definition] >= LOOKS:
                self._give_up(told, primary, definition)

    def _fails(self, definition: str, told: Mapping[str, Any]) -> bool:
        family = definition.rpartition("/")[2].rpartition(":")[0]
        own = [copy for copy in self._world.copies.values() if family.endswith(copy.release)]
        return len(own) < told["desiredCount"] or any(self._is_unwell(copy) for copy in own)

    def _give_up(self, told: dict[str, Any], primary: dict[str, Any], definition: str) -> None:
        """As its own configuration says."""
        breaker = told["deploymentConfiguration"]["deploymentCircuitBreaker"]
        assert breaker == {"enable": True, "rollback": True}
        before = next((one["taskDefinition"] for one in told["deployments"][1:] if one["taskDefinition"] != definition), None)
        if before is None or before in self.taken_back:
            primary.update(rolloutState="FAILED", rolloutStateReason="ECS deployment circuit breaker: tasks failed to start.")
            return
        self.taken_back.append(definition)
        self._looks.clear()
        place = {"cluster": told["clusterArn"], "service": told["serviceName"]}
        self._world.client("ecs").update_service(**place, taskDefinition=before)
        self._world.run_tasks()

    def _is_unwell(self, copy: Any) -> bool:
        return self._world.broken.get(copy.content) in UNWELL

    # -- Cloud Map -------------------------------------------------------------------------------------------------------------

    def make_names(self, resources: Mapping[str, Any], ids: Mapping[str, str]) -> dict[str, str]:
        """Of a template, once: logical id -> what Ref or Arn of it says."""
        cloud_map, made = self._world.client("servicediscovery"), {}
        if "Namespace" in resources:
            said = {**resources["Namespace"]["Properties"], "Vpc": ids["Vpc"]}
            aws_model.check_request("servicediscovery", "create_private_dns_namespace", said)
            with suppress(cloud_map.exceptions.ClientError):  # it is there
                cloud_map.create_private_dns_namespace(**said)
            made["Namespace"] = next(
                one["Id"] for one in cloud_map.list_namespaces()["Namespaces"] if one["Name"] == said["Name"]
            )
        if "Registry" in resources:
            said = dict(resources["Registry"]["Properties"])
            if isinstance(said["NamespaceId"], dict):
                said["NamespaceId"] = made["Namespace"]
            aws_model.check_request("servicediscovery", "create_service", said)
            there = [one["Arn"] for one in cloud_map.list_services()["Services"] if one["Name"] == said["Name"]]
            made["Registry"] = there[0] if there else cloud_map.create_service(**said)["Service"]["Arn"]
        return made

    def forget_names(self) -> None:
        cloud_map = self._world.client("servicediscovery")
        for one in cloud_map.list_services()["Services"]:
            cloud_map.delete_service(Id=one["Id"])
        for one in cloud_map.list_namespaces()["Namespaces"]:
            if one["Name"].startswith("mlship-"):
                cloud_map.delete_namespace(Id=one["Id"])
