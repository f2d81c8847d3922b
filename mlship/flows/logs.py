"""logs: what the replicas said."""

from __future__ import annotations

from collections.abc import Iterator

from mlship.flows.context import Context, Where
from mlship.flows.opening import history_or_error, opened
from mlship.targets.base import LogLine


def logs(context: Context, where: Where, *, release: str = "", lines: int = 100, follow: bool = False) -> Iterator[LogLine]:
    """The last lines, oldest first; with `follow` it goes on until it is interrupted. release: empty means the live one.

    Raises MlshipError, when the first line is asked for, where nothing of the project is there.
    """
    place = opened(context, where)
    is_silent = True
    for line in place.target.logs(release, lines, follow):
        is_silent = False
        yield line
    if is_silent:
        history_or_error(place, place.target.records.read())
