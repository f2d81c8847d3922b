"""How Cloud Run runs a container and calls it. Pure.

Sources: "Container runtime contract" (cloud.google.com/run/docs/container-contract, copies of 2024 to 2026, read 2026-11): a
server for x86-64 on 0.0.0.0 at PORT, the variables K_*, a file system in memory, SIGTERM and SIGKILL 10 s later. "Quotas and
limits": 32 MiB of an HTTP/1 request; "Configure request timeout": 300 s by default; "Container health checks": a TCP start-up
check with 240 s (of these three the second was read, the others are from memory, verify). Paths that end in z may not be
reached from outside ("Known issues"; from memory, verify): /readyz is for checks alone.
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
    max_body=32 * 2**20,
    answer_s=300.0,
    grace_s=10.0,
    grace_rule="SIGKILL 10 s after SIGTERM",
    sources=("cloud.google.com/run/docs/container-contract, read 2026-11",),
    not_played={"files": "written files count as memory there, which this engine does not play"},
)
