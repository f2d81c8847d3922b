"""IAM's judgement of policies, which moto does not have: everything is allowed but what a test denies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import aws_model

DENIED: set[str] = set()


def simulated(said: Mapping[str, Any]) -> dict[str, Any]:
    """The answer of SimulatePrincipalPolicy."""
    decisions = {name: "explicitDeny" if name in DENIED else "allowed" for name in said["ActionNames"]}
    answer = {
        "EvaluationResults": [{"EvalActionName": name, "EvalDecision": decision} for name, decision in decisions.items()],
        "IsTruncated": False,
    }
    aws_model.check_answer("iam", "simulate_principal_policy", answer)
    return answer
