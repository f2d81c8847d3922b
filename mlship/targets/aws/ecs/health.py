"""The container's own health check, which decides where no balancer asks the tasks: the body in a task definition. Pure.

The image has no shell and no curl, and its interpreter lies where its base has it: it is the program that runs as process 1, which a
process of the same user may start again. It asks the server at 127.0.0.1 (mlship/server/health_check.py).

Bounds: HealthCheck, service model of botocore 1.44.5: interval 5 to 300 s, timeout 2 to 60, retries 1 to 10, startPeriod to 300.
"""

from __future__ import annotations

from math import ceil

from mlship.targets.aws.documents import Body

COMMAND = ("CMD", "/proc/1/exe", "-s", "-P", "-m", "mlship.server", "health")
INTERVAL_S, TIMEOUT_S = 10, 10
FAILURES = (3, 10)  # in a row, after the start
START_S = 300


def health_check(startup_timeout_s: float) -> Body:
    """A start may take so long: what startPeriod does not cover, more failures do."""
    beyond = ceil(max(0.0, startup_timeout_s - START_S) / INTERVAL_S)
    least, most = FAILURES
    return {
        "command": list(COMMAND),
        "interval": INTERVAL_S,
        "timeout": TIMEOUT_S,
        "retries": min(max(least, beyond), most),
        "startPeriod": min(ceil(startup_timeout_s), START_S),
    }
