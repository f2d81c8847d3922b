"""What would make a deployment fail and can be known before anything is changed, whatever service it is for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from mlship.errors import Finding
from mlship.targets.aws.door import Door, Refused, check_account
from mlship.targets.aws.given import Given
from mlship.targets.base import Deployment
from mlship.targets.refusals import refused

SECTION = "targets.aws"
ROLES = {"ecs": ("task", "execution"), "sagemaker": ("execution",), "lambda": ("task",)}  # that a service is made with


def guard(door: Door, deployment: Deployment) -> None:
    """The wrong profile must not deploy anywhere. Raises MlshipError with exit 8."""
    check_account(door, deployment.settings, deployment.places.get(f"{SECTION}.account", ""))


def parts_of_all(door: Door, has: Given) -> dict[str, Callable[[], Any]]:
    """Key of targets.aws -> the question whether what it names is there, for the parts that every service can be given."""
    asked: dict[str, Callable[[], Any]] = {
        f"roles.{name}": partial(door.call, "iam", "get_role", RoleName=role.rpartition("/")[2])
        for name, role in sorted(has.roles.items())
    }
    if has.security_groups:
        groups = list(has.security_groups)
        asked["security_groups"] = partial(door.call, "ec2", "describe_security_groups", GroupIds=groups)
    if has.repository:
        asked["repository"] = partial(door.call, "ecr", "describe_repositories", repositoryNames=[has.repository])
    return asked


def given_parts(deployment: Deployment, asked: Mapping[str, Callable[[], Any]]) -> Iterator[Finding]:
    """What mlship.yaml names has to be there. What these credentials may not look at is left to the step that needs it."""
    for key, ask in asked.items():
        try:
            ask()
        except Refused as no:
            if no.code != "denied":
                yield unusable(deployment, key, no)


def without_roles(deployment: Deployment, has: Given) -> Iterator[Finding]:
    """A boundary is for roles that mlship makes, and where all of them are given there is none. Pure."""
    if has.permissions_boundary and set(ROLES.get(deployment.service, ())) <= set(has.roles):
        key = f"{SECTION}.permissions_boundary"
        what = f"{key} has no effect: it is for roles that mlship makes, and {SECTION}.roles names all of them"
        yield replace(refused(deployment, key, what, "leave it out", "no-effect"), severity="warning")


def unusable(deployment: Deployment, key: str, no: Refused) -> Finding:
    what = f"{SECTION}.{key} cannot be used: {no.what}"
    return refused(deployment, f"{SECTION}.{key}", what, "correct the name, or the account", "no-such-part")
