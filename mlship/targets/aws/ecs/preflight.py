"""What would make a deployment to ECS fail and can be known before anything is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from mlship.errors import Finding, MlshipError
from mlship.targets.aws import permissions
from mlship.targets.aws.door import Door, Refused
from mlship.targets.aws.ecs import network, quotas
from mlship.targets.aws.ecs.unbuilt import in_a_deploy
from mlship.targets.aws.given import Given, given
from mlship.targets.aws.preflight import SECTION, given_parts, guard, parts_of_all, unusable
from mlship.targets.aws.resources import findings as impossible
from mlship.targets.base import Deployment
from mlship.targets.refusals import refused


def findings(door: Door, deployment: Deployment) -> tuple[Finding, ...]:
    """Reads only. Raises MlshipError where nobody can be asked, or for another account than the one that is named."""
    guard(door, deployment)
    has = given(deployment)
    return (
        *impossible(deployment),
        *in_a_deploy(deployment),
        *_network(door, has, deployment),
        *given_parts(deployment, {**parts_of_all(door, has), **_listener(door, has)}),
        *_front(door, has, deployment),
        *_cluster(door, has, deployment),
        *quotas.findings(door, deployment),
        *permissions.findings(door, deployment, has),
    )


def _network(door: Door, has: Given, deployment: Deployment) -> Iterator[Finding]:
    try:
        network.parameters_for(door, has)
    except Refused as no:
        yield unusable(deployment, "subnets", no)
    except MlshipError as error:
        if error.code != "bad-network":
            raise
        yield refused(deployment, f"{SECTION}.subnets", error.what, error.fix, error.code)


def _listener(door: Door, has: Given) -> dict[str, Callable[[], Any]]:
    return {"listener": partial(door.call, "elbv2", "describe_listeners", ListenerArns=[has.listener])} if has.listener else {}


def _front(door: Door, has: Given, deployment: Deployment) -> Iterator[Finding]:
    """A given listener is of a balancer that callers reach from where the project says that they come."""
    if not (has.listener and has.public):
        return
    try:
        (told,) = door.call("elbv2", "describe_listeners", ListenerArns=[has.listener])["Listeners"]
        arn = told["LoadBalancerArn"]
        (balancer,) = door.call("elbv2", "describe_load_balancers", LoadBalancerArns=[arn])["LoadBalancers"]
    except Refused:  # said already, or may not be looked at
        return
    if balancer["Scheme"] != "internet-facing":
        what = f"public: true, and targets.aws.listener is of {balancer['LoadBalancerName']}, which is {balancer['Scheme']}"
        yield refused(deployment, "public", what, "name a listener of an internet-facing balancer", "incomplete-target")
    elif told["Protocol"] != "HTTPS":
        what = "public: true, and targets.aws.listener speaks no TLS: the keys of callers would be read on their way"
        yield refused(deployment, "public", what, "name one that speaks HTTPS", "incomplete-target")


def _cluster(door: Door, has: Given, deployment: Deployment) -> Iterator[Finding]:
    if not has.cluster:
        return
    told = door.call("ecs", "describe_clusters", clusters=[has.cluster])["clusters"]
    found = next((one for one in told if one["status"] == "ACTIVE"), None)
    if found is None:
        what = f"there is no cluster {has.cluster}"
        yield refused(deployment, f"{SECTION}.cluster", what, "name one that is there, or none", "no-such-part")
        return
    profile = str((deployment.operating.get("cost") or {}).get("profile") or "")
    needed = "FARGATE_SPOT" if profile == "spot" else "FARGATE"
    if needed not in (found.get("capacityProviders") or ()):
        what = f"the cluster {has.cluster} has no capacity provider {needed}"
        fix = f"aws ecs put-cluster-capacity-providers --cluster {has.cluster} adds it"
        yield refused(deployment, f"{SECTION}.cluster", what, fix, "no-such-part")
