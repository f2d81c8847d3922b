"""A chart of US dollars a month against requests a second, one line a plan, as SVG. Pure.

Colours are of a middle brightness, so that lines are seen on white and on black; where a page is dark, ink and paper change.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from math import ceil, floor, log10

from mlship.cost.candidate import CostPlan
from mlship.cost.figures import count_text, purchase_text, subject, usd
from mlship.cost.workload import HOURS_PER_MONTH, Hour, Traffic

POINTS = 61  # rates along the axis: enough for every step of a fleet to be where it is, within a pixel or two
MOST_LINES = 8


@dataclass(frozen=True)
class Series:
    """points: (requests a second, US dollars a month), rising by rate; where nobody can tell there is none.

    is_complete: False where a price is unknown, so that the line is the least that it costs.
    """

    name: str
    points: tuple[tuple[float, float], ...]
    is_complete: bool = True


@dataclass(frozen=True)
class Crossing:
    """The rate from which on another plan is the cheapest."""

    rps: float
    usd_month: float
    before: str
    after: str


@dataclass(frozen=True)
class Chart:
    """here: the traffic that was asked about, in requests a second on average; None without."""

    series: tuple[Series, ...]
    crossings: tuple[Crossing, ...] = ()
    here: float | None = None
    subtitle: str = ""


def rates(here: float | None) -> tuple[float, ...]:
    """Requests a second, evenly spaced on a logarithmic axis: two decades below and one and a half above what was asked about."""
    middle = log10(min(max(here or 10.0, 0.01), 1e6))
    low, high = (middle - 2, middle + 1.5) if here else (-1.0, 3.0)
    return tuple(10 ** (low + (high - low) * step / (POINTS - 1)) for step in range(POINTS))


def chart(plans: Sequence[CostPlan], priced: Callable[[CostPlan, float], CostPlan], here: float | None, note: str) -> Chart:
    """priced: the same way to serve at another mean rate. Plans of which nothing is known are left out."""
    at = rates(here)
    drawn = [_series(plan, priced, at) for plan in plans[:MOST_LINES]]
    series = tuple(one for one in drawn if one.points)
    return Chart(series, tuple(crossings(series)), here, note)


def at_rate(traffic: Traffic | None, rps: float) -> Traffic:
    """The same shape of a month with another mean; flat where there is none, or where nobody calls.

    Of a long table of hours the shape is that of its levels: as many as a line of a chart can show, with the peak as it is.
    """
    if traffic is None or not traffic.mean:
        return Traffic((Hour(rps, HOURS_PER_MONTH),))
    shape = traffic if len(traffic.steps) <= 2 * _LEVELS else _levels(traffic)
    times = rps / traffic.mean
    return replace(shape, steps=tuple(Hour(step.rps * times, step.hours) for step in shape.steps))


_LEVELS = 100


@lru_cache(maxsize=1)
def _levels(traffic: Traffic) -> Traffic:
    """Its steps by rate, so many put together that about 100 are left; requests and hours stay the same."""
    *others, peak = sorted(traffic.steps, key=lambda step: step.rps)
    size = ceil(len(others) / _LEVELS)
    together = (others[start : start + size] for start in range(0, len(others), size))
    return Traffic((*map(_mean, together), peak), 1.0, traffic.source)


def _mean(steps: Sequence[Hour]) -> Hour:
    hours = sum(step.hours for step in steps)
    return Hour(sum(step.rps * step.hours for step in steps) / hours, hours)


def _series(plan: CostPlan, priced: Callable[[CostPlan, float], CostPlan], at: Sequence[float]) -> Series:
    found = [(rps, priced(plan, rps)) for rps in at]
    points = [(rps, one.usd_month) for rps, one in found if one.usd_month is not None and not one.is_overloaded]
    name = f"{subject(plan)} {plan.candidate.region}, {purchase_text(plan.candidate.purchase)}"
    return Series(name, tuple(points), plan.is_complete)


def crossings(series: Sequence[Series]) -> Iterator[Crossing]:
    """Where the cheapest of the complete plans changes, along the rates at which all of them have a point."""
    known = [(one.name, dict(one.points)) for one in series if one.is_complete]
    at = sorted({rps for _, points in known for rps in points})
    best = [(rps, min((points[rps], name) for name, points in known if rps in points)) for rps in at]
    where = dict(known)
    for (left, (_, before)), (right, (_, after)) in pairwise(best):
        if before == after or left not in where[after] or right not in where[before]:
            continue  # the cheaper one only ends here
        gap_left = where[after][left] - where[before][left]
        gap_right = where[before][right] - where[after][right]
        share = gap_left / (gap_left + gap_right) if gap_left + gap_right else 0.5
        yield Crossing(
            left + share * (right - left),
            where[after][left] + share * (where[after][right] - where[after][left]),
            before,
            after,
        )


# The sheet, in pixels; the legend stands below, one line a plan.
_WIDTH, _TOP, _LEFT, _RIGHT, _HEIGHT = 760, 64, 84, 24, 320
_LEGEND = 22
_INK, _GREY, _GRID, _PAPER = "#24292f", "#57606a", "#d0d7de", "#ffffff"
_COLOURS = ("#3b82c4", "#d9770c", "#2f9e6e", "#c2529b", "#8a6fd1", "#c05050", "#6b8e23", "#708090")
_DASHES = ("", "8 3", "2 3", "10 3 2 3", "5 2", "1 4", "12 4", "6 2 1 2")
FONTS = "DejaVu Sans, Liberation Sans, Helvetica, Arial, sans-serif"
_DARK = (
    "@media (prefers-color-scheme: dark) { .paper { fill: #0d1117 } .ink { fill: #e6edf3 } .grey { fill: #9aa4af } "
    ".grid { stroke: #30363d } .axis { stroke: #9aa4af } .mark { stroke: #e6edf3 } }"
)


@dataclass(frozen=True)
class _Scale:
    """low, high: of the values (of their logarithms where is_log). start, length: pixels; a negative length goes upwards."""

    low: float
    high: float
    start: float
    length: float
    is_log: bool

    def at(self, value: float) -> float:
        place = log10(value) if self.is_log else value
        return self.start + self.length * (place - self.low) / (self.high - self.low)

    @property
    def ticks(self) -> list[float]:
        return _log_ticks(self.low, self.high) if self.is_log else _even_ticks(self.high)


def svg(drawn: Chart) -> str:
    """A whole document: well-formed, every text escaped, no script, nothing fetched. Ends with a newline."""
    points = [point for one in drawn.series for point in one.points] or [(0.1, 1.0), (1000.0, 1.0)]
    x = _x_scale([rps for rps, _ in points])
    y = _y_scale([amount for _, amount in points])
    height = _TOP + _HEIGHT + 62 + _LEGEND * (len(drawn.series) + len(drawn.crossings))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}" '
        f'font-family="{FONTS}" font-size="12" role="img" aria-labelledby="t">',
        '<title id="t">US dollars a month against requests a second</title>',
        f"<style>{_DARK}</style>",
        f'<rect class="paper" width="{_WIDTH}" height="{height}" fill="{_PAPER}"/>',
        _text(_LEFT, 26, "US dollars a month against requests a second", size=15),
        _text(_LEFT, 46, drawn.subtitle, colour=_GREY),
        *_axes(x, y),
        *_here(drawn.here, x),
        *(_line(number, one, x, y) for number, one in enumerate(drawn.series)),
        *(_mark(one, x, y) for one in drawn.crossings),
        *_legend(drawn),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _x_scale(rates: Sequence[float]) -> _Scale:
    low, high = log10(min(rates)), log10(max(rates))
    return _Scale(low, high if high > low else low + 1, _LEFT, _WIDTH - _LEFT - _RIGHT, True)


def _y_scale(amounts: Sequence[float]) -> _Scale:
    """Logarithmic where the dearest point would press the others to the floor."""
    most, least = max(amounts), min(amounts)
    if least > 0 and most / least > 50:
        return _Scale(floor(log10(least)), ceil(log10(most)), _TOP + _HEIGHT, -_HEIGHT, True)
    return _Scale(0.0, most * 1.08 or 1.0, _TOP + _HEIGHT, -_HEIGHT, False)


def _log_ticks(low: float, high: float) -> list[float]:
    """1, 10, 100; with 2 and 5 between where there are few decades."""
    steps = (1, 2, 5) if high - low < 4 else (1,)
    every = 1 if high - low < 12 else ceil((high - low) / 10)
    found = [step * 10.0**decade for decade in range(floor(low), ceil(high) + 1, every) for step in steps]
    return [tick for tick in found if low - 1e-9 <= log10(tick) <= high + 1e-9]


def _even_ticks(high: float) -> list[float]:
    raw = high / 5
    base = 10.0 ** floor(log10(raw))
    step = next(base * times for times in (1, 2, 5, 10) if base * times >= raw)
    return [step * number for number in range(int(high / step) + 1)]


def _axes(x: _Scale, y: _Scale) -> Iterator[str]:
    floor_y, right = _TOP + _HEIGHT, _WIDTH - _RIGHT
    for tick in x.ticks:
        place = x.at(tick)
        yield _stroke(place, _TOP, place, floor_y, "grid", _GRID)
        yield _text(place, floor_y + 18, _short(tick), anchor="middle", colour=_GREY)
    for tick in y.ticks:
        place = y.at(tick)
        yield _stroke(_LEFT, place, right, place, "grid", _GRID)
        yield _text(_LEFT - 8, place + 4, f"${_short(tick)}", anchor="end", colour=_GREY)
    yield _stroke(_LEFT, floor_y, right, floor_y, "axis", _GREY)
    yield _stroke(_LEFT, _TOP, _LEFT, floor_y, "axis", _GREY)
    yield _text(_LEFT + (right - _LEFT) / 2, floor_y + 38, "requests a second, on average", anchor="middle")
    middle = _TOP + _HEIGHT / 2
    yield _text(16, middle, "USD a month", anchor="middle", more=f' transform="rotate(-90 16 {middle:g})"')


def _here(rps: float | None, x: _Scale) -> Iterator[str]:
    if rps and x.low <= log10(rps) <= x.high:
        place = x.at(rps)
        yield _stroke(place, _TOP, place, _TOP + _HEIGHT, "mark", _INK, more=' stroke-dasharray="2 4"')
        yield _text(place + 5, _TOP + 12, f"{_short(rps)} rps", colour=_GREY)


def _line(number: int, one: Series, x: _Scale, y: _Scale) -> str:
    path = " ".join(f"{x.at(rps):.1f},{y.at(amount):.1f}" for rps, amount in one.points)
    return f'<polyline points="{path}" fill="none" stroke-linejoin="round"{_style(number)}/>'


def _mark(one: Crossing, x: _Scale, y: _Scale) -> str:
    said = escape(_crossing_text(one))
    where = f'cx="{x.at(one.rps):.1f}" cy="{y.at(one.usd_month):.1f}"'
    return f'<circle class="mark" {where} r="5" fill="none" stroke="{_INK}" stroke-width="1.5"><title>{said}</title></circle>'


def _legend(drawn: Chart) -> Iterator[str]:
    top = _TOP + _HEIGHT + 66
    for number, one in enumerate(drawn.series):
        place = top + _LEGEND * number
        yield f'<line x1="{_LEFT}" y1="{place - 4}" x2="{_LEFT + 34}" y2="{place - 4}"{_style(number)}/>'
        yield _text(_LEFT + 44, place, _clipped(one.name if one.is_complete else f"{one.name} (at least: a price is unknown)"))
    for number, crossing in enumerate(drawn.crossings, start=len(drawn.series)):
        place = top + _LEGEND * number
        yield f'<circle class="mark" cx="{_LEFT + 17}" cy="{place - 4}" r="5" fill="none" stroke="{_INK}" stroke-width="1.5"/>'
        yield _text(_LEFT + 44, place, _clipped(_crossing_text(crossing)), colour=_GREY)


def _crossing_text(one: Crossing) -> str:
    a_day = count_text(one.rps * 86400)
    return f"from {one.rps:.3g} rps on ({a_day} requests a day, {usd(one.usd_month)}): {one.after}"


def _style(number: int) -> str:
    dash = _DASHES[number % len(_DASHES)]
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return f' stroke="{_COLOURS[number % len(_COLOURS)]}" stroke-width="2.5"{dashed}'


def _text(x: float, y: float, said: str, *, size: int = 12, anchor: str = "start", colour: str = _INK, more: str = "") -> str:
    kind = "ink" if colour == _INK else "grey"
    at = f'x="{x:.1f}" y="{y:.1f}"'
    return f'<text class="{kind}" {at} font-size="{size}" text-anchor="{anchor}" fill="{colour}"{more}>{escape(said)}</text>'


def _stroke(x1: float, y1: float, x2: float, y2: float, kind: str, colour: str, *, more: str = "") -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"{more}/>'


_NOT_IN_XML = re.compile("[^\\t\\n\\r\\x20-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")


def escape(said: str) -> str:
    """Text as XML can hold it. `xml.sax.saxutils` would do the same, and load the network's modules with every estimate."""
    return _NOT_IN_XML.sub("?", said).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _clipped(said: str) -> str:
    return said if len(said) <= 96 else f"{said[:93]}..."


def _short(value: float) -> str:
    """`0.05`, `20`, `1,000`, `2 M`."""
    if value >= 1e6:
        return count_text(value)
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
