"""Following a platform's log by looking again: everything that comes, once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, TypeVar

from mlship.targets.waiting import Waiting

Event = TypeVar("Event")


def followed(
    told: Sequence[Event],
    look: Callable[[Any], Iterable[Event]],
    mark: Callable[[Event], tuple[str, Any]],
    start: Any,
    waiting: Waiting,
    late: int = 0,
) -> Iterator[Event]:
    """What comes after `told`, without end. look: what there is since a time, that of the newest event; `start` before any.

    mark: of an event, its id and its time: several may have the same time, so that it is looked at once more. late: how much older
    than one that is there already an event may be that comes now, in the unit of the times: copies hand in their lines in their own time.
    A platform that is busy or away for a moment is asked again. Raises what it says when it stays away.
    """
    known = {mark(event)[0] for event in told}
    first = latest = max((mark(event)[1] for event in told), default=start)
    while True:
        waiting.sleep(waiting.every_s)
        since = max(first, latest - late) if late else latest
        for event in waiting.answered(partial(_all, look, since)):
            name, when = mark(event)
            if name not in known:
                known.add(name)
                latest = max(latest, when)
                yield event


def _all(look: Callable[[Any], Iterable[Event]], since: Any) -> list[Event]:
    return list(look(since))
