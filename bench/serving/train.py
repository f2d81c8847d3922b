"""Run in each peer's own environment: the models, the rows that are sent, and what each row's answer must be.

python train.py FOLDER writes <model>/model.joblib, <model>/rows.json and <model>/expected.json; the same in every environment.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

ROWS = 256
CITIES = ("Rome", "Oslo", "Kyiv", "Lyon", "Bath", "Graz", "Nice", "Turku")
PLANS = ("basic", "plus", "family", "business")


def main(folder: Path) -> None:
    rows, labels = load_breast_cancer(return_X_y=True)
    scaled = StandardScaler().fit_transform(rows)
    write(folder / "linear", LogisticRegression(max_iter=1000).fit(scaled, labels), np.round(scaled[:ROWS], 6))
    forest = RandomForestClassifier(200, random_state=0).fit(rows, labels)
    write(folder / "forest", forest, rows[:ROWS])
    frame, churned = customers(2000)
    write(folder / "pipeline", pipeline().fit(frame, churned), frame.head(ROWS))


def customers(count: int) -> tuple[pd.DataFrame, Any]:
    """Made up: six numbers and four texts a customer."""
    random = np.random.default_rng(7)
    frame = pd.DataFrame(
        {
            "age": random.integers(18, 90, count).astype("float64"),
            "months": random.integers(0, 120, count).astype("float64"),
            "fee": np.round(random.gamma(4, 10, count), 2),
            "calls": random.poisson(3, count).astype("float64"),
            "usage": np.round(random.normal(100, 30, count), 3),
            "discount": np.round(random.random(count), 3),
            "city": random.choice(CITIES, count),
            "plan": random.choice(PLANS, count),
            "device": random.choice(("phone", "tablet", "router"), count),
            "payment": random.choice(("card", "invoice", "transfer"), count),
        }
    )
    risk = frame["calls"] * 0.4 - frame["months"] * 0.02 + (frame["plan"] == "basic") + random.normal(0, 1, count)
    return frame, (risk > risk.median()).to_numpy().astype(int)


def pipeline() -> Any:
    numbers = ["age", "months", "fee", "calls", "usage", "discount"]
    columns = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), numbers),
            ("texts", OneHotEncoder(handle_unknown="ignore"), ["city", "plan", "device", "payment"]),
        ]
    )
    return make_pipeline(columns, LogisticRegression(max_iter=1000))


def write(folder: Path, model: Any, rows: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    joblib.dump(model, folder / "model.joblib")
    sent = rows.to_dict("records") if isinstance(rows, pd.DataFrame) else rows.tolist()
    (folder / "rows.json").write_text(json.dumps(sent))
    (folder / "expected.json").write_text(json.dumps(model.predict_proba(rows).tolist()))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
