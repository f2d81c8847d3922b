"""Runs mlship as a person would, shows what it says, and reads what it says to machines."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


class Broken(Exception):
    """A promise was not kept; the demo ends here."""


@dataclass
class Stage:
    """Where the demo plays. python: the training environment's, which is not mlship's own."""

    folder: Path
    environ: dict[str, str]
    python: Path
    kept: list[str] = field(default_factory=list)

    def mlship(self, project: Path, line: str) -> dict[str, Any]:
        """Runs `mlship LINE` in the project's folder; returns the JSON object. Raises Broken when it fails."""
        print(f"\n  $ mlship {line}", flush=True)
        command = [sys.executable, "-m", "mlship", *shlex.split(line), "--json"]
        done = subprocess.run(command, cwd=project, env=self.environ, capture_output=True, text=True, check=False)
        for said in done.stderr.splitlines():
            print(f"  {said}", flush=True)
        if done.returncode != 0:
            raise Broken(f"mlship {line} ended with exit {done.returncode}")
        return json.loads(done.stdout)

    def train(self, project: Path, version: int) -> None:
        """Runs the example's train.py in the training environment."""
        print(f"\n  $ python train.py --version {version}", flush=True)
        command = [self.python, "train.py", "--version", str(version)]
        done = subprocess.run(command, cwd=project, env=self.environ, stdout=subprocess.PIPE, text=True, check=True)
        print(f"  {done.stdout.strip()}", flush=True)

    def ask_model(self, project: Path, rows: list[dict[str, Any]]) -> dict[str, Any]:
        """The model file's own answers, without mlship: joblib.load and predict in the training environment."""
        done = subprocess.run(
            [self.python, "-c", ASK_MODEL],
            cwd=project,
            env=self.environ,
            input=json.dumps(rows),
            capture_output=True,
            text=True,
            check=True,
        )
        return json.loads(done.stdout)

    def proved(self, promise: str) -> None:
        self.kept.append(promise)
        print(f"  proved: {promise}", flush=True)


ASK_MODEL = """
import json, sys
sys.path.insert(0, "")
import joblib, numpy, pandas
rows = json.load(sys.stdin)
model = joblib.load("model.joblib")
frame = pandas.DataFrame(rows, columns=list(model.feature_names_in_)).replace({None: numpy.nan})
frame = frame.astype({name: float for name in frame if frame[name].map(lambda value: isinstance(value, (int, float))).all()})
print(json.dumps({"predictions": model.predict(frame).tolist(), "probabilities": model.predict_proba(frame).tolist()}))
"""


def environment(folder: Path) -> dict[str, str]:
    """The machine's own settings, with mlship's files inside the demo's folder, and the training environment activated."""
    environ = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "CONDA_PREFIX")}
    return {**environ, "MLSHIP_HOME": str(folder / "home"), "VIRTUAL_ENV": str(folder / "training")}


def seconds_since(start: float) -> str:
    return f"{time.monotonic() - start:.0f} s"
