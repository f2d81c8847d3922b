"""Who moves the callers: SageMaker itself, in the update of the endpoint, or we, by weights of two variants. Pure.

Its own shifting (blue-green all at once, canary, linear, rolling) goes on without us, and sets the endpoint back by itself where an alarm
goes off; but nothing can be asked of the new machines alone, nobody can hold it at a step, and a share is a share of machines. So it
is taken where the steps are one share or equal shares of whole machines, and nothing has to be measured or approved between them.
Everything else goes by weights, which are exact and can be held for ever.

Bounds: TrafficRoutingConfig, CapacitySize, BlueGreenUpdatePolicy (service model of botocore 1.44.5): a canary is at most half of the
machines, a linear step 10 to 50 % of them, an interval at most an hour.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from mlship.targets.aws.documents import Body
from mlship.targets.base import Deployment, Strategy
from mlship.targets.plan import shares_before_all

MEASURED = ("p50_ms", "p90_ms", "p95_ms", "p99_ms", "mean_ms", "error_rate", "requests")
LONGEST_WAIT_S = 3600
MARGIN_S = 1800  # of an update beside its waits: machines, the image, health checks
LEAST_S, MOST_S = 600, 28_800  # MaximumExecutionTimeoutInSeconds
ALL_AT_ONCE: Body = {"TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}}


def by_weights(deployment: Deployment) -> bool:
    """Whether callers have to be moved by weights."""
    strategy = deployment.strategy
    if not shares_before_all(strategy):
        return False
    return _may_pause(strategy) or strategy.bake_s > LONGEST_WAIT_S or not _is_native(deployment)


def policy(deployment: Deployment) -> Body:
    """How SageMaker shifts: DeploymentConfig without its alarms."""
    strategy, replicas = deployment.strategy, deployment.replicas[0]
    wait_s = round(strategy.bake_s)
    if strategy.name == "rolling" and replicas > 1:
        size = {"Type": "INSTANCE_COUNT", "Value": max(1, math.ceil(replicas * 0.05))}  # 5 to 50 % of the machines
        rolling = {"MaximumBatchSize": size, "WaitIntervalInSeconds": min(wait_s, LONGEST_WAIT_S)}
        return {"RollingUpdatePolicy": {**rolling, "MaximumExecutionTimeoutInSeconds": _longest_s(wait_s * replicas)}}
    if strategy.name == "canary" and not by_weights(deployment):
        return {"BlueGreenUpdatePolicy": _shifted(strategy.steps, wait_s)}
    kept_s = wait_s if strategy.name == "blue-green" and not by_weights(deployment) else 0
    longest = {"TerminationWaitInSeconds": kept_s, "MaximumExecutionTimeoutInSeconds": _longest_s(kept_s)}
    return {"BlueGreenUpdatePolicy": {**ALL_AT_ONCE, **longest}}


def seconds(policy: Body) -> float:
    """How long an update may take."""
    (of,) = policy.values()
    return float(of["MaximumExecutionTimeoutInSeconds"])


def _shifted(steps: Sequence[float], wait_s: int) -> Body:
    size = {"Type": "CAPACITY_PERCENT", "Value": round(steps[0] * 100)}
    one = len(steps) == 2
    routing = {
        "Type": "CANARY" if one else "LINEAR",
        "WaitIntervalInSeconds": wait_s,
        "CanarySize" if one else "LinearStepSize": size,
    }
    longest = {"MaximumExecutionTimeoutInSeconds": _longest_s(wait_s * len(steps))}
    return {"TrafficRoutingConfiguration": routing, "TerminationWaitInSeconds": 0, **longest}


def _is_native(deployment: Deployment) -> bool:
    """Steps that SageMaker makes exactly: one share, or equal ones; of machines whose number is fixed."""
    strategy, (least, most) = deployment.strategy, deployment.replicas
    if strategy.name != "canary":
        return True
    steps = strategy.steps
    first = steps[0]
    if least != most or not math.isclose(first * least, round(first * least), abs_tol=1e-6) or first > 0.5:
        return False
    equal = all(math.isclose(step, first * number, abs_tol=1e-6) for number, step in enumerate(steps, 1))
    return len(steps) == 2 or (equal and first >= 0.1)


def _may_pause(strategy: Strategy) -> bool:
    """A gate that is measured pauses where too few called; a person may be asked, or be wanted when a gate fails."""
    measured = any(gate.split()[0] in MEASURED for gate in strategy.gates)
    return strategy.approve == "manual" or measured or strategy.on_fail == "pause"


def _longest_s(waits_s: float) -> int:
    return int(min(max(waits_s + MARGIN_S, LEAST_S), MOST_S))
