from __future__ import annotations

import hashlib
import os
import pickle
import time
from pathlib import Path

from pytest import fixture, raises

from mlship.frameworks.digest import FileDigests
from mlship.frameworks.scan_memo import remembered_scan
from mlship.memo import SETTLED_NS, Memo, state_of
from mlship.server.pickle_scan import Refused, scan


@fixture
def later(tmp_path):
    """A memo in whose eyes every file of this test is old."""
    return Memo(tmp_path / "memo", clock=lambda: time.time_ns() + 2 * SETTLED_NS)


def learned(memo: Memo, *files: Path) -> None:
    digests = FileDigests(memo, "project")
    for file in files:
        digests.of(file)
    digests.save()


def kept(memo: Memo) -> dict:
    return memo.recall("files", "project", "sha256, state") or {}


def hashed(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


def test_a_file_that_is_as_it_was_is_not_read_again(later, tmp_path):
    file = tmp_path / "model"
    file.write_text("weights")
    later.keep("files", "project", "sha256, state", {str(file): ["known before", state_of(file)]})
    found = FileDigests(later, "project").of(file)
    assert (found.sha256, found.size, found.state) == ("known before", 7, state_of(file))
    assert FileDigests(later, "another project").of(file).sha256 == hashed("weights")


def test_a_change_is_seen_though_size_and_times_are_put_back(later, tmp_path):
    file = tmp_path / "model"
    file.write_text("one")
    learned(later, file)
    assert kept(later)[str(file)][0] == hashed("one")
    seen = file.stat()
    file.write_text("two")
    os.utime(file, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert FileDigests(later, "project").of(file).sha256 == hashed("two")


def test_a_file_that_was_written_just_now_is_read_each_time(tmp_path):
    memo, file = Memo(tmp_path / "memo"), tmp_path / "model"
    file.write_text("one")
    learned(memo, file)
    assert kept(memo) == {}


def test_what_is_no_longer_asked_for_is_forgotten(later, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("1")
    two.write_text("2")
    learned(later, one, two)
    learned(later, two)
    assert list(kept(later)) == [str(two)]


def test_a_model_is_scanned_once_for_each_content(later, tmp_path):
    file = tmp_path / "model.pkl"
    file.write_bytes(pickle.dumps({"some": [1, 2], "more": "text"}))
    first = remembered_scan(FileDigests(later), later)(file)
    assert first == scan(file)
    (memo,) = (tmp_path / "memo").iterdir()
    memo.write_text(memo.read_text().replace('"objects": 1', '"objects": 7'))
    assert remembered_scan(FileDigests(later), later)(file).objects == 7
    file.write_bytes(pickle.dumps({"other": 1}))
    assert remembered_scan(FileDigests(later), later)(file) == scan(file)


def test_a_refusal_is_found_again_each_time(later, tmp_path):
    file = tmp_path / "model.pkl"
    file.write_bytes(b"\x80\x04no pickle")
    for _ in range(2):
        with raises(Refused):
            remembered_scan(FileDigests(later), later)(file)


def test_a_file_that_is_gone_or_holds_other_bytes_is_not_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "kept"
    assert not FileDigests().is_still(file, hashed("weights"))
    file.write_text("weights")
    assert FileDigests().is_still(file, hashed("weights"))
    file.write_text("weighty")
    assert not FileDigests().is_still(file, hashed("weights"))


def test_a_file_is_read_once_however_often_one_command_asks(later, tmp_path):
    file = tmp_path / "model"
    file.write_text("weights")
    digests = FileDigests(later, "project")
    assert digests.of(file).sha256 is digests.of(file).sha256  # the very text, not one that was made again
