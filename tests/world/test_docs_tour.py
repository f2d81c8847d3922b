"""The README's tour, run as it stands there: what it shows is what is said."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from documents import README, ROOT, Shown, section, shown

pytestmark = pytest.mark.world

PROGRESS = re.compile(r"  \d\d:\d\d  ")
# What differs from run to run and from machine to machine.
VARYING = (
    (r"\br(\d+)-[0-9a-f]{6}\b", r"r\1-<hash>"),
    (r"\bcontent [0-9a-f]{12}\b", "content <content>"),
    (r"\bmodels penguins [0-9a-f]{6}\b", "models penguins <sha>"),
    (r"127\.0\.0\.1:\d+", "127.0.0.1:<port>"),
    (r"\b\d+(\.\d+)? (GB|MB|KB|B)\b", "<size>"),
    (r"\b\d+(\.\d+)? s( ago)?\b|\b\d+ min( \d+ s)?( ago)?\b|just now", "<time>"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d", "<when>"),
    (r"\S+@\S+", "<who>"),
    (r"scikit-learn [\d.]+", "scikit-learn <version>"),
    (r"Python 3[\d.]+", "Python <version>"),
    (r"\b(debian|base) (bookworm|trixie|jammy|noble)\b", r"\1 <suite>"),
    (r"\b\d+ locked|\b\d+ layers? new|[01]\.\d{3} of", "<number>"),
    (r"0\.\d{6,}", "<probability>"),
    (r"\d+ rps +p50 [\d.]+ ms p95 [\d.]+ ms +errors \d+/\d+", "<traffic>"),
    (r" {2,}", "  "),
)


def masked(line: str) -> str:
    for pattern, word in VARYING:
        line = re.sub(pattern, word, line)
    return line.rstrip()


def test_the_tour_shows_what_is_said(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns(".venv", "__pycache__"))
    tour = Tour(tmp_path)
    try:
        for step in shown(section(README, "A 60-second tour")):
            said = tour.run(step.command)
            assert not differences(step, said), differences(step, said)
    finally:
        tour.run("mlship destroy penguins --target local --yes")


def differences(step: Shown, said: list[str]) -> str:
    """Where the output is not as shown, or empty. `...` stands for any lines, or for the rest of one."""
    wanted = [masked(line) for line in step.output]
    found = [masked(line) for line in said if not PROGRESS.match(line)]
    pattern = "".join(
        r"(?:.*\n)*?" if line == "..." else re.escape(line.removesuffix("...")) + (".*" if line.endswith("...") else "") + r"\n"
        for line in wanted
    )
    if not wanted or re.fullmatch(pattern, "".join(f"{line}\n" for line in found)):
        return ""
    return "\n".join([f"$ {step.command}", "shown:", *wanted, "said:", *found])


class Tour:
    """A shell that stays in the folder that the last command left it in, with a home of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.endpoint = "127.0.0.1:8080"
        environ = {name: text for name, text in os.environ.items() if name not in ("VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH")}
        path = f"{self._command(folder / 'bin')}:{os.environ['PATH']}"
        self.environ = {**environ, "PATH": path, "MLSHIP_HOME": str(folder / "home")}

    def run(self, command: str) -> list[str]:
        """The lines that it prints; it has to succeed."""
        line = f"{command.replace('127.0.0.1:8080', self.endpoint)} && pwd >{shlex.quote(str(self.folder / 'pwd'))}"
        here = self.folder / "pwd"
        cwd = Path(here.read_text().strip()) if here.exists() else self.folder
        done = subprocess.run(
            ["/bin/bash", "-c", line], cwd=cwd, env=self.environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert done.returncode == 0, f"$ {command}\n{done.stdout}"
        live = re.search(r"^Live: \S+  http://(\S+)", done.stdout, re.MULTILINE)
        self.endpoint = live[1] if live else self.endpoint
        return done.stdout.splitlines()

    @staticmethod
    def _command(folder: Path) -> Path:
        """A folder with `mlship` alone, so that the tests' own packages are not on the reader's PATH."""
        folder.mkdir()
        script = folder / "mlship"
        script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m mlship "$@"\n')
        script.chmod(0o755)
        return folder
