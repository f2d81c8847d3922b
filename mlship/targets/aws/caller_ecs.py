"""How ECS on Fargate runs a container behind an application load balancer, and how that calls it. Pure.

Sources, read 2026-11: service models of botocore 1.44.5: stopTimeout (SIGTERM, SIGKILL 30 s later, at most 120),
healthCheckGracePeriodSeconds (0 by default), target groups (a check every 30 s, two failed ones make a target unhealthy; 6 s
for one check, where the load balancer's own guide says 5: the shorter is kept), idle_timeout.timeout_seconds (60). Security
Hub's control ECS.5 wants root file systems that are read-only, and so it is played; /tmp is a volume then, which the server's
user must be able to write to (docs.aws.amazon.com/securityhub/latest/userguide/ecs-controls.html). Variables: task metadata
endpoint, version 4 (docs.aws.amazon.com/AmazonECS/latest/userguide/task-metadata-endpoint-v4-fargate.html).
"""

from __future__ import annotations

from mlship.oci.registry.push_variant import PushVariant
from mlship.targets.caller import Caller, Probe

PUSH = PushVariant()
_TASK = "0f3a5c1d7e9b4d21a6c8e0b2d4f6a801-2531612879"

CALLER = Caller(
    name="ecs",
    title="ECS",
    push=PUSH,
    environ={
        "AWS_EXECUTION_ENV": "AWS_ECS_FARGATE",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": f"/v2/credentials/{_TASK}",
        "ECS_AGENT_URI": f"http://169.254.170.2/api/{_TASK}",
        "ECS_CONTAINER_METADATA_URI": f"http://169.254.170.2/v3/{_TASK}",
        "ECS_CONTAINER_METADATA_URI_V4": f"http://169.254.170.2/v4/{_TASK}",
    },
    port_from="the task definition's port",
    health=Probe("/readyz", timeout_s=5.0, headers={"User-Agent": "ELB-HealthChecker/2.0"}),
    start_s=60.0,
    start_rule="two checks of the load balancer, 30 s apart, may fail (healthCheckGracePeriodSeconds 0)",
    headers={
        "X-Forwarded-For": "198.51.100.7",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Port": "443",
        "X-Amzn-Trace-Id": "Root=1-67891233-abcdef012345678912345678",
    },
    answer_s=60.0,
    read_only=True,
    writable=("/tmp",),  # noqa: S108 -- inside the container
    grace_s=30.0,
    grace_rule="stopTimeout 30 s",
    sources=(
        "service models ecs and elbv2 of botocore 1.44.5",
        "docs.aws.amazon.com/securityhub/latest/userguide/ecs-controls.html, ECS.5",
    ),
    not_played={
        "metadata": "nothing answers at ECS_CONTAINER_METADATA_URI_V4, nor are there credentials of a task role",
    },
)
