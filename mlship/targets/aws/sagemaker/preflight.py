"""What would make a deployment to SageMaker fail and can be known before anything is changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from mlship.errors import Finding, MlshipError
from mlship.releases.history import History
from mlship.targets.aws import permissions
from mlship.targets.aws.door import Door, Refused
from mlship.targets.aws.given import given
from mlship.targets.aws.preflight import SECTION, given_parts, guard, parts_of_all, unusable, without_roles
from mlship.targets.aws.resources import findings as impossible
from mlship.targets.aws.sagemaker import network, releasing, unbuilt
from mlship.targets.aws.sagemaker.traffic import by_weights
from mlship.targets.base import Deployment
from mlship.targets.plan import shares_before_all
from mlship.targets.refusals import refused
from mlship.targets.variables import without_effect


def findings(door: Door, deployment: Deployment, history: History | None) -> tuple[Finding, ...]:
    """Reads only. Raises MlshipError where nobody can be asked, or for another account than the one that is named."""
    guard(door, deployment)
    has = given(deployment)
    return (
        *of_file(deployment),
        *_network(door, deployment),
        *given_parts(deployment, parts_of_all(door, has)),
        *quota(door, deployment, history),
        *permissions.findings(door, deployment, has),
    )


def of_file(deployment: Deployment) -> tuple[Finding, ...]:
    """What no account changes. Pure."""
    has = given(deployment)
    said = (*impossible(deployment), *unbuilt.findings(deployment))
    return (*said, *without_effect(deployment), *without_roles(deployment, has))


def _network(door: Door, deployment: Deployment) -> Iterator[Finding]:
    try:
        network.parameters_for(door, given(deployment))
    except Refused as no:
        yield unusable(deployment, "subnets", no)
    except MlshipError as error:
        if error.code != "bad-network":
            raise
        yield refused(deployment, f"{SECTION}.subnets", error.what, error.fix, error.code)


def quota(door: Door, deployment: Deployment, history: History | None) -> Iterator[Finding]:
    """Machines of a type that the account may have at endpoints at once; an update has twice as many for a while.

    What these credentials may not look at, and what has no quota under this name, is left to SageMaker.
    """
    name = f"{releasing.instance_type(deployment)} for endpoint usage"
    try:
        quotas: list[Mapping[str, Any]] = door.all("service-quotas", "list_service_quotas", "Quotas", ServiceCode="sagemaker")
    except Refused:
        return
    most = next((float(one["Value"]) for one in quotas if one["QuotaName"] == name), None)
    if most is None:
        return
    count, needed = deployment.replicas[1], machines_needed(deployment, is_first=history is None or not history.live)
    if count > most:
        what = f"scale.replicas goes up to {count}, and this account may have {most:g} {name}"
        yield refused(deployment, "scale.replicas", what, _raised(name), "quota")
    elif needed > most:
        what = f"a release takes {needed} machines while it takes over, and this account may have {most:g} {name}"
        yield replace(refused(deployment, "scale.replicas", what, _raised(name), "quota"), severity="error")


def machines_needed(deployment: Deployment, *, is_first: bool) -> int:
    """At most, while a release takes over: SageMaker makes all machines of an update anew beside those that serve."""
    replicas = deployment.replicas[0]
    if is_first:
        return replicas
    beside = 2 * replicas if shares_before_all(deployment.strategy) and by_weights(deployment) else replicas
    return replicas + beside + (0 if beside > replicas else 1)


def _raised(name: str) -> str:
    return f"ask for more in Service Quotas (Amazon SageMaker, {name}), or name another targets.aws.instance"
