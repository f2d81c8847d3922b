"""The container's own health check, which decides where no balancer asks the tasks: the body in a task definition. Pure.

The image has no shell and no curl, and its interpreter lies where its base has it: it is the program that runs as process 1, which a
process of the same user may start again. It asks the server at 127.0.0.1 (mlship/server/health_check.py).

Bounds: HealthCheck, service model of botocore 1.44.5: interval 5 to 300 s, timeout 2 to 60, retries 1 to 10, startPeriod to 300.
"""

from __future__ import annotations

from math import ceil

from mlship.targets.aws.documents import Body

COMMAND = ("CMD", "/proc/1/exe", "-s", "-P", "-m", "mlship.server", "health")
INTERVAL_S = 10
TIMEOUT_S = (10, 60)
OWN_S = 8  # of the check, beside the samples' answers
FAILURES = (3, 10)  # in a row, after the start
START_S = 300


def health_check(startup_timeout_s: float, answers_s: float) -> Body:
    """A start may take so long: what startPeriod does not cover, more failures do. answers_s: what those of all samples may take."""
    beyond = ceil(max(0.0, startup_timeout_s - START_S) / INTERVAL_S)
    least, most = FAILURES
    shortest, longest = TIMEOUT_S
    return {
        "command": list(COMMAND),
        "interval": INTERVAL_S,
        "timeout": min(max(shortest, OWN_S + ceil(answers_s)), longest),
        "retries": min(max(least, beyond), most),
        "startPeriod": min(ceil(startup_timeout_s), START_S),
    }
