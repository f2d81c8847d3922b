"""What would make a deployment fail and can be known before anything is changed: who we are, what is given, what is not built."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from mlship.errors import Exit, Finding, MlshipError
from mlship.targets.aws.door import Door, Refused
from mlship.targets.aws.ecs import network
from mlship.targets.aws.ecs.unbuilt import in_a_deploy, refused
from mlship.targets.aws.given import Given, given
from mlship.targets.aws.resources import findings as impossible
from mlship.targets.base import Deployment

_SECTION = "targets.aws"


def guard(door: Door, deployment: Deployment) -> None:
    """The wrong profile must not deploy anywhere. Raises MlshipError with exit 8."""
    wanted = str(deployment.settings.get("account") or "")
    if wanted and door.account != wanted:
        raise MlshipError(
            f"these credentials are of the account {door.account}, and targets.aws.account is {wanted}",
            deployment.places.get(f"{_SECTION}.account", ""),
            "set AWS_PROFILE to a profile of that account",
            exit=Exit.DENIED,
            code="wrong-account",
        )


def findings(door: Door, deployment: Deployment) -> tuple[Finding, ...]:
    """Reads only. Raises MlshipError where nobody can be asked, or for another account than the one that is named."""
    guard(door, deployment)
    has = given(deployment)
    return (*impossible(deployment), *in_a_deploy(deployment), *_network(door, has, deployment), *_given(door, has, deployment))


def _network(door: Door, has: Given, deployment: Deployment) -> Iterator[Finding]:
    try:
        network.parameters_for(door, has)
    except Refused as no:
        yield _missing(deployment, "subnets", no)
    except MlshipError as error:
        if error.code != "bad-network":
            raise
        yield refused(deployment, f"{_SECTION}.subnets", error.what, error.fix, error.code)


def _given(door: Door, has: Given, deployment: Deployment) -> Iterator[Finding]:
    """What mlship.yaml names has to be there. What these credentials may not look at is left to the step that needs it."""
    questions: tuple[tuple[str, bool, Callable[[], Any]], ...] = (
        (
            "security_groups",
            bool(has.security_groups),
            lambda: door.call("ec2", "describe_security_groups", GroupIds=list(has.security_groups)),
        ),
        ("listener", bool(has.listener), lambda: door.call("elbv2", "describe_listeners", ListenerArns=[has.listener])),
        (
            "repository",
            bool(has.repository),
            lambda: door.call("ecr", "describe_repositories", repositoryNames=[has.repository]),
        ),
        *((f"roles.{name}", True, lambda role=role: _role(door, role)) for name, role in sorted(has.roles.items())),
    )
    for key, is_said, ask in questions:
        if is_said:
            try:
                ask()
            except Refused as no:
                if no.code != "denied":
                    yield _missing(deployment, key, no)
    if has.cluster:
        yield from _cluster(door, has, deployment)


def _cluster(door: Door, has: Given, deployment: Deployment) -> Iterator[Finding]:
    told = door.call("ecs", "describe_clusters", clusters=[has.cluster])["clusters"]
    found = next((one for one in told if one["status"] == "ACTIVE"), None)
    if found is None:
        what = f"there is no cluster {has.cluster}"
        yield refused(deployment, f"{_SECTION}.cluster", what, "name one that is there, or none", "no-such-part")
        return
    profile = str((deployment.operating.get("cost") or {}).get("profile") or "")
    needed = "FARGATE_SPOT" if profile == "spot" else "FARGATE"
    if needed not in (found.get("capacityProviders") or ()):
        what = f"the cluster {has.cluster} has no capacity provider {needed}"
        fix = f"aws ecs put-cluster-capacity-providers --cluster {has.cluster} adds it"
        yield refused(deployment, f"{_SECTION}.cluster", what, fix, "no-such-part")


def _role(door: Door, role: str) -> Any:
    return door.call("iam", "get_role", RoleName=role.rpartition("/")[2])


def _missing(deployment: Deployment, key: str, no: Refused) -> Finding:
    what = f"{_SECTION}.{key} cannot be used: {no.what}"
    return refused(deployment, f"{_SECTION}.{key}", what, "correct the name, or the account", "no-such-part")
