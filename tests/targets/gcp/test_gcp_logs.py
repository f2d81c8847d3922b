"""A log of Google's that is followed: what comes late is told, and what was there is not told as new."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import pytest

from mlship.targets.gcp.cloud_run.logs import lines_of as cloud_run_lines
from mlship.targets.gcp.log_entries import BEFORE_S
from mlship.targets.gcp.scope import Scope
from mlship.targets.gcp.vertex.logs import lines_of as vertex_lines
from mlship.targets.gcp.waiting import Waiting

BEGUN = datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp()
PAGE = 2  # entries; an answer may have fewer than are asked for


class Log:
    """A door to Cloud Logging. there: when each line was written and when it was handed in, in seconds after the beginning."""

    project, region = "acme-ml", "europe-west1"

    def __init__(self, *there: tuple[float, float]) -> None:
        self.there, self.now = there, 0.0
        self.waiting = Waiting(lambda: BEGUN + self.now, self.sleep)

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def http(self, method: str, url: str, body: Any, *, reads: bool) -> Any:
        start = re.search(r'timestamp>="(.*?)"', body["filter"])
        since = datetime.fromisoformat(start[1]).timestamp() - BEGUN if start else -1e9
        said = [when for when, handed_in in self.there if handed_in <= self.now and when >= since]
        said.sort(reverse=body["orderBy"] == "timestamp desc")
        first = int(body.get("pageToken", 0))
        token = {"nextPageToken": str(first + PAGE)} if first + PAGE < len(said) else {}
        return {"entries": [entry(when) for when in said[first : first + PAGE]], **token}


def entry(when: float) -> dict[str, str]:
    written = datetime.fromtimestamp(BEGUN + when, UTC).isoformat().replace("+00:00", "Z")
    return {"insertId": f"{when}", "timestamp": written, "textPayload": f"{when:g}\n"}


@pytest.mark.parametrize("service", ["cloud-run", "vertex"])
def test_what_is_handed_in_late_comes_once_and_what_was_there_is_not_told_as_new(service: str) -> None:
    """Two lines are asked for, more of the last minute were there; one that is older than the newest of them comes late."""
    log = Log((-BEFORE_S - 9, 0), (-50, 0), (-30, 0), (-30.5, 0), (-3, 0), (-40, 4), (3, 6), (90, 90))
    if service == "vertex":
        found = vertex_lines(log, Scope("churn"), None, "", 2, True, log.waiting)
    else:
        found = cloud_run_lines(log, Scope("churn"), "", 2, True, log.waiting)
    assert [line.text for line in islice(found, 5)] == ["-30", "-3", "3", "-40", "90"]
