"""Who wrote the papers, and when, where that shall be said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from mlship.errors import MlshipError

_VARIABLE = "SOURCE_DATE_EPOCH"
_FORM = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True)
class Stamp:
    """version: mlship's. created: `2026-11-22T02:28:04Z`, or empty: then the same image gives the same bytes at any time."""

    version: str
    created: str = ""


def stamp(version: str, environ: Mapping[str, str]) -> Stamp:
    """The time of SOURCE_DATE_EPOCH, seconds since the epoch (reproducible-builds.org), and no time without it."""
    said = environ.get(_VARIABLE, "")
    if not said:
        return Stamp(version)
    try:
        return Stamp(version, datetime.fromtimestamp(int(said), UTC).strftime(_FORM))
    except (ValueError, OverflowError, OSError):
        raise MlshipError(
            f"{_VARIABLE} is {said[:40]!r}", fix=f"set {_VARIABLE} to seconds since 1970, or unset it", code="usage"
        ) from None
