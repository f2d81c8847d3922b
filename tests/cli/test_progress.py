from __future__ import annotations

import pytest

from mlship.cli.progress import PlainProgress, amount_text, more_than, time_text


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def plain():
    clock, lines = Clock(), []
    progress = PlainProgress(lines.append, clock)
    yield progress, clock, lines
    progress.pause()


def test_work_under_a_second_prints_nothing(plain):
    progress, _, lines = plain
    progress.step("base", "cached")
    progress.step("model")
    progress.pause()
    progress.tell()
    assert lines == []


def test_a_step_that_lasts_is_printed_once_with_the_time(plain):
    progress, clock, lines = plain
    progress.step("base", "debian bookworm, 34 packages")
    clock.now += 61
    progress.tell()
    progress.tell()
    assert lines == ["  01:01  base  debian bookworm, 34 packages"]


def test_amounts_are_told_every_ten_seconds_not_every_block(plain):
    progress, clock, lines = plain
    progress.step("packages")
    for _ in range(100):
        clock.now += 0.25
        progress.amount("packages", 31_000_000, 120_000_000)
    assert lines == ["  00:10  packages  31 MB of 120 MB", "  00:20  packages  31 MB of 120 MB"]


def test_one_line_names_the_blob_and_its_speed_and_the_step_once():
    assert more_than("push", "push model churn, 12 MB/s") == "model churn, 12 MB/s"
    assert more_than("packages", "packages") == ""
    assert more_than("model", "layer churn") == "layer churn"


def test_amounts_read_as_people_say_them():
    assert amount_text(3, 31, "wheels") == "3 of 31 wheels"
    assert amount_text(3, None, "wheels") == "3 wheels"
    assert amount_text(1_500_000, None, "B") == "1.5 MB"
    assert time_text(3661) == "61:01"


def test_a_step_that_goes_on_says_so_again(plain):
    progress, clock, lines = plain
    progress.step("stage", "r2-abcdef")
    progress.tell()
    clock.now += 60
    progress.remind()
    progress.step("shift")
    progress.remind()
    assert lines == ["  00:00  stage  r2-abcdef", "  01:00  stage  r2-abcdef, still"]
