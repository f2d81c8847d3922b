"""The last lines of a log without reading all of it: CloudWatch reads forwards only, and a busy log has millions of lines a day."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

BACK_S = (60.0, 900.0, 6 * 3600.0, 24 * 3600.0)
MS = 1000.0


class Told(NamedTuple):
    """All events since then, in seconds since the epoch."""

    events: Sequence[Any]
    since: float


def newest(read: Callable[[float], Sequence[Any]], enough: int, now: float, back_s: Sequence[float] = BACK_S) -> Told:
    """What was written since the latest of these moments from which there is enough; since the first one, where there never is.

    read: what was written since then. now, and its argument: seconds since the epoch.
    """
    told = Told((), now)
    for seconds in back_s:
        since = max(0.0, now - seconds)
        told = Told(read(since), since)
        if len(told.events) >= enough:
            break
    return told


def start_time(since: float) -> dict[str, int]:
    """As FilterLogEvents takes it."""
    return {"startTime": int(since * MS)} if since > 0 else {}


def marked(event: Mapping[str, Any]) -> tuple[str, float]:
    """An event's id and its time, as `log_stream.followed` asks for them."""
    return event["eventId"], event["timestamp"] / MS
