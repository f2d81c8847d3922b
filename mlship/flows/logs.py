"""logs: what the replicas said."""

from __future__ import annotations

from collections.abc import Iterator

from mlship.flows.context import Context, Where
from mlship.flows.opening import opened
from mlship.targets.base import LogLine


def logs(context: Context, where: Where, *, release: str = "", lines: int = 100, follow: bool = False) -> Iterator[LogLine]:
    """The last lines, oldest first; with `follow` it goes on until it is interrupted. release: empty means the live one."""
    place = opened(context, where)
    return place.target.logs(release, lines, follow)
