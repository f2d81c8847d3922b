"""What comes when: a flat rate, a day's curve, or hours from a table -> the steps of a month."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from itertools import groupby

from mlship.cost.workload import HOURS_PER_MONTH, Hour, Traffic
from mlship.errors import MlshipError

DAY, WEEK, YEAR = 24, 168, 8760  # hours
_WEEKDAYS, _WEEKEND = 5, 2
_MOST_RPS = 1e9
_ROUNDING = 1e-9
_LONGEST = 366 * 24.0  # hours: nobody's month


def flat(rps: float, hours: float = HOURS_PER_MONTH) -> Traffic:
    """rps: requests a second, above 0. hours: of a month. Raises MlshipError for numbers that cannot be meant."""
    _check("rps", rps, above=0)
    _check_hours(hours)
    return Traffic((Hour(rps, hours),))


def diurnal(
    mean: float, *, peak: float | None = None, peak_hour: int = 14, weekend: float = 1.0, hours: float = HOURS_PER_MONTH
) -> Traffic:
    """Days with one hill: the hours' mean over the week is `mean`, their highest `peak`, both requests a second and exact.

    peak: None for days without a hill. peak_hour: the busiest hour of a day, 0 to 23. weekend: Saturdays and Sundays against
    the other days (0.4); the week begins on a Monday. An hour's rate is low + (peak - low) x ((1 + cos)/2)^sharpness: up to
    peak = 2 x mean the sharpness is 1 and the night keeps what is left, above it the night has 0 and the hill gets steeper.
    Raises MlshipError where no such day exists: peak below the busier days' mean, or above 24 times it.
    """
    _check("rps", mean, above=0)
    _check("weekend", weekend)
    _check_hours(hours)
    if peak_hour not in range(DAY):
        raise _refused(f"peak_hour {peak_hour} is no hour of a day", "write a whole number from 0 to 23")
    weekday = mean / ((_WEEKDAYS + _WEEKEND * weekend) / (_WEEKDAYS + _WEEKEND))
    busier = max(1.0, weekend)
    if peak is not None:
        _check("peak", peak, above=0)
        _check_peak(mean, peak, weekday * busier, weekend)
    day = [weekday] * DAY if peak is None else _day(weekday, peak / busier, peak_hour)
    rates = day if weekend == 1 else day * _WEEKDAYS + [rate * weekend for rate in day] * _WEEKEND
    return _repeated(rates, hours)


def from_csv(text: str, where: str, hours: float = HOURS_PER_MONTH) -> Traffic:
    """Requests a second, an hour a line: 24 (a day), 168 (a week) or 8,760 of them (a year; a month is the twelfth part of it).

    A line of headings, and a first column that says when, are passed over. where: the file, for messages.
    Raises MlshipError with file and line.
    """
    _check_hours(hours)
    lines = _lines(text, where)
    if lines and not _is_number(lines[0][1][-1]):
        lines = lines[1:]
    rates = [_rate(cells, f"{where}:{line}") for line, cells in lines]
    if len(rates) not in (DAY, WEEK, YEAR):
        hint = "; leave out 29 February" if len(rates) == YEAR + DAY else ""
        raise _refused(f"{len(rates)} hours of traffic", f"give {DAY} (a day), {WEEK} (a week) or {YEAR} (a year){hint}", where)
    if not any(rates):
        raise _refused("every hour has 0 requests a second", "leave cost.traffic out: the idle floor is shown", where)
    return _repeated(rates, hours, where)


def _repeated(rates: Sequence[float], hours: float, source: str = "") -> Traffic:
    """As often as it takes to fill the month; hours of one rate that follow each other are one step."""
    cycles = hours / len(rates)
    steps = tuple(Hour(rate, len(list(run)) * cycles) for rate, run in groupby(rates))
    return Traffic(steps, cycles, source)


def _day(mean: float, peak: float, peak_hour: int) -> list[float]:
    hill = [(1 + math.cos(2 * math.pi * (hour - peak_hour) / DAY)) / 2 for hour in range(DAY)]
    if peak <= 2 * mean:
        low = 2 * mean - peak
        return [low + (peak - low) * height for height in hill]
    sharpness = _sharpness(hill, mean / peak)
    rates = [peak * height**sharpness for height in hill]
    rest = math.fsum(rates) - peak
    exact = max(0.0, DAY * mean - peak) / rest if rest > 0 else 0.0  # what bisection left over
    return [peak if hour == peak_hour else rate * exact for hour, rate in enumerate(rates)]


def _sharpness(hill: Iterable[float], mean: float) -> float:
    """The power at which the hill, 1 high, has this mean, from 1/24 to 1/2."""
    heights = list(hill)
    low, high = 0.0, 12.0  # as powers of 2
    for _ in range(60):
        middle = (low + high) / 2
        if math.fsum(height ** (2**middle) for height in heights) / DAY > mean:
            low = middle
        else:
            high = middle
    return float(2**high)


def _lines(text: str, where: str) -> list[tuple[int, list[str]]]:
    """Line number and cells of what is not empty."""
    delimiter = next((mark for mark in ";\t" if mark in text), ",")
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff")), delimiter=delimiter)
    try:
        return [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except csv.Error as error:
        raise _refused(f"this is no table ({error})", "give one hour a line", f"{where}:{reader.line_num}") from None


def _rate(cells: Sequence[str], where: str) -> float:
    if len(cells) > 2:
        raise _refused(f"{len(cells)} columns", "give the rate alone, or when and rate", where)
    if not _is_number(cells[-1]):
        raise _refused(f"{cells[-1].strip()[:40]!r} is no number of requests a second", "correct the line", where)
    rate = float(cells[-1])
    _check("rps", rate, where=where)
    return rate


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _check_peak(mean: float, peak: float, busiest_day: float, weekend: float) -> None:
    day = "" if weekend == 1 else f", which is {busiest_day:g} on the busier days"
    if peak < busiest_day * (1 - _ROUNDING):
        raise _refused(f"peak {peak:g} is below the mean of {mean:g}{day}", f"write a peak of at least {busiest_day:g}")
    if peak > DAY * busiest_day * (1 + _ROUNDING):
        raise _refused(
            f"peak {peak:g} is more than {DAY} times the mean of {mean:g}{day}: all of a day would come in less than an hour",
            f"write a peak of at most {DAY * busiest_day:g}, or give the hours in a CSV file",
        )


def _check(name: str, value: float, *, above: float | None = None, where: str = "") -> None:
    if not math.isfinite(value) or value < 0 or (above is not None and value <= above):
        at_least = "above 0" if above is not None else "from 0 on"
        raise _refused(f"{name} {value:g} is not a number {at_least}", "correct it", where)
    if value > _MOST_RPS:
        raise _refused(f"{name} {value:g} is more than anybody serves", f"write at most {_MOST_RPS:g}", where)


def _check_hours(hours: float) -> None:
    if not 0 < hours <= _LONGEST:
        raise _refused(f"hours {hours:g} is no month's", f"write {HOURS_PER_MONTH:g}, or what is served of it")


def _refused(what: str, fix: str, where: str = "") -> MlshipError:
    return MlshipError(what, where, fix, code="bad-traffic")
