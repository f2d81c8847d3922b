"""What the versions read that callers reach now: a copy of them that starts later must find it, whatever the next release needs."""

from __future__ import annotations

from mlship.targets.aws import secrets
from mlship.targets.aws.door import Door
from mlship.targets.aws.lambdas import seen
from mlship.targets.aws.lambdas.foundation import Kept
from mlship.targets.aws.lambdas.naming import function_name
from mlship.targets.aws.lambdas.releasing import REFERENCE
from mlship.targets.aws.scope import Scope
from mlship.targets.base import OPERATOR_KEY, Deployment


def kept(door: Door, scope: Scope, deployment: Deployment) -> Kept:
    """Secrets that the deployment does not name itself; mlship's own key stays once it is there."""
    present = seen.look(door, scope)
    if present is None:
        return Kept()
    numbers = present.live.shares if present.live else ()
    told = [seen.configuration(door, function_name(scope), number) or {} for number in numbers]
    read = {
        str(text).partition(" ")[0]
        for one in told
        for name, text in ((one.get("Environment") or {}).get("Variables") or {}).items()
        if name.startswith(REFERENCE) and name != REFERENCE + OPERATOR_KEY
    }
    known = deployment.references.values()
    others = {arn for arn in read if arn.startswith("arn:") and not any(secrets.covers(one, arn) for one in known)}
    return Kept(frozenset(others), "OperatorKey" in present.outputs)
