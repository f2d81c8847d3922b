"""The network of given subnets, where the stack makes a security group there."""

from __future__ import annotations

from mlship.errors import MlshipError
from mlship.targets.aws.door import Door
from mlship.targets.aws.given import Given
from mlship.targets.aws.sagemaker.foundation import parameters


def parameters_for(door: Door, given: Given) -> dict[str, str]:
    """What the stack's template asks for. Raises MlshipError where the subnets are of several networks."""
    if not parameters(given):
        return {}
    told = door.call("ec2", "describe_subnets", SubnetIds=list(given.subnets))["Subnets"]
    networks = {str(one["VpcId"]) for one in told}
    if len(networks) != 1:
        what = f"targets.aws.subnets are of {len(networks)} networks"
        raise MlshipError(what, fix="name subnets of one VPC", code="bad-network")
    return {"Vpc": networks.pop()}
