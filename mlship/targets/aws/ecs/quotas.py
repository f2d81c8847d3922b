"""Whether the account may run as many processors of Fargate as a deployment may need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from mlship.errors import Finding
from mlship.targets.aws.door import Door, Refused
from mlship.targets.aws.sizes import fargate
from mlship.targets.base import Deployment
from mlship.targets.refusals import refused
from mlship.targets.sizes import asked_of

# As Service Quotas names them, for all tasks of an account in a region ("Amazon ECS service quotas", Fargate, read 2026-11).
ON_DEMAND, SPOT = "Fargate On-Demand vCPU resource count", "Fargate Spot vCPU resource count"
ROLLOUT = 2  # the release before runs beside the new one


def findings(door: Door, deployment: Deployment) -> Iterator[Finding]:
    """What these credentials may not look at is left to the step that needs it."""
    try:
        told = door.all("service-quotas", "list_service_quotas", "Quotas", ServiceCode="fargate")
    except Refused:
        return
    allowed = {one["QuotaName"]: float(one["Value"]) for one in told}
    for name, wanted in processors(deployment).items():
        most = allowed.get(name)
        if most is None or wanted * ROLLOUT <= most:
            continue
        fix = f"ask for more in Service Quotas ({name}), or write less resources.cpu or fewer scale.replicas"
        what = f"{deployment.replicas[1]} replicas need {wanted:g} vCPU, and this account's quota in {door.region} is {most:g}"
        if wanted <= most:
            what += f": while a release is replaced, {wanted * ROLLOUT:g} run"
        found = refused(deployment, "scale.replicas", what, fix, "quota")
        yield found if wanted > most else replace(found, severity="warning")


def processors(deployment: Deployment) -> Mapping[str, float]:
    """Name of a quota -> vCPUs of it at most, of one release. Pure."""
    cost = deployment.operating.get("cost") or {}
    most = deployment.replicas[1]
    base = min(int(cost.get("on_demand_base") or 0), most) if cost.get("profile") == "spot" else most
    each = fargate(asked_of(deployment)).vcpus
    return {name: count * each for name, count in ((ON_DEMAND, base), (SPOT, most - base)) if count}
