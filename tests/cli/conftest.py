from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mlship.cli.app import run


@dataclass(frozen=True)
class Said:
    """What one command line said and how it ended."""

    exit: int
    stdout: str
    stderr: str

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON object on standard output."""
        return json.loads(self.stdout)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder to stand in, with a home of its own; signals are put back afterwards."""
    monkeypatch.setenv("MLSHIP_HOME", str(tmp_path / "home"))
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    place = tmp_path / "work"
    place.mkdir()
    monkeypatch.chdir(place)
    before = signal.getsignal(signal.SIGTERM)
    yield place
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def mlship(folder: Path, capsys: pytest.CaptureFixture[str]):
    """Runs one command line in this process."""

    def call(line: str) -> Said:
        code = run(line.split())
        said = capsys.readouterr()
        return Said(code, said.out, said.err)

    return call
