"""How Azure Container Apps run a container and call it. Pure.

Sources, of learn.microsoft.com/azure/container-apps, read 2026-11: "Health probes" (health-probes, 2023-08): at most 10 failures
of a probe, at most 240 s apart, which is how mlship asks at the start; "Ingress" (ingress-overview, 2023-05): 240 s for a request,
the headers that are added; "Application lifecycle management" (application-lifecycle-management): SIGTERM and SIGKILL 30 s
later; "Containers" (containers): images for x86-64 alone; "Manage environment variables" (environment-variables):
CONTAINER_APP_*. No limit of a body is named.
"""

from __future__ import annotations

from mlship.oci.registry.push_variant import PushVariant
from mlship.targets.caller import Caller, Probe

PUSH = PushVariant()
_SUFFIX = "happyhill-70162bb9.westeurope.azurecontainerapps.io"

CALLER = Caller(
    name="container-apps",
    title="Container Apps",
    push=PUSH,
    architectures=("amd64",),
    environ={
        "CONTAINER_APP_NAME": "mlship-test",
        "CONTAINER_APP_REVISION": "mlship-test--0000001",
        "CONTAINER_APP_REPLICA_NAME": "mlship-test--0000001-646779b4c5-bhc2v",
        "CONTAINER_APP_HOSTNAME": f"mlship-test--0000001.{_SUFFIX}",
        "CONTAINER_APP_ENV_DNS_SUFFIX": _SUFFIX,
        "CONTAINER_APP_PORT": "8080",
    },
    port_from="the ingress' target port",
    health=Probe("/readyz", timeout_s=5.0),
    start_s=2400.0,
    start_rule="10 failures of the startup probe, at most 240 s apart (serve.startup_timeout says how far)",
    headers={
        "X-Forwarded-For": "198.51.100.7",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": f"mlship-test.{_SUFFIX}",
    },
    answer_s=240.0,
    grace_s=30.0,
    grace_rule="terminationGracePeriodSeconds 30",
    sources=(
        "learn.microsoft.com/azure/container-apps/health-probes, read 2026-11",
        "learn.microsoft.com/azure/container-apps/ingress-overview, read 2026-11",
        "learn.microsoft.com/azure/container-apps/application-lifecycle-management, read 2026-11",
    ),
)
