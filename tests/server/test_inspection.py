"""What the inspecting process says of a model, failures in words included. Here without its walls: see test_lockdown."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from mlship.server import manifest
from mlship.server.inspection.report import failed_import, inspect_model, read_rows

ROWS = np.arange(20.0).reshape(10, 2)

OWN = """
import sys
class Good:
    def load(self, path): print("said by the model")
    def predict(self, rows): return [1 for _ in rows]
class Missing(Good):
    def load(self, path): import mlship_no_such_package
class Old(Good):
    def load(self, path): sys.no_such_attribute
class Greedy(Good):
    def load(self, path): raise MemoryError
class Crash(Good):
    def load(self, path): return 1 / 0
class Leaves(Good):
    def load(self, path): sys.exit(3)
class Fails(Good):
    def predict(self, rows): raise RuntimeError("no weights")
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "inspected.py").write_text(OWN)
    (tmp_path / "file").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "inspected", raising=False)
    return tmp_path


def request(root: Path, entry: manifest.Model, sample: list[Any] | None = None) -> dict[str, Any]:
    text = manifest.to_json(manifest.Manifest("inspect", (entry,))).decode()
    return {"root": str(root), "manifest": text, "sample": sample}


def own_request(root: Path, name: str, sample: list[Any] | None = None) -> dict[str, Any]:
    return request(root, manifest.Model("m", "python", "none", "file", "", loader=f"inspected:{name}"), sample)


def test_a_model_is_described_and_answers_its_sample(tmp_path: Path) -> None:
    model = LogisticRegression().fit(ROWS, [0, 1] * 5)
    joblib.dump(model, tmp_path / "m.joblib")
    told = inspect_model(request(tmp_path, manifest.Model("m", "sklearn", "joblib", "m.joblib", ""), [[1, 2]]))
    assert told["title"] == "LogisticRegression"
    assert told["answers"]["predictions"] == model.predict([[1, 2]]).tolist()
    assert [feature["name"] for feature in told["signature"]["inputs"]] == ["x0", "x1"]
    assert 0 < told["row_s"] < 1
    assert told["load_s"] > 0 and told["peak_memory"] > 1_000_000
    assert {"python", "numpy", "scikit-learn"} <= told["versions"].keys()
    assert any("libc.so" in path for path in told["libraries"]) or not Path("/proc/self/maps").exists()


@pytest.mark.parametrize(
    ("name", "sample", "kind", "words"),
    [
        ("Missing", None, "missing-module", "the model needs the module mlship_no_such_package"),
        ("Old", None, "version", "the environment does not fit the model: AttributeError"),
        ("Greedy", None, "memory", "the model needs more memory than it may take here"),
        ("Crash", None, "crash", "the model fails to load: ZeroDivisionError: division by zero (inspected.py:"),
        ("Leaves", None, "crash", "the model fails to load: SystemExit: 3"),
        ("Fails", [1], "predict", "the model fails on the sample: RuntimeError: no weights"),
        ("Nothing", None, "load", "the module inspected has no class Nothing"),
    ],
)
def test_a_failure_is_said_in_words_with_its_kind(own: Path, name: str, sample: Any, kind: str, words: str) -> None:
    error = inspect_model(own_request(own, name, sample))["error"]
    assert error["kind"] == kind and words in error["message"]


def test_a_sample_that_does_not_fit_is_the_samples_fault(tmp_path: Path) -> None:
    joblib.dump(LogisticRegression().fit(ROWS, [0, 1] * 5), tmp_path / "m.joblib")
    error = inspect_model(request(tmp_path, manifest.Model("m", "sklearn", "joblib", "m.joblib", ""), [[1, 2, 3]]))["error"]
    assert error["kind"] == "sample" and "the sample does not fit the model: row 0 has 3 values" in error["message"]


def test_a_refused_name_comes_out_with_the_line_to_add(tmp_path: Path) -> None:
    (tmp_path / "m.pkl").write_bytes(b"\x80\x02cchurn.features\nRare\n)\x81.")
    error = inspect_model(request(tmp_path, manifest.Model("m", "sklearn", "pickle", "m.pkl", "")))["error"]
    assert error["kind"] == "unknown-name" and "model.trust: [churn.features.Rare]" in error["fix"]


def test_a_missing_module_is_named_with_the_package_to_install() -> None:
    error = failed_import(ModuleNotFoundError("no", name="sklearn.tree"))["error"]
    assert "pip install scikit-learn in the training environment" in error["fix"] and error["module"] == "sklearn"


def test_rows_of_a_parquet_file_come_as_json(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    pandas.DataFrame({"a": [1.5, None], "b": ["x", "y"]}).to_parquet(tmp_path / "t.parquet")
    told = read_rows({"path": str(tmp_path / "t.parquet"), "columns": [], "limit": 10})
    assert told == {"columns": ["a", "b"], "rows": [[1.5, "x"], [None, "y"]]}


def test_a_parquet_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_bytes(b"PAR1")
    error = read_rows({"path": str(tmp_path / "t.parquet"), "columns": [], "limit": 10})["error"]
    assert error["kind"] in ("missing-module", "table")
