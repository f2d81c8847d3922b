"""How managed online endpoints of Azure Machine Learning run a custom container and call it. Pure.

Sources: "CLI (v2) managed online deployment YAML schema" (2023-10, of learn.microsoft.com/azure/machine-learning, as all here):
probes after 10 s, every 10 s, 2 s each, 30 failures; requests 5 s by default, 180 s at most. "Manage and increase quotas and
limits" (2026-01): 180 s, no limit of a body beside 5 MB a second. "Deploy a custom container as an online endpoint": routes
for liveness, readiness and scoring, models under /var/azureml-app/azureml-models. They name no time between SIGTERM and
SIGKILL: Kubernetes' default of 30 s is assumed. Read 2026-11.
"""

from __future__ import annotations

from mlship.oci.registry.push_variant import PushVariant
from mlship.targets.caller import KUBERNETES_OK, Caller, Probe

PUSH = PushVariant("docker-v2s2", index=False, compressions=("gzip", "none"))

CALLER = Caller(
    name="azureml",
    title="Azure ML",
    push=PUSH,
    environ={"AZUREML_MODEL_DIR": "/var/azureml-app/azureml-models/mlship-test/1"},
    port_from="the port of inference_config",
    health=Probe("/readyz", timeout_s=2.0, ok=KUBERNETES_OK),  # the readiness route of what `deploy` sends
    start_s=310.0,
    start_rule="10 s, then 30 checks 10 s apart",
    protocol="azureml",
    headers={"azureml-model-deployment": "blue", "x-ms-client-request-id": "mlship-test"},
    keeps_authorization=False,
    answer_s=180.0,
    grace_s=30.0,
    grace_rule="30 s assumed: Azure ML names no time between SIGTERM and SIGKILL",
    sources=(
        "learn.microsoft.com/azure/machine-learning/reference-yaml-deployment-managed-online, read 2026-11",
        "learn.microsoft.com/azure/machine-learning/how-to-manage-quotas, read 2026-11",
        "learn.microsoft.com/azure/machine-learning/how-to-deploy-custom-container, read 2026-11",
    ),
    not_played={"AZUREML_MODEL_DIR": "the model is in the image: nothing is mounted there"},
)
