"""Deployed models of an endpoint: those that a deployment wants are there, those that nobody wants go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mlship.targets.base import Deployment, Outcome
from mlship.targets.gcp.door import MISSING, Body, Door, Refused
from mlship.targets.gcp.scope import Scope
from mlship.targets.gcp.variables import filled
from mlship.targets.gcp.vertex import bodies, seen
from mlship.targets.gcp.vertex.bodies import PROOF
from mlship.targets.gcp.vertex.operations import DEPLOY_S, SETTLE_S, Begun, Operations
from mlship.targets.gcp.vertex.seen import ENDPOINTS, Deployed, Endpoint

# A server that does not start is told as FAILED_PRECONDITION, "Model server exited unexpectedly" (github.com/googleapis/
# python-aiplatform/issues/4559, 2024); an image that is no server as INVALID_ARGUMENT. All else is Google's or the project's.
ITS_FAULT = ("FAILED_PRECONDITION", "INVALID_ARGUMENT")


@dataclass(frozen=True)
class Fleet:
    door: Door
    scope: Scope
    operations: Operations

    def complete(self, deployment: Deployment, ends: tuple[str, ...] = ("",), release: str = "") -> Outcome:
        """What the deployment wants stands at these endpoints. One endpoint takes one change at a time, several take theirs together.

        release: another one than the deployment's, on the same machines.
        """
        names = {end: seen.endpoint_name(self.door, self.scope, end) for end in ends}
        self.operations.settle(names.values())
        waits: dict[str, list[Body]] = {}
        for end, name in names.items():
            found = seen.endpoint(self.door, self.scope, end)
            assert found is not None, "stage makes the endpoint"
            is_proof = end == PROOF
            asked = [bodies.proof_model(deployment)] if is_proof else list(bodies.deployed_models(deployment, release).values())
            asked = filled(asked, {"Project": self.door.project})
            self._scale(found, asked)
            waits[name] = [one for one in asked if _matching(found, one) is None]
        done = self._deployed(waits)
        if done.ok and PROOF in ends:
            self._lead_to_proof(deployment.release.id)
        return done

    def undeploy(self, release: str, end: str) -> None:
        """Raises nothing where it is gone already; the endpoint takes it only where no caller is led to it."""
        found = seen.endpoint(self.door, self.scope, end)
        for one in found.of(release) if found else ():
            assert found is not None
            self._undeployed(found, one)

    def undeploy_idle(self, release: str) -> None:
        """Of a release that has callers, those that have none. One that has lost its machines stays: they may come back."""
        found = seen.endpoint(self.door, self.scope, "")
        if found is None or not found.share_of(release):
            return
        for one in found.of(release):
            if not found.split.get(one.id) and not one.is_gone:
                self._undeployed(found, one)
        self.undeploy(release, PROOF)

    def unfit(self, callers: Endpoint, deployment: Deployment) -> frozenset[str]:
        """Ids of its release's deployed models that stand on other machines than it wants."""
        wanted = filled(list(bodies.deployed_models(deployment).values()), {"Project": self.door.project})
        fitting = {one.id for body in wanted if (one := _matching(callers, body)) is not None}
        return frozenset(one.id for one in callers.of(deployment.release.id) if one.id not in fitting)

    @property
    def _proof(self) -> str:
        """The whole name tells it: a project or an environment may be called `rain-proof`."""
        return seen.endpoint_name(self.door, self.scope, PROOF)

    def _undeployed(self, endpoint: Endpoint, one: Deployed) -> None:
        """The proving one has all of its endpoint's callers: mlship is the only one, and they go with it."""
        request: Body = {"endpoint": endpoint.name, "deployedModelId": one.id}
        self.operations.settle([endpoint.name])
        try:
            if endpoint.split.get(one.id) and endpoint.name == self._proof:
                rest = {id: share for id, share in endpoint.split.items() if id != one.id}
                now = self.door.call(ENDPOINTS, "get_endpoint", {"name": endpoint.name})
                self.door.call(
                    ENDPOINTS, "update_endpoint", bodies.split_request(endpoint.name, str(now["etag"]), _whole(rest))
                )
            self.operations.finish(ENDPOINTS, "undeploy_model", request, SETTLE_S)
        except Refused as no:
            if no.code != MISSING:
                raise

    def _lead_to_proof(self, release: str) -> None:
        """A command that was killed may have left its replica without the one caller that it has."""
        found = seen.endpoint(self.door, self.scope, PROOF)
        own = found.of(release) if found else ()
        if found and own and found.split.get(own[0].id) != bodies.WHOLE:
            request = bodies.split_request(found.name, found.etag, {own[0].id: bodies.WHOLE})
            self.door.call(ENDPOINTS, "update_endpoint", request)

    def _scale(self, found: Endpoint, asked: Iterable[Body]) -> None:
        """How many replicas there are changes in place."""
        for body in asked:
            one = _matching(found, body)
            if one is not None and not _same_scale(one, body):
                request = bodies.mutate_request(found.name, one.id, one.resources, body)
                self.operations.finish(ENDPOINTS, "mutate_deployed_model", request, SETTLE_S)

    def _deployed(self, waits: Mapping[str, list[Body]]) -> Outcome:
        """The first of each endpoint, then the second of each. What fails is said when all have ended."""
        failed: list[Refused] = []
        while any(waits.values()) and not failed:
            begun: list[Begun] = []
            for name, bodies_left in waits.items():
                if bodies_left:
                    said: Body = {"endpoint": name, "deployedModel": bodies_left.pop(0)}
                    if name == self._proof:
                        said["trafficSplit"] = {"0": bodies.WHOLE}
                    begun.append(self.operations.begin(ENDPOINTS, "deploy_model", said))
            for one in begun:
                try:
                    self.operations.end(one, DEPLOY_S)
                except Refused as no:
                    failed.append(no)
        if not failed:
            return Outcome()
        worst = next((no for no in failed if no.said not in ITS_FAULT), failed[0])
        if worst.said in ITS_FAULT:
            return Outcome(False, worst.what)
        return Outcome(False, worst.what, (worst.fix,), fault="target")


