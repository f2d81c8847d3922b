"""Real scikit-learn models behind a real server, each with rows and what the model itself answers to them."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from mlship.server import manifest
from mlship.server.app import PROTOCOLS
from mlship.server.inspection.report import inspect_model

sys.path.insert(0, str(Path(__file__).parents[1] / "server"))
from served import Server, accepts, running, until

CITIES = ("Rome", "Oslo", "Kyiv", "Lyon")
COUNT = 192


@dataclass(frozen=True)
class Judged:
    """A model's folder with its manifest, rows in JSON's types, and for each row its class and its probabilities."""

    name: str
    folder: Path
    rows: list[Any]
    classes: list[int]
    probabilities: list[list[float]]

    @contextmanager
    def server(self, **environ: str) -> Iterator[Server]:
        """Ready and listening; waits longer than the fast tests do."""
        with running(self.folder / "manifest.json", ready=False, **environ) as server:
            server.port = int(server.event("ready", 60)["listening"][0].rpartition(":")[2])
            until(lambda: accepts(server.port))
            yield server


def judged_model(name: str, folder: Path) -> Judged:
    """name: `linear`, logistic regression on 30 numbers; `pipeline` over a DataFrame; the same `unchecked`; a `forest`, or a `wood`
    of many trees; the guide's `churn`, which takes an age and a city.

    `pipeline` knows its cities and refuses others before the model is called; of `unchecked` only the model can tell.
    """
    random = np.random.default_rng(5)
    if name in ("pipeline", "unchecked"):
        return _pipeline(folder, random, knows_categories=name == "pipeline")
    if name == "churn":
        frame = pd.DataFrame({"age": random.integers(18, 90, COUNT), "city": random.choice(CITIES, COUNT)})
        columns = ColumnTransformer([("numbers", StandardScaler(), ["age"]), ("texts", OneHotEncoder(), ["city"])])
        model = make_pipeline(columns, LogisticRegression()).fit(frame, frame["age"] > 50)
        return _judged(folder, model, frame, frame.to_dict("records"))
    rows = random.normal(size=(COUNT, 30)).round(6)
    labels = (rows[:, 0] + rows[:, 1] * rows[:, 2] > 0).astype(int)
    trees = 1200 if name == "wood" else 30
    model = LogisticRegression() if name == "linear" else RandomForestClassifier(trees, random_state=0)
    return _judged(folder, model.fit(rows, labels), rows, rows.tolist())


def _pipeline(folder: Path, random: Any, knows_categories: bool) -> Judged:
    frame = pd.DataFrame(
        {
            "age": random.integers(18, 90, COUNT).astype("float64"),
            "fee": random.gamma(4, 10, COUNT).round(2),
            "city": random.choice(CITIES, COUNT),
        }
    )
    bought = (frame["age"] + (frame["city"] == "Rome") * 30 > 60).astype(int)
    columns = ColumnTransformer([("numbers", StandardScaler(), ["age", "fee"]), ("texts", OneHotEncoder(), ["city"])])
    model = make_pipeline(columns, LogisticRegression()).fit(frame, bought)
    return _judged(folder, model, frame, frame.to_dict("records"), knows_categories)


def _judged(folder: Path, model: Any, table: Any, rows: list[Any], knows_categories: bool = True) -> Judged:
    folder.mkdir(parents=True)
    joblib.dump(model, folder / "model.joblib")
    _write_manifest(folder, rows[:4], knows_categories)
    return Judged(folder.name, folder, rows, model.predict(table).tolist(), model.predict_proba(table).tolist())


def _write_manifest(folder: Path, sample: list[Any], knows_categories: bool) -> None:
    """As the image builder does it: with the signature that its own inspection finds."""
    digest = hashlib.sha256((folder / "model.joblib").read_bytes()).hexdigest()
    entry = manifest.Model(folder.name, "sklearn", "joblib", "model.joblib", digest, sample=tuple(sample))
    # a long deadline: what is judged here is whether answers are right, on a machine that may be busy
    serving = manifest.Serving(protocols=tuple(PROTOCOLS), workers=2, request_timeout_s=300.0)
    asked = manifest.to_json(manifest.Manifest("judged", (entry,), serving)).decode()
    told = inspect_model({"root": str(folder), "manifest": asked, "sample": sample})
    assert "error" not in told, told
    signature = manifest.signature_from_dict(json.loads(json.dumps(told["signature"])))
    if not knows_categories:
        signature = replace(signature, inputs=tuple(replace(feature, categories=None) for feature in signature.inputs))
    document = manifest.Manifest("judged", (replace(entry, signature=signature),), serving, mlship="0.1.0")
    (folder / "manifest.json").write_bytes(manifest.to_json(document))
