"""The sizes that AWS' containers and functions have. Pure."""

from __future__ import annotations

from math import ceil

from mlship.targets.sizes import Size, smallest

# vCPU -> least and most memory and its steps in GiB. AWS::ECS::TaskDefinition, Cpu (docs.aws.amazon.com; the same in the service
# model of botocore 1.44.5, 2026-11). The steps of 0.25 vCPU are 0.5, 1 and 2.
_FARGATE = ((0.5, 1, 4, 1), (1, 2, 8, 1), (2, 4, 16, 1), (4, 8, 30, 1), (8, 16, 60, 4), (16, 32, 120, 8))
FARGATE = (
    *(Size(0.25, memory) for memory in (0.5, 1.0, 2.0)),
    *(Size(cores, float(memory)) for cores, low, high, step in _FARGATE for memory in range(low, high + 1, step)),
)
EPHEMERAL_GB = 20  # of storage that every Fargate task has without a charge

# Lambda: 128 MB to 10,240 MB, by 1 MB; 1,769 MB are one vCPU (docs.aws.amazon.com/lambda, "Configure Lambda function memory",
# read 2026-11). The API's own bound of 32,768 is that of managed instances.
LAMBDA_MB = (128, 10_240)
MB_PER_VCPU = 1769.0
_MB = 1024.0  # in a GiB


def fargate(asked: Size) -> Size:
    """The smallest that holds what is asked for; the largest of all, where none does."""
    return smallest(FARGATE, Size(asked.vcpus, asked.memory_gib)) or FARGATE[-1]


def function(memory_gib: float) -> Size:
    """The smallest with so much memory, and the share of processors that comes with it; the largest, where that is not enough."""
    least, most = LAMBDA_MB
    megabytes = min(max(ceil(memory_gib * _MB), least), most)
    return Size(megabytes / MB_PER_VCPU, megabytes / _MB)


def memory_for(vcpus: float) -> int:
    """MB of a function that gets so many vCPUs."""
    return ceil(vcpus * MB_PER_VCPU)
