"""The forms that all views share: columns, sizes, ages, ids, command lines."""

from __future__ import annotations

import calendar
import json
import shlex
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

LONGEST_EXAMPLE = 1500


def columns(rows: Iterable[Sequence[str]], indent: int = 2) -> str:
    """Rows aligned under each other, two spaces between; a row's last cell is as long as it is."""
    rows = [row for row in rows if row]
    widths: dict[int, int] = {}
    for row in rows:
        for place, cell in enumerate(row[:-1]):
            widths[place] = max(widths.get(place, 0), len(cell))
    return "\n".join(" " * indent + _aligned(row, widths) for row in rows)


def _aligned(row: Sequence[str], widths: Mapping[int, int]) -> str:
    cells = [cell.ljust(widths[place]) for place, cell in enumerate(row[:-1])]
    return "  ".join([*cells, row[-1]]).rstrip()


def lines(*parts: str) -> str:
    """The parts that are not empty, one below the other."""
    return "\n".join(part for part in parts if part)


def short_content(content: str) -> str:
    """`sha256:c41e07...` -> `c41e07f2a1b3`, long enough to be given to --image."""
    return content.removeprefix("sha256:")[:12]


def age(seconds: float) -> str:
    """`3 h ago`, `just now`."""
    for length, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= length:
            return f"{int(seconds // length)} {unit} ago"
    return "just now" if seconds < 10 else f"{int(seconds)} s ago"


def seconds_text(seconds: float) -> str:
    """`1.4 s`, `11 min 18 s`."""
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds) // 60} min {int(seconds) % 60} s"


def day_and_time(when: float) -> str:
    """`2026-11-21 19:03`, in this machine's time zone."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(when))


def day_began(day: str) -> float:
    """`2026-11-21` -> seconds since the epoch, in UTC."""
    return float(calendar.timegm(time.strptime(day, "%Y-%m-%d")))


def time_of_day(when: float) -> str:
    """`22:10`, in this machine's time zone."""
    return time.strftime("%H:%M", time.localtime(when))


def percent(share: float) -> str:
    """0.05 -> `5 %`, 0.002 -> `0.2 %`."""
    return f"{share * 100:.3g} %"


def place(project: str, environment: str) -> str:
    """`churn/prod`."""
    return f"{project}/{environment}" if environment else project


def curl(endpoint: str, body: Mapping[str, Any] | None, is_closed: bool = False) -> str:
    """A request that can be pasted: the first row of the sample, or the schema where there is no short sample.

    is_closed: with the place of a caller's key, which this command does not show.
    """
    key = "-H 'Authorization: Bearer KEY' " if is_closed else ""
    if endpoint.endswith(
        ".run.app"
    ):  # Cloud Run judges callers, too; beside the server's own key its token has a header of its own
        header = "X-Serverless-Authorization" if is_closed else "Authorization"
        key += f'-H "{header}: Bearer $(gcloud auth print-identity-token)" '
    if body and body.get("instances"):
        text = json.dumps({**body, "instances": body["instances"][:1]}, ensure_ascii=False)
        if len(text) <= LONGEST_EXAMPLE and endpoint.endswith(":predict"):  # an address of Vertex AI's API, not of a server
            header = '-H "Authorization: Bearer $(gcloud auth print-access-token)" '
            return f"curl {header}-H 'Content-Type: application/json' {endpoint} -d {shlex.quote(text)}"
        if len(text) <= LONGEST_EXAMPLE:
            return f"curl {key}-H 'Content-Type: application/json' {endpoint}/predict -d {shlex.quote(text)}"
    return f"curl {key}{endpoint}/schema"
