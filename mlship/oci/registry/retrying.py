"""Which answers pass when one waits, and how long. Pure."""

from __future__ import annotations

from datetime import datetime
from email.utils import parsedate_to_datetime

TRIES = 6
LONGEST_PAUSE_S = 60.0
_FIRST_PAUSE_S = 0.5
_LONGEST_OWN_PAUSE_S = 8.0
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})


def is_passing(status: int) -> bool:
    """Whether the same request may succeed later."""
    return status in _PASSING


def pause_s(failures: int, retry_after: str, now: datetime) -> float:
    """How long to wait after this many failures in a row (1 or more).

    retry_after: the header, seconds or a date (RFC 9110, 10.2.3), empty where there is none; at most LONGEST_PAUSE_S of it
    is honoured. now: with a time zone.
    """
    own = min(_FIRST_PAUSE_S * 2.0 ** (failures - 1), _LONGEST_OWN_PAUSE_S)
    asked = _seconds(retry_after.strip(), now)
    return own if asked is None else min(max(asked, 0.0), LONGEST_PAUSE_S)


def _seconds(retry_after: str, now: datetime) -> float | None:
    if retry_after.isascii() and retry_after.isdecimal():
        return float(retry_after[:9])
    try:
        return (parsedate_to_datetime(retry_after) - now).total_seconds()
    except (TypeError, ValueError):
        return None
