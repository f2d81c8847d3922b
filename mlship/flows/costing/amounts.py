"""The command line's words as numbers; what means nothing is refused with the option that says it. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

from mlship.config.project import Project
from mlship.config.words import clipped
from mlship.errors import MlshipError
from mlship.units import Duration

Amount = TypeVar("Amount")


def says(project: Project | None, key: str) -> bool:
    """Whether the file has the key, or something below it."""
    return project is not None and any(said == key or said.startswith(f"{key}.") for said in project.positions)


def seconds_said(option: str, said: str) -> float:
    seconds = parsed(option, said, Duration.parse).seconds
    if not 1e-6 <= seconds <= 3600:
        raise refused(option, f"{said} is no time that a request takes", "write for example 50ms")
    return seconds


def parsed(option: str, said: str, parse: Callable[[str], Amount]) -> Amount:
    try:
        return parse(said)
    except ValueError as error:
        what, _, fix = str(error).partition("; ")
        raise refused(option, what, fix) from None


def count_said(option: str, said: str, what: str = "replicas", fix: str = "write 3, or 2..10") -> int:
    digits = said.strip()
    if not digits.isdecimal() or len(digits) > 6 or int(digits) > 100_000:
        raise refused(option, f"{clipped(said)} is no number of {what}", fix)
    return int(digits)


def share_said(option: str, said: float | None, below: float = 1.0) -> float:
    if said is None:
        return 0.0
    if not 0 <= said <= below:
        raise refused(option, f"{said:g} is no share", f"write a number from 0 to {below:g}, such as 0.2 or 20%")
    return said


def amount_said(option: str, said: float) -> float:
    if not math.isfinite(said) or not 0 <= said <= 1e15:
        raise refused(option, f"{said:g} is no amount", "write a number from 0 on")
    return said


def refused(option: str, what: str, fix: str) -> MlshipError:
    return MlshipError(what, option, fix, code="usage")
