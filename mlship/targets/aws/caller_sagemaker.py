"""How SageMaker's real-time endpoints run a container and call it. Pure.

Sources: Amazon SageMaker developer guide, "Use Your Own Inference Code with Hosting Services"
(docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html, copies of 2023 and 2026, read 2026-11): the
argument `serve`, port 8080, GET /ping within 2 s, POST /invocations within 60 s, root users only, SIGTERM and SIGKILL 30 s
later. It gave 4 minutes until /ping answers in 2023 (ContainerStartupHealthCheckTimeoutInSeconds raises it, up to an hour):
the shorter time is kept here. Service model of botocore 1.44.5: a body of at most 6,291,456 bytes, and that all headers but
the API's own are taken away from a request.
"""

from __future__ import annotations

from mlship.oci.registry.push_variant import PushVariant
from mlship.targets.caller import Caller, Probe

# Not in the guide that OCI manifests, indexes or zstd are taken; docker's schema 2 for one platform always was.
PUSH = PushVariant("docker-v2s2", index=False, compressions=("gzip", "none"), user="0:0")

CALLER = Caller(
    name="sagemaker",
    title="SageMaker",
    push=PUSH,
    arguments=("serve",),
    environ={
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/mlship-test",
    },
    port_from="always 8080",
    health=Probe("/ping", timeout_s=2.0),
    start_s=240.0,
    start_rule="4 min until GET /ping answers 200",
    protocol="sagemaker",
    headers={"X-Amzn-SageMaker-Custom-Attributes": "mlship-test", "X-Amzn-SageMaker-Inference-Id": "mlship-test"},
    keeps_authorization=False,
    max_body=6_291_456,
    answer_s=60.0,
    grace_s=30.0,
    grace_rule="SIGKILL 30 s after SIGTERM",
    sources=(
        "docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html, read 2026-11",
        "service models sagemaker and sagemaker-runtime of botocore 1.44.5",
    ),
    not_played={"/opt/ml/model": "the model is in the image: nothing is mounted there"},
)
