"""How Cloud Run runs a container and calls it. Pure.

Sources, all read 2026-11: "Container runtime contract" (cloud.google.com/run/docs/container-contract, copies of 2024 to
2026): a server for x86-64 on 0.0.0.0 at PORT, the variables K_*, a file system in memory, SIGTERM and SIGKILL 10 s later.
"Set request timeout for services": 300 s by default. "Quotas" of Cloud Run functions, whose second generation is Cloud Run
(docs.cloud.google.com/functions/quotas): 32 MB of a request. "Known issues" (cloud.google.com/run/docs/issues): some paths
that end in z are not reached from outside, so /readyz is for checks alone. The start-up check that is there by default
connects and has 240 s, as exported services show it (from memory, verify).
"""

from __future__ import annotations

from mlship.oci.registry.push_variant import PushVariant
from mlship.targets.caller import Caller, Probe

PUSH = PushVariant()
# What mlship sets there itself: the server's own time to end, 10 s, and a second beside it would be the platform's whole grace.
OURS = {"MLSHIP_DRAIN_TIMEOUT_S": "8"}

CALLER = Caller(
    name="cloud-run",
    title="Cloud Run",
    push=PUSH,
    architectures=("amd64",),
    environ={
        "PORT": "8080",
        "K_SERVICE": "mlship-test",
        "K_REVISION": "mlship-test-00001-abc",
        "K_CONFIGURATION": "mlship-test",
        **OURS,
    },
    port_from="PORT",
    health=Probe("", timeout_s=240.0),
    start_s=240.0,
    start_rule="240 s until the port can be connected to",
    headers={
        "X-Forwarded-For": "198.51.100.7",
        "X-Forwarded-Proto": "https",
        "Forwarded": 'for="198.51.100.7";proto=https',
        "Traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "X-Cloud-Trace-Context": "0af7651916cd43dd8448eb211c80319c/13235353014750950193;o=1",
    },
    max_body=32 * 2**20,  # HTTP/1
    answer_s=300.0,
    grace_s=10.0,
    grace_rule="SIGKILL 10 s after SIGTERM",
    sources=(
        "cloud.google.com/run/docs/container-contract, read 2026-11",
        "cloud.google.com/run/docs/configuring/request-timeout, read 2026-11",
        "cloud.google.com/run/docs/issues, read 2026-11",
        "docs.cloud.google.com/functions/quotas, read 2026-11",
    ),
    in_memory=("/tmp",),  # noqa: S108 -- inside the container
    not_played={"files": "those that are written outside /tmp count as memory there, too, and not here"},
)
