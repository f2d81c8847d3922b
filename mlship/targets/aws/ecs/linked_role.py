"""ECS' own role, which an account has from its first cluster on. Without it CloudFormation makes no cluster with capacity providers."""

from __future__ import annotations

from mlship.targets.aws.door import Door, Refused

ROLE, OWNER = "AWSServiceRoleForECS", "ecs.amazonaws.com"
_THERE = ("InvalidInput", "EntityAlreadyExists")  # AWS says the first, as of all roles of services; emulators the second


def ensure(door: Door) -> None:
    """Who may neither look nor make it leaves it to CloudFormation, which says what is missing."""
    try:
        door.call("iam", "get_role", RoleName=ROLE)
    except Refused as no:
        if no.said == "NoSuchEntity":
            _make(door)


def _make(door: Door) -> None:
    try:
        door.call("iam", "create_service_linked_role", AWSServiceName=OWNER)
    except Refused as no:
        if no.said not in _THERE and no.code != "denied":  # another command made it meanwhile
            raise
