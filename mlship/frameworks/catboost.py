"""What a CatBoost file tells without being loaded."""

from __future__ import annotations

from mlship.frameworks.base import Asked, Read
from mlship.frameworks.boosted import read_boosted
from mlship.server import boosted_catboost


def read_catboost(asked: Asked) -> Read:
    """Raises OSError."""
    return read_boosted(asked, "catboost", boosted_catboost.header, lambda found, asked: iter(()))
