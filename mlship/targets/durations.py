"""How long a deploy usually takes where a platform does most of the waiting. Pure.

What AWS' services take is the figure of this project's own plan (seconds for an alias of Lambda, minutes for ECS, 5 to 15 minutes for
SageMaker); the others are from memory and have to be measured in accounts (noted 2026-11). They are said to people, and decide nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mlship.targets.base import Action, Deployment
from mlship.targets.plan import shares_before_all

MINUTE_S = 60.0


@dataclass(frozen=True)
class Usual:
    """Minutes, at least and at most. first: with what has to be made once, such as a balancer. later: a release after that."""

    first: tuple[float, float]
    later: tuple[float, float]


USUAL: Mapping[tuple[str, str], Usual] = {
    ("aws", "ecs"): Usual((5, 10), (2, 5)),
    ("aws", "sagemaker"): Usual((6, 15), (5, 15)),
    ("aws", "lambda"): Usual((1, 3), (0.5, 1)),
    ("gcp", "cloud-run"): Usual((1, 3), (0.5, 2)),
    ("gcp", "vertex"): Usual((10, 20), (8, 20)),
    ("azure", "container-apps"): Usual((3, 8), (1, 3)),
    ("azure", "azureml"): Usual((8, 20), (6, 15)),
}


def expected(deployment: Deployment, actions: tuple[Action, ...], *, is_first: bool) -> str:
    """`usually 2 to 5 min, and 15 min of watching`; empty where nobody knows, or no release starts."""
    usual = USUAL.get((deployment.target, deployment.service))
    if usual is None or not any(action.kind == "stage" for action in actions):
        return ""
    least, most = usual.first if is_first else usual.later
    steps = len([action for action in actions if action.kind == "weigh"]) or len(shares_before_all(deployment.strategy))
    watched = steps + len([action for action in actions if action.kind == "mirror"])
    seconds = watched * deployment.strategy.bake_s if not is_first else 0
    said = f"{seconds:.3g} s" if seconds < MINUTE_S else f"{seconds / MINUTE_S:.3g} min"
    return f"usually {least:g} to {most:g} min" + (f", and {said} of watching" if seconds else "")
