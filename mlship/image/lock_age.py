"""How old a lock is, and when that is worth a word. Pure: the time comes in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime

from mlship.errors import Finding
from mlship.image.lock import Lock
from mlship.image.lock_file import NAME
from mlship.image.papers.stamp import stamp

OLD = 30  # days; distributions publish security updates of what is in every base about once a month


def today(now: float, environ: Mapping[str, str]) -> str:
    """The day in UTC, `2026-11-22`: of SOURCE_DATE_EPOCH where it is set, else of `now`, seconds since the epoch."""
    said = stamp("", environ).created
    return said[:10] or datetime.fromtimestamp(now, UTC).date().isoformat()


def age_days(lock: Lock, day: str) -> int | None:
    """Days between the lock and the day; None where the lock does not tell, as one of schema 1."""
    try:
        return (date.fromisoformat(day) - date.fromisoformat(lock.made)).days
    except ValueError:
        return None


def age_findings(locks: Iterable[Lock], day: str) -> tuple[Finding, ...]:
    """A warning where a lock is older than OLD days; one for all platforms, about the oldest."""
    ages = [age for lock in locks if (age := age_days(lock, day)) is not None]
    oldest = max(ages, default=0)
    if oldest <= OLD:
        return ()
    return (
        Finding(
            f"the packages of {NAME} are {oldest} days old; security updates may have come since",
            NAME,
            "mlship lock --refresh --dry-run shows them, mlship lock --refresh takes them",
            "warning",
            "old-lock",
        ),
    )
