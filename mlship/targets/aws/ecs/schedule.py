"""Floors at certain times: `scale.schedule` in the words of Application Auto Scaling. Pure.

An expression there has six fields, and one of the two for days is `?` (PutScheduledAction, service model of botocore 1.44.5); days of
the week are written by name, as their numbers differ.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from mlship.errors import Finding
from mlship.targets.aws.documents import Body
from mlship.targets.base import Deployment
from mlship.targets.refusals import refused

_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
_FIELD = re.compile(r"\*|[0-9A-Za-z]+(-[0-9A-Za-z]+)?(,[0-9A-Za-z]+(-[0-9A-Za-z]+)?)*")
_KEY = "scale.schedule"


def floors(deployment: Deployment) -> tuple[tuple[str, int], ...]:
    """Expression of AWS and minimum. Only of what `findings` finds nothing against."""
    return tuple((expression(one["cron"]), int(one["min"])) for one in _said(deployment))


def actions(deployment: Deployment, resource: Body) -> list[Body]:
    """PutScheduledAction, one for each floor. resource: whose."""
    return [
        {
            "ScheduledActionName": f"floor-{number}",
            **resource,
            "Schedule": when,
            "Timezone": "UTC",
            "ScalableTargetAction": {"MinCapacity": least},
        }
        for number, (when, least) in enumerate(floors(deployment), 1)
    ]


def expression(cron: str) -> str:
    """`0 7 * * 1-5` -> `cron(0 7 ? * MON-FRI *)`. Raises ValueError: what is wrong with it."""
    fields = cron.split()
    if len(fields) != 5:
        raise ValueError("it has five fields: minute hour day month weekday")
    if wrong := next((field for field in fields if not _FIELD.fullmatch(field)), ""):
        raise ValueError(f"{wrong} is none of *, 5, 1-5 and 1,3,5")
    minute, hour, day, month, weekday = fields
    if "*" not in (day, weekday):
        raise ValueError("it has a day of the month and one of the week; AWS takes only one of them")
    days = "?" if weekday == "*" else re.sub(r"\b[0-7]\b", lambda found: _DAYS[int(found[0])], weekday.upper())
    return f"cron({minute} {hour} {day if days == '?' else '?'} {month} {days} *)"


def findings(deployment: Deployment) -> Iterator[Finding]:
    least, most = deployment.replicas
    for one in _said(deployment):
        try:
            expression(one["cron"])
        except ValueError as wrong:
            yield refused(
                deployment, _KEY, f"{_KEY} {one['cron']}: {wrong}", "mend it, or write one entry for each", "bad-schedule"
            )
        if not least <= one["min"] <= most:
            what = f"{_KEY} has min {one['min']}, and scale.replicas is {least}..{most}"
            yield refused(deployment, _KEY, what, "write a minimum inside of scale.replicas", "bad-schedule")
    if _said(deployment) and least == most:
        yield refused(
            deployment, _KEY, f"{_KEY} moves nothing where scale.replicas is {least}", "write a range", "bad-schedule"
        )


def _said(deployment: Deployment) -> list[Body]:
    return list((deployment.operating.get("scale") or {}).get("schedule") or ())
