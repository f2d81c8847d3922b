"""Documents on the volume are whole or absent, and nothing is followed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from mlship.keeper import state
from mlship.keeper.state import Busy, Damaged, Newer, locked


def test_a_lock_that_a_frozen_program_holds_is_told_and_not_waited_for_without_end(tmp_path: Path) -> None:
    with (
        locked(tmp_path),
        pytest.raises(Busy, match="has held the lock of the records for 0 s"),
        locked(tmp_path, timeout_s=0.0),
    ):
        pass
    with locked(tmp_path):
        pass


def test_a_document_comes_back_as_it_was_written(tmp_path: Path) -> None:
    state.write_text(tmp_path / "history.json", '{"schema": 1, "text": "ä"}\n')
    assert state.read_text(tmp_path / "history.json") == '{"schema": 1, "text": "ä"}\n'
    assert [path.name for path in tmp_path.iterdir()] == ["history.json"]
    assert (tmp_path / "history.json").stat().st_mode & 0o077 == 0


def test_no_document_is_none(tmp_path: Path) -> None:
    assert state.read_text(tmp_path / "history.json") is None


def test_a_link_is_not_followed_when_read(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text('{"schema": 1}')
    (tmp_path / "history.json").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Damaged, match=r"history\.json is a symbolic link"):
        state.read_text(tmp_path / "history.json")


def test_a_link_is_replaced_and_not_followed_when_written(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("precious")
    (tmp_path / "lease.json").symlink_to(tmp_path / "elsewhere")
    state.write_text(tmp_path / "lease.json", "new")
    assert (tmp_path / "elsewhere").read_text() == "precious"
    assert not (tmp_path / "lease.json").is_symlink()


def test_a_lock_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Damaged, match="lock cannot be opened"), state.locked(tmp_path):
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_an_emptied_document_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "history.json").write_bytes(b"")
    with pytest.raises(Damaged, match=r"history\.json has 0 bytes"):
        state.read_text(tmp_path / "history.json")


def test_a_folder_or_a_pipe_in_its_place_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "history.json").mkdir()
    os.mkfifo(tmp_path / "lease.json")
    for name in ("history.json", "lease.json"):
        with pytest.raises(Damaged, match="is not a regular file"):
            state.read_text(tmp_path / name)


def test_bytes_that_are_no_text_are_damaged(tmp_path: Path) -> None:
    (tmp_path / "history.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(Damaged, match="is not text"):
        state.read_text(tmp_path / "history.json")


@pytest.mark.parametrize("text", ['{"schema": 1', "[" * 100_000, ""])
def test_a_cut_or_deeply_nested_document_is_damaged(text: str) -> None:
    with pytest.raises(Damaged, match=r"history\.json is not JSON"):
        state.parse("history.json", text)


@pytest.mark.parametrize("text", ["[]", "{}", '{"schema": "1"}', '{"schema": true}', "null"])
def test_a_document_without_a_schema_number_is_damaged(text: str) -> None:
    with pytest.raises(Damaged, match="has no schema number"):
        state.parse("history.json", text)


def test_a_newer_document_names_who_wrote_it() -> None:
    with pytest.raises(Newer, match=r"lease\.json was written by mlship 9\.9"):
        state.refuse_newer("lease.json", {"schema": 2, "mlship": "9.9"})


def test_what_a_killed_keeper_left_half_written_goes(tmp_path: Path) -> None:
    (tmp_path / ".history.json.abc").write_text("half")
    (tmp_path / "history.json").write_text(json.dumps({"schema": 1}))
    state.sweep_temporary(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["history.json"]
