"""The network that the stack is made in, where mlship.yaml does not say all of it."""

from __future__ import annotations

from mlship.errors import MlshipError
from mlship.targets.aws.door import Door
from mlship.targets.aws.given import Given

ZONES = 2  # an application load balancer takes subnets of at least two (from memory, verify: Elastic Load Balancing's guide)


def parameters_for(door: Door, given: Given) -> dict[str, str]:
    """What the stack's template asks for. Raises MlshipError where there is no such network."""
    if given.subnets:
        told = door.call("ec2", "describe_subnets", SubnetIds=list(given.subnets))["Subnets"]
        networks = {one["VpcId"] for one in told}
        if len(networks) != 1:
            raise MlshipError(
                f"targets.aws.subnets are of {len(networks)} networks", fix="name subnets of one VPC", code="bad-network"
            )
        if given.is_balanced and not given.listener and len({one["AvailabilityZone"] for one in told}) < ZONES:
            raise MlshipError(
                "targets.aws.subnets are in one zone, and a balancer needs two",
                fix="name subnets of two zones, targets.aws.listener of a balancer of yours, or balancer: false",
                code="bad-network",
            )
        return {"Vpc": networks.pop()}
    default = [{"Name": "is-default", "Values": ["true"]}]
    vpcs = door.call("ec2", "describe_vpcs", Filters=default)["Vpcs"]
    if not vpcs:
        raise MlshipError(
            f"{door.account} has no default network in {door.region}", fix="name targets.aws.subnets", code="bad-network"
        )
    vpc = vpcs[0]["VpcId"]
    of_vpc = [{"Name": "vpc-id", "Values": [vpc]}, {"Name": "default-for-az", "Values": ["true"]}]
    subnets = door.all("ec2", "describe_subnets", "Subnets", Filters=of_vpc)
    if len({one["AvailabilityZone"] for one in subnets}) < (ZONES if given.is_balanced else 1):
        raise MlshipError(
            f"the default network {vpc} has subnets in fewer than two zones", fix="name targets.aws.subnets", code="bad-network"
        )
    return {"Vpc": vpc, "Subnets": ",".join(sorted(one["SubnetId"] for one in subnets))}
