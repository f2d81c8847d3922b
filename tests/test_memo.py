from __future__ import annotations

import os
import time
from pathlib import Path

from mlship.memo import FORGETFUL, SETTLED_FINE_NS, SETTLED_NS, Memo, is_settled, state_of


def test_what_was_kept_is_recalled_while_the_facts_are_equal(tmp_path):
    memo = Memo(tmp_path / "memo")
    memo.keep("scan", "model", {"reader": 1}, ["found"])
    assert memo.recall("scan", "model", {"reader": 1}) == ["found"]
    assert memo.recall("scan", "model", {"reader": 2}) is None
    assert memo.recall("scan", "other", {"reader": 1}) is None
    assert memo.recall("closure", "model", {"reader": 1}) is None


def test_a_memo_that_is_cut_or_of_another_kind_is_as_good_as_none(tmp_path):
    memo = Memo(tmp_path)
    memo.keep("scan", "model", 1, "found")
    (file,) = tmp_path.iterdir()
    for content in (b"", file.read_bytes()[:-3], b"[]", b"{}", b"\xff"):
        file.write_bytes(content)
        assert memo.recall("scan", "model", 1) is None


def test_a_place_that_takes_nothing_costs_only_time(tmp_path):
    (tmp_path / "file").touch()
    memo = Memo(tmp_path / "file" / "memo")
    memo.keep("scan", "model", 1, "found")
    assert memo.recall("scan", "model", 1) is None
    FORGETFUL.keep("scan", "model", 1, "found")
    assert FORGETFUL.recall("scan", "model", 1) is None


def test_a_file_is_settled_when_a_later_change_would_show(tmp_path):
    changed = 1_700_000_000 * 10**9
    for below, settled in ((0, SETTLED_NS), (1_000_000, SETTLED_FINE_NS)):  # what a file system notes below a second
        state = (3, changed, changed + below, 7, 8)
        assert is_settled([state], state[2] + settled + 1)
        assert not is_settled([state], state[2] + settled)
        assert not is_settled([state], changed - 1)  # of a clock that goes before ours
    assert is_settled([state_of(tmp_path / "none")], time.time_ns())


def test_every_way_to_change_a_file_shows_in_its_state(tmp_path):
    file = tmp_path / "file"
    file.write_text("one")
    before = state_of(file)
    file.write_text("two")
    os.utime(file, ns=(before[1], before[1]))  # a program that puts the time back
    assert state_of(file) != before
    before = state_of(file)
    (tmp_path / "new").write_text("six")
    os.utime(tmp_path / "new", ns=(before[1], before[1]))
    (tmp_path / "new").replace(file)
    assert state_of(file) != before
    assert state_of(Path("/nowhere/at/all")) == ()
