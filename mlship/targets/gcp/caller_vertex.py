"""How Vertex AI endpoints run a custom container and call it. Pure.

Source: "Custom container requirements for inference", version 1.0.0 of that document
(docs.cloud.google.com/vertex-ai/docs/predictions/custom-container-requirements, read 2026-11): the variables AIP_*, a server
on 0.0.0.0, GET AIP_HEALTH_ROUTE answered 200 within 10 s, bodies of 1.5 MB on a shared public endpoint, and the liveness
check of a start: 4 attempts to connect, 10 s after each failed one, then the container is started anew. It names no time
between SIGTERM and SIGKILL: Kubernetes' default of 30 s is assumed. A dedicated endpoint takes 10 MB ("Use dedicated public
endpoints"); a shared one waits 60 s for an answer (from memory, verify).
"""

from __future__ import annotations

from mlship.oci.registry.push_variant import PushVariant
from mlship.targets.caller import Caller, Probe

PUSH = PushVariant("docker-v2s2", index=False, compressions=("gzip", "none"))

_ENDPOINT, _MODEL = "4294967296", "8589934592"
_ROUTE = f"/v1/endpoints/{_ENDPOINT}/deployedModels/{_MODEL}"

CALLER = Caller(
    name="vertex",
    title="Vertex AI",
    push=PUSH,
    environ={
        "AIP_DEPLOYED_MODEL_ID": _MODEL,
        "AIP_ENDPOINT_ID": _ENDPOINT,
        "AIP_FRAMEWORK": "CUSTOM_CONTAINER",
        "AIP_HEALTH_ROUTE": _ROUTE,
        "AIP_HTTP_PORT": "8080",
        "AIP_MACHINE_TYPE": "n2-standard-2",
        "AIP_MODE": "PREDICTION",
        "AIP_MODE_VERSION": "1.0.0",
        "AIP_MODEL_NAME": _ENDPOINT,
        "AIP_PREDICT_ROUTE": f"{_ROUTE}:predict",
        "AIP_PROJECT_NUMBER": "123456789012",
        "AIP_STORAGE_URI": "",
        "AIP_VERSION_NAME": _MODEL,
    },
    port_from="AIP_HTTP_PORT",
    health=Probe(_ROUTE, timeout_s=10.0),
    start_s=40.0,
    start_rule="4 attempts to connect, 10 s after each, before it is started anew (startupProbe raises it)",
    protocol="vertex",
    paths={"/vertex/predict": f"{_ROUTE}:predict"},
    keeps_authorization=False,
    max_body=1_500_000,
    answer_s=60.0,
    grace_s=30.0,
    grace_rule="30 s assumed: Vertex AI names no time between SIGTERM and SIGKILL",
    sources=("docs.cloud.google.com/vertex-ai/docs/predictions/custom-container-requirements, read 2026-11",),
)
