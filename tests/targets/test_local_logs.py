"""The log of a release on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlship.targets.local.logs import follow, tail
from mlship.targets.local.traces import rotate


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "server.log"


def test_the_end_of_a_log_that_is_not_there_is_empty(log: Path) -> None:
    assert tail(log, 10) == []


def test_the_last_lines_come_from_the_older_file_too(log: Path) -> None:
    log.with_name("server.log.1").write_text("1\n2\n3\n")
    log.write_text("4\n5\n")
    assert tail(log, 3) == ["3", "4", "5"]
    assert tail(log, 0) == []


def test_bytes_that_are_no_text_do_not_stop_it(log: Path) -> None:
    log.write_bytes(b"ok\n\xff\xfe\n")
    assert tail(log, 5)[0] == "ok"


def test_following_gives_each_whole_line_once(log: Path) -> None:
    log.write_text("1\n2\nhal")
    steps = iter([lambda: append(log, "f\n3\n"), lambda: append(log, "4\n")])
    over = False

    def pause(_: float) -> None:
        nonlocal over
        step = next(steps, None)
        if step is None:
            over = True
        else:
            step()

    assert list(follow(log, 1, lambda: over, pause)) == ["2", "half", "3", "4"]


def test_a_log_that_is_cut_while_it_is_followed_goes_on_from_its_start(log: Path) -> None:
    log.write_text("a long first line\n")
    steps = iter([lambda: log.write_text("new\n")])
    over = False

    def pause(_: float) -> None:
        nonlocal over
        step = next(steps, None)
        over = step is None
        if step is not None:
            step()

    assert list(follow(log, 5, lambda: over, pause)) == ["a long first line", "new"]


def test_a_log_over_its_limit_is_kept_once_and_begun_anew(log: Path) -> None:
    log.write_text("x" * 50)
    rotate(log, limit=100)
    assert log.stat().st_size == 50
    append(log, "y" * 60)
    with log.open("a") as writer:  # a server that keeps its log open goes on writing into it
        rotate(log, limit=100)
        writer.write("z")
    assert log.read_text() == "z"
    assert log.with_name("server.log.1").stat().st_size == 110


def append(log: Path, text: str) -> None:
    with log.open("a") as file:
        file.write(text)
