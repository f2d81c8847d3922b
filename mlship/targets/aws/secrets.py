"""Secrets that the platform reads itself: named in Secrets Manager, pinned to a version, and never read here. Pure, but for `pinned`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mlship.errors import MlshipError
from mlship.targets.aws.documents import Template
from mlship.targets.aws.door import Door, Refused

SCHEME = "secretsmanager:"
CURRENT = "AWSCURRENT"
# What Secrets Manager puts behind a name in its ARN; nobody knows it before the secret is there, and a policy may say so
# (docs.aws.amazon.com/secretsmanager, "Secrets Manager secret values in policies"; from memory, verify).
_ENDING = "-??????"


def pinned(door: Door, references: Mapping[str, str]) -> dict[str, str]:
    """variable -> the version that is current now, as `version` writes it. Raises MlshipError for a secret that is not there."""
    return {variable: _current(door, reference) for variable, reference in references.items()}


def version(arn: str, id: str) -> str:
    """As a container's `valueFrom` takes it: no key inside a JSON, no stage, this very version (Secret, service model ecs)."""
    return f"{arn}:::{id}"


def arn_of(version: str) -> str:
    return version.rpartition(":::")[0]


def covers(reference: str, arn: str) -> bool:
    """Whether it is the same secret."""
    name = reference.removeprefix(SCHEME)
    return arn == name or arn.partition(":secret:")[2][: -len(_ENDING)] == name


def readable(references: Iterable[str], more: Iterable[Any] = ()) -> Template:
    """The statement that lets a role read exactly these. more: ARNs, or what stands for them in a template."""
    named = [_resource(reference.removeprefix(SCHEME)) for reference in sorted(set(references))]
    return {"Effect": "Allow", "Action": ["secretsmanager:GetSecretValue"], "Resource": [*named, *more]}


def _resource(name: str) -> Any:
    if name.startswith("arn:"):
        return name
    return {"Fn::Sub": f"arn:${{AWS::Partition}}:secretsmanager:${{AWS::Region}}:${{AWS::AccountId}}:secret:{name}{_ENDING}"}


def _current(door: Door, reference: str) -> str:
    name, here = reference.removeprefix(SCHEME), f"--region {door.region}"
    try:
        told = door.call("secretsmanager", "describe_secret", SecretId=name)
    except Refused as no:
        if no.said != "ResourceNotFoundException":
            raise
        fix = f"aws secretsmanager create-secret {here} --name {name} --secret-string file://VALUE, or name another one"
        raise MlshipError(f"Secrets Manager has no secret {name} in {door.region}", fix=fix, code="missing-secret") from None
    current = [id for id, stages in (told.get("VersionIdsToStages") or {}).items() if CURRENT in stages]
    if not current:
        fix = f"aws secretsmanager put-secret-value {here} --secret-id {name} --secret-string file://VALUE"
        raise MlshipError(f"the secret {name} has no value", fix=fix, code="missing-secret")
    return version(str(told["ARN"]), current[0])
