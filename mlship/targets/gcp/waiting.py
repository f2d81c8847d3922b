"""Looking again until something is so; operations are looked at that way, too."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mlship.targets.gcp.door import Body, Door, failure_of

POLL_S = 2.0


@dataclass(frozen=True)
class Waiting:
    """The clock, and the pause between two looks."""

    clock: Callable[[], float]
    sleep: Callable[[float], None]
    every_s: float = POLL_S

    def until(self, look: Callable[[], Any], seconds: float) -> Any:
        """The first answer that is not None; None when the time is over."""
        ends = self.clock() + seconds
        while (found := look()) is None:
            if self.clock() >= ends:
                return None
            self.sleep(self.every_s)
        return found


def finished(door: Door, client: str, method: str, request: Mapping[str, Any], waiting: Waiting, seconds: float) -> Body | None:
    """Calls, and waits for the operation: what came of it, None where it is still under way when the time is over.

    Raises Refused where it is turned away, and where it fails later.
    """
    begun = door.call(client, method, request)

    def look() -> Body | None:
        now = begun if begun.get("done") else door.operation(client, begun["name"])
        return now if now.get("done") else None

    ended: Body | None = waiting.until(look, seconds)
    if ended is None:
        return None
    failed = failure_of(f"{client} {method}", ended)
    if failed:
        raise failed
    answer: Body = ended.get("response") or {}
    return answer
