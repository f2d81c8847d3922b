"""How Lambda runs a container and hands it events. Pure.

Sources, read 2026-11: AWS Lambda developer guide, "Create a Lambda function using a container image" (one platform, no index; a
read-only file system with /tmp; a user of Lambda's own, whatever the image says; entry point and command of the image),
"Understanding the Lambda execution environment lifecycle" (10 s for INIT), "Lambda quotas" (6 MB for request and response each,
900 s, 10 GB for an image), "Defined runtime environment variables". The number of the user is what functions have seen; no document
tells it.
"""

from __future__ import annotations

from mlship.oci.registry.push_variant import PushVariant
from mlship.targets.caller import Caller, Probe

# Nobody says that an index or zstd is taken; docker's schema 2 for one platform always was.
PUSH = PushVariant("docker-v2s2", index=False, compressions=("gzip", "none"))
ANSWER_S = 900.0
INIT_S = 10.0
# 6 MB for an event, in which the body stands as a string: what is around it, and what has to be escaped, counts too.
EVENT_BYTES = 6_291_456
ENVELOPE_BYTES = 16_384
IMAGE_BYTES = 10 * 2**30  # not compressed

CALLER = Caller(
    name="lambda",
    title="Lambda",
    push=PUSH,
    environ={
        "AWS_LAMBDA_FUNCTION_NAME": "mlship-test",
        "AWS_LAMBDA_FUNCTION_VERSION": "1",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/mlship/test",
        "AWS_LAMBDA_LOG_STREAM_NAME": "2026/11/23/[1]0f3a5c1d7e9b4d21a6c8e0b2d4f6a801",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "mlship-test",
        "AWS_SECRET_ACCESS_KEY": "mlship-test",
        "AWS_SESSION_TOKEN": "mlship-test",
        "LAMBDA_TASK_ROOT": "/var/task",
        "LAMBDA_RUNTIME_DIR": "/var/runtime",
        "TZ": ":UTC",
    },
    port_from="its runtime API, and no port",
    health=Probe("/readyz", timeout_s=5.0),
    start_s=INIT_S,
    start_rule="INIT is over after 10 s; what takes longer is begun anew with the first request, on its time",
    max_body=EVENT_BYTES - ENVELOPE_BYTES,
    answer_s=ANSWER_S,
    read_only=True,
    writable=("/tmp",),  # noqa: S108 -- inside the container
    user="993:990",
    beside="mlship.targets.aws.lambda_service",
    direct="/2015-03-31/functions/mlship-test/invocations",
    grace_s=0.0,
    grace_rule="SIGKILL between two events",
    sources=(
        "docs.aws.amazon.com/lambda/latest/dg: images-create.html, lambda-runtime-environment.html, gettingstarted-limits.html,"
        " read 2026-11",
        "service model lambda of botocore 1.44.5",
    ),
    not_played={
        "health": "Lambda asks nothing about health: the first request waits for the start",
        "stop": "Lambda ends a process between two events, with SIGKILL",
        "freeze": "between two events the process is not stopped here, as Lambda does it",
        "credentials": "there are none of a function's role",
    },
)
