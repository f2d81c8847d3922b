"""Programs that mlship starts end with what they were started for."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from mlship.errors import MlshipError
from mlship.runner import Command, LocalRunner

ENDLESS = "import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(600)"


def test_an_interrupt_ends_the_program_that_is_listened_to() -> None:
    pids: list[int] = []

    def interrupted(line: str) -> None:
        pids.append(int(line))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        LocalRunner().stream(Command((sys.executable, "-c", ENDLESS)), interrupted)
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


def test_a_program_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(MlshipError, match=r"the program .*/absent is not installed"):
        LocalRunner().run(Command((str(tmp_path / "absent"),)))


def test_a_program_that_takes_too_long_is_named() -> None:
    with pytest.raises(MlshipError, match=r"did not end within 0\.1 s"):
        LocalRunner().run(Command((sys.executable, "-c", ENDLESS), timeout_s=0.1))
