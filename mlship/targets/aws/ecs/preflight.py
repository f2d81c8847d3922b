"""What would make a deployment to ECS fail and can be known before anything is changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from mlship.errors import Finding, MlshipError
from mlship.targets.aws import permissions, stack
from mlship.targets.aws.door import Door, Refused
from mlship.targets.aws.ecs import network, priorities, quotas
from mlship.targets.aws.ecs.unbuilt import in_a_deploy
from mlship.targets.aws.given import Given, given
from mlship.targets.aws.preflight import SECTION, given_parts, guard, parts_of_all, unusable, without_roles
from mlship.targets.aws.resources import findings as impossible
from mlship.targets.aws.scope import Scope
from mlship.targets.base import Deployment
from mlship.targets.refusals import refused
from mlship.targets.variables import without_effect

PRIVATE = "DNS_PRIVATE"  # NamespaceType (service model of botocore 1.44.5)


def findings(door: Door, deployment: Deployment) -> tuple[Finding, ...]:
    """Reads only. Raises MlshipError where nobody can be asked, or for another account than the one that is named."""
    guard(door, deployment)
    has = given(deployment)
    return (
        *of_file(deployment),
        *_network(door, has, deployment),
        *given_parts(deployment, {**parts_of_all(door, has), **_listener(door, has)}),
        *_namespace(door, has, deployment),
        *_front(door, has, deployment),
        *_priorities(door, has, deployment),
        *_cluster(door, has, deployment),
        *quotas.findings(door, deployment),
        *permissions.findings(door, deployment, has),
    )


def of_file(deployment: Deployment) -> tuple[Finding, ...]:
    """What no account changes. Pure."""
    has = given(deployment)
    said = (*impossible(deployment), *in_a_deploy(deployment))
    return (*said, *without_effect(deployment), *without_roles(deployment, has))


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


def _namespace(door: Door, has: Given, deployment: Deployment) -> Iterator[Finding]:
    """A given one has to be a private zone: of any other kind no task's address is told."""
    if not has.namespace:
        return
    try:
        told = door.call("servicediscovery", "get_namespace", Id=has.namespace)["Namespace"]
    except Refused as no:
        if no.code != "denied":
            yield unusable(deployment, "namespace", no)
        return
    if told["Type"] != PRIVATE:
        what = f"targets.aws.namespace {told['Name']} is of type {told['Type']}, and callers in a network ask a private zone"
        yield refused(deployment, f"{SECTION}.namespace", what, f"name one of type {PRIVATE}, or none", "no-such-part")


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


def _priorities(door: Door, has: Given, deployment: Deployment) -> Iterator[Finding]:
    """Three rules of a listener are this project's: no two rules of a listener have the same priority."""
    if not has.is_balanced:
        return
    try:
        present = stack.read(door, Scope(deployment.project, deployment.environment).stem)
        outputs = present.outputs if present else {}
        listener = has.listener or outputs.get("Listener", "")
        told = door.all("elbv2", "describe_rules", "Rules", ListenerArn=listener) if listener else []
    except Refused:  # said already, or may not be looked at
        return
    mine = priorities.own(told, outputs)
    is_administrators = present is not None and present.spec == stack.OF_ADMINISTRATOR
    key, first = f"{SECTION}.priority", has.priority
    own = f"{first} and the next two"
    if taken := priorities.others_at(told, mine, first):
        what = f"targets.aws.listener has another rule at priority {priorities.numbers(taken)}, and this project's are {own}"
        yield refused(deployment, key, what, f"write {key}: the first of three that are free", "incomplete-target")
        return
    going = priorities.moves(mine, first, is_administrators=is_administrators)
    slots = [mine[number] for number in range(priorities.CALLERS) if number in mine]
    if is_administrators and not going and any(one["Priority"] not in (str(first), str(first + 1)) for one in slots):
        what = f"the foundation was applied with rules at priority {priorities.numbers(slots)}, and this project's are {own}"
        fix = f"write {key}: {min(int(one['Priority']) for one in slots)}, or have it applied again: mlship render --part foundation"
        yield refused(deployment, key, what, fix, "incomplete-target")
    elif going:
        before = priorities.numbers(one for one in mine.values() if one["RuleArn"] in {move["RuleArn"] for move in going})
        after = ", ".join(str(move["Priority"]) for move in going)
        what = (
            f"rules of the listener go from priority {before} to {after}, in one call (elasticloadbalancing:SetRulePriorities)"
        )
        yield replace(refused(deployment, key, what, "", "rules-move"), severity="note")


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
        fix = f"{_adding(found, needed)} --cluster {has.cluster} --region {door.region} adds it"
        yield refused(deployment, f"{SECTION}.cluster", what, fix, "no-such-part")


def _adding(cluster: Mapping[str, Any], provider: str) -> str:
    """The command replaces both lists, so it says what is there, too (PutClusterCapacityProviders, service model of botocore 1.44.5)."""
    named = " ".join([*(cluster.get("capacityProviders") or ()), provider])
    usual = json.dumps(cluster.get("defaultCapacityProviderStrategy") or [], separators=(",", ":"))
    said = f"--capacity-providers {named} --default-capacity-provider-strategy '{usual}'"
    return f"aws ecs put-cluster-capacity-providers {said}"
