"""The lines of the server in a deployment: Azure gives the last ones, of whatever machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

from mlship.targets.azure.azureml.site import ML_API, Site
from mlship.targets.azure.door import Door
from mlship.targets.azure.refusal import Refused
from mlship.targets.azure.waiting import Waiting
from mlship.targets.base import LogLine

LOOK_S = 5.0
MOST = 10_000  # lines that are asked for at once


def lines_of(
    door: Door, site: Site, releases: Callable[[], list[str]], lines: int, follow: bool, waiting: Waiting
) -> Iterator[LogLine]:
    """The last `lines` of each release, then what comes, without end, when `follow`."""
    known: dict[str, list[str]] = {}
    for release in releases():
        known[release] = _text(door, site, release, lines)
        yield from (LogLine(release, release, text) for text in known[release])
    again = replace(waiting, every_s=LOOK_S)
    while follow:
        again.sleep(LOOK_S)
        for release in again.answered(releases):
            told = again.answered(partial(_text, door, site, release, MOST))
            yield from (LogLine(release, release, text) for text in newer(known.get(release, []), told))
            known[release] = told


def newer(known: list[str], told: list[str]) -> list[str]:
    """What comes after the lines that are known; all, where none of them is there any more."""
    for start in range(len(known)):
        tail = known[start:]
        at = next((end for end in range(len(told), len(tail) - 1, -1) if told[end - len(tail) : end] == tail), None)
        if at is not None:
            return told[at:]
    return told


def _text(door: Door, site: Site, release: str, lines: int) -> list[str]:
    if lines <= 0:
        return []
    body = {"containerType": "InferenceServer", "tail": min(lines, MOST)}
    try:
        told = door.arm("POST", f"{site.deployment(release)}/getLogs", ML_API, body)
    except Refused as no:
        if no.is_missing:
            return []
        raise
    return [line for line in str(told.get("content") or "").splitlines() if line.strip()][-lines:]
