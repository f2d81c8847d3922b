"""Rates of a month: what is asked comes out exactly, and what cannot be is refused."""

from __future__ import annotations

from math import inf, nan

from hypothesis import given, settings
from hypothesis import strategies as st
from pytest import approx, mark, raises

from mlship.cost.traffic import diurnal, flat, from_csv
from mlship.cost.workload import Hour, Traffic
from mlship.errors import MlshipError


def test_a_flat_rate_is_one_step():
    assert flat(20) == Traffic((Hour(20, 730.0),))
    assert flat(20, hours=200).requests == 20 * 200 * 3600


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(st.floats(1e-3, 1e6), st.floats(1, 24), st.integers(0, 23), st.floats(0, 3), st.sampled_from([730.0, 200.0]))
def test_a_week_has_exactly_its_mean_and_its_peak(mean: float, steepness: float, peak_hour: int, weekend: float, hours: float):
    peak = steepness * mean * 7 / (5 + 2 * weekend) * max(1, weekend)
    found = diurnal(mean, peak=peak, peak_hour=peak_hour, weekend=weekend, hours=hours)
    assert found.mean == approx(mean, rel=1e-9)
    assert found.peak == approx(peak, rel=1e-12)
    assert found.hours == approx(hours, rel=1e-9)
    assert min(step.rps for step in found.steps) >= 0


def test_the_busiest_hour_is_where_it_was_asked_for():
    day = diurnal(20, peak=80, peak_hour=9).steps
    assert max(range(24), key=lambda hour: day[hour].rps) == 9
    assert day[8].rps == approx(day[10].rps)
    assert day[21].rps == approx(0, abs=1e-9)


def test_a_low_hill_is_a_raised_cosine_whose_night_keeps_the_rest():
    day = diurnal(20, peak=30, peak_hour=12)
    assert [day.steps[hour].rps for hour in (0, 6, 12, 18)] == approx([10, 20, 30, 20])
    assert day.cycles == 730 / 24


def test_the_weekend_is_a_share_of_the_other_days_and_the_mean_stays():
    week = diurnal(19, peak=45, weekend=0.4)
    assert len(week.steps) == 168
    assert week.cycles == 730 / 168
    monday, saturday = week.steps[:24], week.steps[120:144]
    assert sum(step.rps for step in monday) / 24 == approx(19 * 7 / 5.8)
    assert [step.rps for step in saturday] == approx([0.4 * step.rps for step in monday])


def test_days_without_a_hill_are_two_steps_a_week():
    week = diurnal(20, weekend=0.5)
    assert [(step.rps, step.hours) for step in week.steps] == [
        (approx(20 * 7 / 6), approx(730 * 5 / 7)),
        (approx(10 * 7 / 6), approx(730 * 2 / 7)),
    ]
    assert diurnal(20, peak=20) == Traffic((Hour(20, approx(730)),), 730 / 24)


def test_a_peak_may_hold_all_of_a_day():
    assert [step.rps for step in diurnal(1, peak=24).steps] == [0, 24, 0]


@mark.parametrize(
    ("asked", "message"),
    [
        ({"mean": 0, "peak": 1}, "rps 0 is not a number above 0; correct it"),
        ({"mean": nan, "peak": 1}, "rps nan is not a number above 0"),
        ({"mean": 2e9, "peak": 3e9}, r"rps 2e\+09 is more than anybody serves; write at most 1e\+09"),
        ({"mean": 20, "peak": 0}, "peak 0 is not a number above 0"),
        ({"mean": 20, "peak": inf}, "peak inf is not a number above 0"),
        ({"mean": 20, "peak": 10}, "peak 10 is below the mean of 20; write a peak of at least 20"),
        (
            {"mean": 20, "peak": 22, "weekend": 0.5},
            r"peak 22 is below the mean of 20, which is 23.3333 on the busier days; write a peak of at least 23.3333",
        ),
        (
            {"mean": 20, "peak": 481},
            "peak 481 is more than 24 times the mean of 20: .*; write a peak of at most 480, or give the",
        ),
        ({"mean": 20, "peak": 80, "weekend": -1}, "weekend -1 is not a number from 0 on"),
        ({"mean": 20, "peak": 80, "peak_hour": 24}, "peak_hour 24 is no hour of a day; write a whole number from 0 to 23"),
        ({"mean": 20, "peak": 80, "hours": 0}, "hours 0 is no month's; write 730, or what is served of it"),
        ({"mean": 20, "peak": 80, "hours": 9000}, "hours 9000 is no month's"),
    ],
)
def test_a_curve_that_cannot_be_is_refused(asked: dict[str, float], message: str):
    with raises(MlshipError, match=message):
        diurnal(**asked)


def test_a_flat_rate_of_nothing_is_refused():
    with raises(MlshipError, match="rps 0 is not a number above 0"):
        flat(0)


def lines(rates: list[float]) -> str:
    return "".join(f"{rate:g}\n" for rate in rates)


def test_a_day_of_hours_is_repeated_and_equal_hours_are_one_step():
    found = from_csv(lines([1] * 8 + [5] * 10 + [1] * 6), "day.csv")
    assert found == Traffic((Hour(1, 8 * 730 / 24), Hour(5, 10 * 730 / 24), Hour(1, 6 * 730 / 24)), 730 / 24, "day.csv")
    assert found.mean == approx(64 / 24)


def test_a_week_and_a_year_fill_the_month():
    week = from_csv(lines([hour % 7 for hour in range(168)]), "week.csv", hours=600)
    assert (week.hours, week.cycles, week.peak) == (approx(600), 600 / 168, 6)
    year = from_csv(lines([hour % 24 for hour in range(8760)]), "year.csv")
    assert (year.hours, year.cycles, len(year.steps)) == (approx(730), approx(1 / 12), 8760)
    assert year.mean == approx(11.5)


@mark.parametrize("delimiter", [",", ";", "\t"])
def test_headings_hours_and_empty_lines_are_passed_over(delimiter: str):
    rows = "\r\n".join(f'"2026-01-01 {hour:02}:00"{delimiter} {hour} ' for hour in range(24))
    assert from_csv(f"\ufeffhour{delimiter}rps\r\n{rows}\r\n\r\n", "day.csv") == from_csv(lines(list(range(24))), "day.csv")


@mark.parametrize(
    ("text", "message"),
    [
        ("", "day.csv  0 hours of traffic; give 24"),
        ("rps\n", "day.csv  0 hours of traffic"),
        (lines([1] * 23), r"day.csv  23 hours of traffic; give 24 \(a day\), 168 \(a week\) or 8760 \(a year\)$"),
        (lines([1] * 8784), "8784 hours of traffic; .*; leave out 29 February"),
        (lines([0] * 24), "day.csv  every hour has 0 requests a second; leave cost.traffic out"),
        ("rps\n1\n2o\n", "day.csv:3  '2o' is no number of requests a second; correct the line"),
        ("1\n\n-2\n", "day.csv:3  rps -2 is not a number from 0 on"),
        ("1\nnan\n", "day.csv:2  rps nan is not a number"),
        ("1\n1e12\n", r"day.csv:2  rps 1e\+12 is more than anybody serves"),
        ("00:00,1\n01:00,1,2\n", "day.csv:2  3 columns; give the rate alone, or when and rate"),
        ("00:00,1\n01:00,\n", "day.csv:2  '' is no number"),
        ("1\n" + "9" * 140_000, r"day.csv:2  this is no table \(field larger"),
    ],
)
def test_a_table_that_is_no_profile_is_refused_with_its_line(text: str, message: str):
    with raises(MlshipError, match=message):
        from_csv(text, "day.csv")
