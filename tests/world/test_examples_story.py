"""Every example is trained, built, priced, served and asked as its reader would do it, in an environment that is not mlship's."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import pytest
from example_answers import ANSWERS
from golden import EXAMPLES, assert_golden
from priced import ASKED, assert_priced

# in laboratories of their own: test_story_neural.py, test_story_tensorflow.py, test_story_transformers.py
ELSEWHERE = {"onnx_digits", "torch_diabetes", "torchserve_digits", "keras_digits", "savedmodel_wine", "transformers_docs"}
NAMES = sorted({path.parent.name for path in EXAMPLES.glob("*/train.py")} - ELSEWHERE)

pytestmark = pytest.mark.world


@pytest.fixture(scope="module")
def training(own_folder: Path) -> Path:
    """One virtual environment with what all examples need to train."""
    folder = own_folder / "venv"
    venv.create(folder, with_pip=True, symlinks=True)
    files = [word for name in NAMES for word in ("-r", str(EXAMPLES / name / "requirements.txt"))]
    subprocess.run([folder / "bin" / "python", "-m", "pip", "install", "-qq", *files], check=True)
    return folder


@pytest.fixture(scope="module")
def environ(training: Path, own_home: Path) -> dict[str, str]:
    return {**os.environ, "VIRTUAL_ENV": str(training), "MLSHIP_HOME": str(own_home)}


@pytest.mark.parametrize("name", NAMES)
def test_the_example_is_served_as_it_stands(name: str, training: Path, environ: dict[str, str], tmp_path: Path):
    project = tmp_path / name
    shutil.copytree(EXAMPLES / name, project, ignore=shutil.ignore_patterns(".venv", "__pycache__"))
    subprocess.run([training / "bin" / "python", "train.py"], cwd=project, check=True)
    mlship(project, environ, "build")
    assert_priced(mlship(project, environ, *ASKED))
    try:
        deployed = mlship(project, environ, "deploy", "--target", "local", "--yes")
        assert deployed["verify"]["predictions"] > 0
        answer = mlship(project, environ, "predict", "--target", "local", "--data", "request.json")["answer"]
        assert_golden(name, answer)
    finally:
        mlship(project, environ, "destroy", "--target", "local", "--yes")


def test_the_examples_are_all_there():
    assert {*NAMES, *ELSEWHERE} == ANSWERS.keys() and len(ANSWERS) == 14
    for name in (*NAMES, *ELSEWHERE):
        for file in ("mlship.yaml", "train.py", "request.json", "golden.json", "requirements.txt"):
            assert (EXAMPLES / name / file).is_file(), (name, file)


def mlship(project: Path, environ: dict[str, str], *words: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "mlship", *words, "--json"]
    done = subprocess.run(command, cwd=project, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
