"""What a LightGBM file tells without being loaded."""

from __future__ import annotations

from collections.abc import Iterator

from mlship.errors import Finding
from mlship.frameworks.base import Asked, Read
from mlship.frameworks.boosted import read_boosted
from mlship.server import boosted_lightgbm
from mlship.server.boosted_header import Header


def read_lightgbm(asked: Asked) -> Read:
    """Raises OSError."""
    return read_boosted(asked, "lightgbm", boosted_lightgbm.header, _oddities)


def _oddities(found: Header, asked: Asked) -> Iterator[Finding]:
    if not found.facts["is_told"]:
        what = f"{asked.path.name} lists categories of pandas columns, and does not say which columns these are"
        fix = "name them when you train, categorical_feature=[...], and save the model again"
        yield Finding(what, asked.where, fix, code="unknown-categories")
