"""Google's operations, looked at until they are done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlship.targets.gcp.door import Body, Door, failure_of
from mlship.targets.waiting import POLL_S as POLL_S
from mlship.targets.waiting import Waiting as Waiting


def finished(door: Door, client: str, method: str, request: Mapping[str, Any], waiting: Waiting, seconds: float) -> Body | None:
    """Calls, and waits for the operation: what came of it, None where it is still under way when the time is over.

    Raises Refused where it is turned away, and where it fails later.
    """
    begun = door.call(client, method, request)

    def look() -> Body | None:
        now = begun if begun.get("done") else door.operation(client, begun["name"])
        return now if now.get("done") else None

    ended = waiting.until(look, seconds)
    if ended is None:
        return None
    failed = failure_of(f"{client} {method}", ended)
    if failed:
        raise failed
    answer: Body = ended.get("response") or {}
    return answer