def _matching(found: Endpoint, body: Mapping[str, Any]) -> Deployed | None:
    """The one that has what cannot be changed in place: model, machine, spot, account."""
    for one in found.deployed:
        if one.name == body["displayName"] and _same_machine(one, body) and one.account == str(body.get("serviceAccount", "")):
            return one
    return None


def _same_machine(one: Deployed, body: Mapping[str, Any]) -> bool:
    wanted, told = body["dedicatedResources"], one.resources
    said = told.get("machineSpec") or {}
    is_same = all(_plain(said.get(name)) == _plain(value) for name, value in wanted["machineSpec"].items())
    return is_same and bool(wanted.get("spot")) == bool(told.get("spot"))


def _plain(said: Any) -> Any:
    """Names of reservations without their project, which Google may tell by its number."""
    if not isinstance(said, Mapping) or "values" not in said:
        return said
    return {**said, "values": [str(name).partition("/zones/")[2] for name in said["values"]]}


def _same_scale(one: Deployed, body: Mapping[str, Any]) -> bool:
    wanted = body["dedicatedResources"]
    if one.replicas != (wanted["minReplicaCount"], wanted["maxReplicaCount"]):
        return False
    specs = wanted["autoscalingMetricSpecs"]  # none where the number is fixed: then nothing follows them
    return not specs or _targets(specs) == _targets(one.resources.get("autoscalingMetricSpecs") or ())


def _targets(specs: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    return {str(spec["metricName"]): int(spec.get("target", 0)) for spec in specs}


def _whole(rest: dict[str, int]) -> dict[str, int]:
    """Shares that add up again: all to one of those that are left."""
    return {next(iter(rest)): bodies.WHOLE} if rest else {}
