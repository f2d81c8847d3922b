"""Files are whole or absent, and what a killed command left goes with the next one."""

from __future__ import annotations

import errno
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mlship.disk import SCRATCH, disk_errors, locked, make_folder, scratch_file, scratch_folder, sweep, write_atomic, write_memo
from mlship.errors import MlshipError

KILLED = """
import os, signal, sys
from pathlib import Path
from mlship.disk import scratch_file, scratch_folder
folder = Path(sys.argv[1])
with scratch_folder(folder) as one, scratch_file(folder) as two:
    (one / "deep").mkdir()
    (one / "deep" / "half").write_text("half")
    (one / "deep").chmod(0o500)
    two.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def left(tmp_path: Path) -> Path:
    """A folder in which a command was killed."""
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert len(list(tmp_path.iterdir())) == 2
    return tmp_path


def test_what_a_killed_command_left_goes_with_the_next_file(left: Path) -> None:
    write_atomic(left / "whole", b"whole")
    assert [path.name for path in left.iterdir()] == ["whole"]


def test_what_a_killed_command_left_goes_with_the_next_folder(left: Path) -> None:
    with scratch_folder(left) as folder:
        assert list(left.iterdir()) == [folder]
    assert list(left.iterdir()) == []


def test_what_another_command_works_on_stays(tmp_path: Path) -> None:
    with scratch_folder(tmp_path) as one, scratch_file(tmp_path) as two:
        sweep(tmp_path)
        with scratch_folder(tmp_path):
            write_atomic(tmp_path / "third", b"")
        assert one.is_dir() and two.is_file()


def test_files_of_others_are_never_swept(tmp_path: Path) -> None:
    others = [tmp_path / name for name in (".mlship.yaml.swp", ".mlship", ".hidden", "plain")]
    for path in others:
        path.write_text("mine")
    (tmp_path / f"{SCRATCH}link").symlink_to(tmp_path / "plain")
    sweep(tmp_path)
    assert all(path.read_text() == "mine" for path in others)


def test_a_folder_that_got_its_name_stays(tmp_path: Path) -> None:
    with scratch_folder(tmp_path) as folder:
        (folder / "file").write_text("whole")
        folder.rename(tmp_path / "named")
    sweep(tmp_path)
    assert (tmp_path / "named/file").read_text() == "whole"


@pytest.mark.parametrize("write", [write_atomic, write_memo])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path, write: Callable[..., None]) -> None:
    write(tmp_path / "file", b"old", 0o600)
    with pytest.raises(TypeError):
        write(tmp_path / "file", "text")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("file", b"old")]
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("act", [lambda path: write_atomic(path, b""), lambda path: locked(path).__enter__()])
def test_a_place_that_cannot_be_written_is_one_clear_error(tmp_path: Path, act: Callable[[Path], object]) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(MlshipError, match="nothing more can be written below") as failed:
        act(tmp_path / "file" / "deeper")
    assert failed.value.fix.startswith("make it a folder that you may write, or set MLSHIP_HOME")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc on this system")
def test_a_folder_where_there_can_be_none_is_one_clear_error() -> None:
    with pytest.raises(MlshipError, match="nothing more can be written below /proc/mlship/work") as failed:
        make_folder(Path("/proc/mlship/work"), "name another folder with --sbom")
    assert failed.value.where == "/proc/mlship"
    assert "or name another folder with --sbom; nothing half-written" in failed.value.fix


def test_a_full_disk_is_one_clear_error_and_the_old_file_stays() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full on this system")
    with pytest.raises(MlshipError, match="No space left on device") as failed, disk_errors(full), full.open("wb") as file:
        file.write(b"x")
        file.flush()
    assert failed.value.fix.startswith("free some space there")


def test_a_full_disk_is_named_by_the_folder_that_stays(tmp_path: Path) -> None:
    inner = tmp_path / f"{SCRATCH}a" / "blobs" / f"{SCRATCH}b"
    with pytest.raises(MlshipError) as failed, disk_errors(inner):
        raise OSError(errno.ENOSPC, "No space left on device", str(inner / "half"))
    assert failed.value.what == f"nothing more can be written below {tmp_path}: No space left on device"
    assert failed.value.where == str(tmp_path)
