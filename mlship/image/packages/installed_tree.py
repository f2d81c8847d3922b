"""Makes an installed folder the same on every machine: no scripts, no records of where and when it was installed."""

from __future__ import annotations

import csv
import io
import os
import shutil
from pathlib import Path

# What installers write for themselves, with paths and times of this machine.
_INSTALLER_FILES = ("INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json", "uv_build.json")
_TIME = 0


def normalise(folder: Path) -> None:
    """Works in place. Scripts go: their first line names an interpreter of this machine, and images start none of them."""
    shutil.rmtree(folder / "bin", ignore_errors=True)
    (folder / ".lock").unlink(missing_ok=True)
    for info in sorted(folder.glob("*.dist-info")):
        for name in _INSTALLER_FILES:
            (info / name).unlink(missing_ok=True)
    _remove_bytecode(folder)
    for record in sorted(folder.glob("*.dist-info/RECORD")):
        record.write_text(_record(record, folder))
    _same_modes_and_times(folder)


def _remove_bytecode(folder: Path) -> None:
    for cached in list(folder.rglob("__pycache__")):
        shutil.rmtree(cached)


def _record(record: Path, folder: Path) -> str:
    """RECORD with the lines of files that are still there, sorted."""
    rows = [row for row in csv.reader(record.read_text(encoding="utf-8").splitlines()) if row]
    kept = sorted(row for row in rows if ".." not in Path(row[0]).parts and (folder / row[0]).is_file())
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(kept)
    return text.getvalue()


def _same_modes_and_times(folder: Path) -> None:
    for place, folders, files in os.walk(folder, topdown=False):
        for name in files:
            path = Path(place) / name
            path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
            os.utime(path, (_TIME, _TIME))
        for name in folders:
            (Path(place) / name).chmod(0o755)
            os.utime(Path(place) / name, (_TIME, _TIME))
    folder.chmod(0o755)
    os.utime(folder, (_TIME, _TIME))
