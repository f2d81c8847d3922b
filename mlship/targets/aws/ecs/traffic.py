"""Who moves the callers: ECS itself, in a deployment of the service, or we, by weights of the balancer's rule. Pure.

Its own shifting (CANARY, LINEAR, BLUE_GREEN) goes on without us, and takes itself back where an alarm goes off; but it waits whole
minutes, nobody can hold it at a step, and it knows one share or equal shares. So it is taken where the steps are such, and nothing
has to be measured or approved between them. Everything else goes by weights.

Bounds: CanaryConfiguration, LinearConfiguration, DeploymentLifecycleHook (service model of botocore 1.44.5): a share is a multiple of
0.1 %, a linear one at least 3 %, a pause at most 1,440 minutes; the circuit breaker is for ROLLING alone. What is left out of an
update's deployment configuration may stay as it was, so everything is said.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from mlship.config.gates import MEASURED
from mlship.targets.aws.documents import Body
from mlship.targets.aws.given import Given
from mlship.targets.aws.scope import SLOTS, Scope
from mlship.targets.base import Deployment, Strategy
from mlship.targets.plan import shares_before_all

MINUTE_S = 60
LONGEST_MIN = 1440
LEAST_LINEAR = 3.0
HELD_MIN = 60  # so long ECS waits for our word before a caller meets the release, and takes it back then
HELD_AT = "POST_SCALE_UP"  # all new tasks are up, and no caller is led to them
WHOLE_TASKS = {"maximumPercent": 200, "minimumHealthyPercent": 100}
NO_BREAKER = {"enable": False, "rollback": False}


def by_ecs(deployment: Deployment, given: Given) -> bool:
    """Whether ECS moves the callers of this release itself."""
    return bool(shares_before_all(deployment.strategy)) and not why_weights(deployment, given)


def why_weights(deployment: Deployment, given: Given) -> str:
    """Why we move the callers ourselves, where a release is watched; empty where ECS does."""
    strategy, (least, most) = deployment.strategy, deployment.replicas
    if strategy.approve == "manual" or strategy.on_fail == "pause":
        return "a person says how it goes on"
    if any(gate.split()[0] in MEASURED for gate in strategy.gates):
        return "a measured gate pauses where too few have called"
    if least != most:
        return "autoscaling counts the callers of one target group, and ECS moves them to the other"
    if given.roles and "infrastructure" not in given.roles:
        return "targets.aws.roles names no infrastructure, the role by which ECS changes the balancer"
    minutes = strategy.bake_s / MINUTE_S
    if not (minutes.is_integer() and 1 <= minutes <= LONGEST_MIN):
        return f"ECS waits 1 to {LONGEST_MIN} whole minutes, and rollout.bake is {strategy.bake_s:g} s"
    return "" if strategy.name == "blue-green" else _why_not_equal(strategy.steps)


def in_words(strategy: Strategy) -> str:
    """`10 % of the callers for 10 min, then all`."""
    minutes = f"{strategy.bake_s / MINUTE_S:g} min"
    if strategy.name == "blue-green":
        return f"all callers, and back within {minutes} where an alarm goes off"
    percent = f"{strategy.steps[0] * 100:g} %"
    return f"{percent} of the callers for {minutes}, then all" if len(strategy.steps) == 2 else f"{percent} more each {minutes}"


def configuration(deployment: Deployment, slots: Sequence[str] = SLOTS) -> Body:
    """The deploymentConfiguration of a release that ECS moves the callers to. slots: whose alarms take it back."""
    scope, strategy = Scope(deployment.project, deployment.environment), deployment.strategy
    minutes = round(strategy.bake_s / MINUTE_S)
    own = (
        {"strategy": "BLUE_GREEN", "bakeTimeInMinutes": minutes}
        if strategy.name == "blue-green"
        else {**_stepped(strategy.steps, minutes), "bakeTimeInMinutes": 0}
    )
    hook = {
        "targetType": "PAUSE",
        "lifecycleStages": [HELD_AT],
        "timeoutConfiguration": {"timeoutInMinutes": HELD_MIN, "action": "ROLLBACK"},
    }
    watched = {"alarmNames": [alarm(scope, slot) for slot in slots], "enable": True, "rollback": True}
    return {**own, **WHOLE_TASKS, "deploymentCircuitBreaker": NO_BREAKER, "alarms": watched, "lifecycleHooks": [hook]}


def replacing() -> Body:
    """The deploymentConfiguration by which ECS replaces the tasks of a release by others of the same one, at once."""
    unwatched = {"alarmNames": [], "enable": False, "rollback": False}
    at_once = {"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 0, **WHOLE_TASKS}
    return {**at_once, "deploymentCircuitBreaker": NO_BREAKER, "alarms": unwatched, "lifecycleHooks": []}


def alarm(scope: Scope, slot: str) -> str:
    return f"{scope.stem}-{slot}-errors"


def _stepped(steps: Sequence[float], minutes: int) -> Body:
    percent = _percent(steps[0])
    if len(steps) == 2:
        return {
            "strategy": "CANARY",
            "canaryConfiguration": {"canaryPercent": percent, "canaryBakeTimeInMinutes": minutes},
        }
    return {"strategy": "LINEAR", "linearConfiguration": {"stepPercent": percent, "stepBakeTimeInMinutes": minutes}}


def _why_not_equal(steps: Sequence[float]) -> str:
    first = steps[0]
    if not math.isclose(first * 1000, round(first * 1000), abs_tol=1e-6):
        return f"ECS moves shares of whole tenths of a percent, and the first of rollout.steps is {first * 100:.4g} %"
    if len(steps) == 2:
        return ""
    equal = all(math.isclose(step, first * number, abs_tol=1e-6) for number, step in enumerate(steps, 1))
    if not equal:
        return f"ECS moves one share or equal ones, such as {_percent(first):g} % and then all; rollout.steps are neither"
    least = f"ECS moves steps of {LEAST_LINEAR:g} % or more, and those of rollout.steps are {_percent(first):g} %"
    return "" if _percent(first) >= LEAST_LINEAR else least


def _percent(share: float) -> float:
    return round(share * 100, 1)
