"""Why a release did not start, in the server's own words. The same on every target."""

from __future__ import annotations

import json
from collections.abc import Sequence


def own_reason(lines: Sequence[str]) -> str:
    """What the server itself said last about why it does not start: its event `start_failed` (server/monitoring/log.py)."""
    for line in reversed(lines):
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and event.get("event") == "start_failed":
            return str(event.get("message", ""))
    return ""
