"""Following a platform's log by looking again: everything that comes, once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

Event = TypeVar("Event")


def followed(
    told: Sequence[Event],
    look: Callable[[Any], Iterable[Event]],
    mark: Callable[[Event], tuple[str, Any]],
    start: Any,
    pause: Callable[[], None],
) -> Iterator[Event]:
    """What comes after `told`, without end. look: what there is since a time, that of the newest event; `start` before any.

    mark: of an event, its id and its time: several may have the same time, so that it is looked at once more.
    """
    known = {mark(event)[0] for event in told}
    latest = max((mark(event)[1] for event in told), default=start)
    while True:
        pause()
        for event in look(latest):
            name, when = mark(event)
            if name not in known:
                known.add(name)
                latest = max(latest, when)
                yield event
