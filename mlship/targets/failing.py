"""What an exception of a step means for a rollout. Pure."""

from __future__ import annotations

from mlship.errors import Exit, MlshipError
from mlship.targets.base import Outcome


def of_target(error: MlshipError) -> Outcome:
    """A platform that refuses or does not answer says nothing about the release. What it denies ends the command with exit 8."""
    denied = Exit.DENIED if error.exit is Exit.DENIED else None
    return Outcome(False, error.what, error.details, fault="target", exit=denied)
