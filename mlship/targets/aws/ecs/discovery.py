"""How callers find the tasks where there is no balancer: a name in a private zone of their network, which Cloud Map keeps. Pure.

ECS puts the address of each task there that its own health check finds well, and takes it away before the task ends ("Use service
discovery to connect Amazon ECS services with DNS names", developer guide, read 2026-11). An answer has at most eight of them.
"""

from __future__ import annotations

from typing import Any

from mlship.targets.aws.ecs.front import PORT, Tags
from mlship.targets.aws.given import Given
from mlship.targets.aws.scope import Scope

REGISTRY, NAMESPACE = "Registry", "Namespace"  # resources and outputs
TTL_S = 10  # so long a caller may hold on to the address of a task that has gone


def registry(given: Given, scope: Scope, tags: Tags) -> dict[str, Any]:
    """A service of Cloud Map, and the namespace that it is in unless one is given."""
    wanted = {
        "Name": called(scope),
        "NamespaceId": namespace(given),
        "DnsConfig": {"RoutingPolicy": "MULTIVALUE", "DnsRecords": [{"Type": "A", "TTL": TTL_S}]},
        "HealthCheckCustomConfig": {"FailureThreshold": 1},  # ECS says who is well
        "Tags": tags,
    }
    made = {REGISTRY: {"Type": "AWS::ServiceDiscovery::Service", "Properties": wanted}}
    if given.namespace:
        return made
    zone = {"Name": f"{scope.stem}.internal", "Vpc": {"Ref": "Vpc"}, "Tags": tags}
    return {NAMESPACE: {"Type": "AWS::ServiceDiscovery::PrivateDnsNamespace", "Properties": zone}, **made}


def outputs(given: Given) -> dict[str, Any]:
    return {REGISTRY: {"Fn::GetAtt": [REGISTRY, "Arn"]}, NAMESPACE: namespace(given)}


def namespace(given: Given) -> Any:
    return given.namespace or {"Ref": NAMESPACE}


def called(scope: Scope) -> str:
    """`churn--prod`, of its namespace: two environments may be in one."""
    return scope.stem.removeprefix(Scope.STEM)


def address(scope: Scope, namespace: str) -> str:
    """`http://churn.mlship-churn.internal:8080`. namespace: its name."""
    return f"http://{called(scope)}.{namespace}:{PORT}"
