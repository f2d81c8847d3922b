"""Every module of the packages that go without docstrings imports without them, and a model of theirs answers the same."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mlship.image.docstrings import SCRIPT, folders_without

pytestmark = pytest.mark.world

PROGRAM = """
import importlib, importlib.machinery, json, pkgutil, site, warnings
folders = set(json.loads(sys.argv[1]))
compile_source = importlib.machinery.SourceFileLoader.source_to_code
bared = set()
def source_to_code(self, data, path, **options):
    if not (folders and "site-packages" in path and is_bare(path.partition("site-packages")[2], folders)):
        return compile_source(self, data, path, **options)
    bared.add(path)
    return bare(compile_source(self, undocumented(data), path, **options))
importlib.machinery.SourceFileLoader.source_to_code = source_to_code
warnings.simplefilter("ignore")
TESTS = ("tests", "test", "conftest", "testing", "this")
failed = {}
def modules(path, prefix):
    for found in pkgutil.iter_modules(path, prefix):
        if found.name.rpartition(".")[2] not in TESTS and "pytest" not in found.name and "_win" not in found.name:
            yield found.name
            loaded = taken(found.name)
            if found.ispkg and loaded is not None:
                yield from modules(loaded.__path__, found.name + ".")
def taken(name):
    try:
        return importlib.import_module(name)
    except ImportError as error:  # an optional package is missing
        missing = getattr(error, "name", None) or ""
        if missing.partition(".")[0] in folders:
            failed[name] = repr(error)
    except Exception as error:
        failed[name] = repr(error)
import sklearn, pandas
count = 0
if folders:
    for package in sorted(folders):
        count += sum(1 for name in modules(importlib.import_module(package).__path__, package + ".") if taken(name) is not None)
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
frame = pandas.DataFrame({"age": [20.0, 30.0, 40.0, 50.0], "city": ["Oslo", "Rome", "Oslo", "Bath"]})
columns = make_column_transformer((StandardScaler(), ["age"]), (OneHotEncoder(), ["city"]))
model = make_pipeline(columns, LogisticRegression()).fit(frame, [0, 1, 1, 0])
print(json.dumps([failed, count, len(bared), model.predict_proba(frame).tolist()]))
"""


def told(folders: tuple[str, ...], cache: Path) -> tuple[dict[str, str], int, int, list[list[float]]]:
    argv = [sys.executable, "-X", f"pycache_prefix={cache}", "-c", SCRIPT + PROGRAM, json.dumps(folders)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    failed, count, bared, answers = json.loads(done.stdout.splitlines()[-1])
    return failed, count, bared, answers


def test_every_module_imports_without_docstrings_and_a_model_answers_the_same(tmp_path: Path) -> None:
    failed, count, bared, answers = told(folders_without(()), tmp_path / "bare")
    assert failed == {}
    assert count > 1000 and bared > 1000
    assert told((), tmp_path / "whole")[3] == answers
