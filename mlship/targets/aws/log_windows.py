"""The last lines of a log without reading all of it: CloudWatch reads forwards only, and a busy log has millions of lines a day."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

T = TypeVar("T")
BACK_S = (60.0, 900.0, 6 * 3600.0, 24 * 3600.0)
MS = 1000.0
# Each copy hands in its lines some seconds at a time, so that one that is older may come after one that is newer: the log driver of
# containers collects lines for up to five seconds (awslogs; from memory, verify).
LATE_MS = 10_000


def newest(read: Callable[[int], Sequence[T]], enough: int, now: float, back_s: Sequence[float] = BACK_S) -> Sequence[T]:
    """What was written since the latest of these moments from which there is enough; since the first one, where there never is.

    read: what was written since then, in milliseconds since the epoch. now: seconds since the epoch.
    """
    found: Sequence[T] = ()
    for seconds in back_s:
        found = read(max(0, int((now - seconds) * MS)))
        if len(found) >= enough:
            break
    return found


def marked(event: Mapping[str, Any]) -> tuple[str, int]:
    """An event's id and its time, as `log_stream.followed` asks for them."""
    return event["eventId"], event["timestamp"]
