"""Streams of copies that are followed by reading their ends again."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import islice
from types import SimpleNamespace
from typing import Any

from mlship.targets.azure.container_apps.logs import lines_of
from mlship.targets.azure.container_apps.seen import Copy
from mlship.targets.azure.waiting import Waiting

BEGUN = datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp()


class Streams:
    """A door to streams of copies, whose lines can be read from some second on. write: as Azure hands them on."""

    def __init__(self, write: Callable[[float], str], **printed: list[tuple[float, float]]) -> None:
        self.write, self.printed, self.now = write, printed, 0.0
        self.waiting = Waiting(lambda: BEGUN + self.now, self.sleep)

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def arm(self, method: str, path: str, api: str) -> Any:
        return {"properties": {"token": "t"}}

    def send(self, method: str, url: str, *, headers: Any) -> Any:
        name, _, query = url.removeprefix("https://log/").partition("?")
        most = int(query.rpartition("tailLines=")[2])
        lines = [self.write(when) for when, there in self.printed[name] if there <= self.now]
        return SimpleNamespace(status=200, body="\n".join(lines[-most:]).encode())

    def seen(self) -> Any:
        copies = tuple(Copy(name, "r1-7f3a9c", "rev", True, 0.0, log=f"https://log/{name}") for name in self.printed)
        return SimpleNamespace(path="/apps/churn", revisions=(SimpleNamespace(copies=copies),))


def timed(when: float) -> str:
    return json.dumps({"TimeStamp": datetime.fromtimestamp(BEGUN + when, UTC).isoformat(), "Log": f"F {when:g}"})


def test_whoever_follows_the_last_lines_is_told_what_comes_and_not_what_was_there_before_them() -> None:
    streams = Streams(timed, a=[(-90, 0), (-60, 0), (-3, 0), (5, 6)], b=[(-30, 0), (-2, 0), (-1, 4), (7, 8)])
    found = lines_of(streams, streams.seen, "", 2, True, streams.waiting)
    assert [line.text for line in islice(found, 5)] == ["-3", "-2", "-1", "5", "7"]


def test_a_line_without_a_time_comes_once_too() -> None:
    streams = Streams(lambda when: f"{when:g}", a=[(-90, 0), (5, 6), (700, 700)])
    found = lines_of(streams, streams.seen, "", 2, True, streams.waiting)
    assert [line.text for line in islice(found, 3)] == ["-90", "5", "700"]


def test_without_following_no_more_of_a_stream_is_read_than_is_told() -> None:
    streams = Streams(timed, a=[(-90, 0), (-60, 0), (-3, 0)], b=[(-30, 0)])
    assert [line.text for line in lines_of(streams, streams.seen, "", 2, False, streams.waiting)] == ["-30", "-3"]
