"""What a file that a class of the user's own loads tells: nothing. It may be of any kind."""

from __future__ import annotations

from mlship.errors import MlshipError
from mlship.frameworks.base import Asked, Read


def read_own_class(asked: Asked) -> Read:
    """Raises MlshipError when there is no such file or folder."""
    if not asked.path.exists():
        raise MlshipError(
            f"there is no {asked.path.name} in {asked.path.parent}",
            asked.where,
            "train and save the model, or correct the path",
            code="missing-model",
        )
    return Read("none")
