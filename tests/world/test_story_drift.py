"""A model with a reference is served; rows like those it was trained on are stable, rows in another unit are named, and page too."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from story import PRELUDE, Story

from mlship.server.monitoring.drift_window import left

pytestmark = pytest.mark.world

ROOT = Path(__file__).parents[2]
ROOM = 400  # rows; a tick of the server's counting has room for 500

TUMOURS = """\
import joblib
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

frame = load_breast_cancer(as_frame=True).frame
measured = ["mean radius", "mean texture", "mean smoothness"]
rows = frame[measured].assign(size=pd.cut(frame["mean area"], 4, labels=["s", "m", "l", "xl"]).astype(str))
columns = ColumnTransformer([("n", StandardScaler(), measured), ("c", OneHotEncoder(handle_unknown="ignore"), ["size"])])
model = make_pipeline(columns, LogisticRegression(max_iter=1000)).fit(rows, frame["target"])
joblib.dump(model, "model.joblib")
rows.assign(target=frame["target"]).to_csv("train.csv", index=False)
rows.to_csv("data.csv", index=False)
asked(json.loads(rows.to_json(orient="values")), model.predict(rows), model.predict_proba(rows))
"""


def send(endpoint: str, rows: list[list[Any]], times: int) -> None:
    """Each row in a request of its own, in an order that does not follow the file's; all of them are counted in the end.

    To one server: `counted` asks whoever answers.
    """
    connection = connected(endpoint)
    known = counted(connection)
    for start in range(0, times, ROOM):
        some = range(start, min(start + ROOM, times))
        ask(connection, rows, some)
        wanted, began = (known + len(some)) * left(len(some)), time.monotonic()
        while (known := counted(connection)) < wanted:
            assert time.monotonic() < began + 20, f"{known} rows of {wanted} were counted"
    connection.close()


def connected(endpoint: str) -> http.client.HTTPConnection:
    where = urlsplit(endpoint)
    return http.client.HTTPConnection(where.hostname or "", where.port, timeout=30)


def ask(connection: http.client.HTTPConnection, rows: list[list[Any]], numbers: range) -> None:
    for at in numbers:
        body = json.dumps({"instances": [rows[at * 7919 % len(rows)]]})
        connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        answer.read()


def counted(connection: http.client.HTTPConnection) -> float:
    """Rows in the window of whoever answers on this connection."""
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    return float(next(line for line in text.splitlines() if line.startswith("mlship_drift_rows{")).rpartition(" ")[2])


def psi(reference: list[float], live: list[float]) -> float:
    """By its definition, over tenths of the reference."""
    cuts = np.quantile(reference, np.arange(1, 10) / 10, method="inverted_cdf")
    was, now = (np.bincount(np.searchsorted(cuts, side), minlength=10) + 0.5 for side in (reference, live))
    was, now = was / was.sum(), now / now.sum()
    return float(((now - was) * np.log(now / was)).sum())


def started(story: Story, target: str, more: str = "") -> tuple[list[list[Any]], str]:
    """The rows that it was trained on, and where the live release answers."""
    story.write("train.py", PRELUDE + TUMOURS)
    rows = story.train()["instances"]
    story.mlship("init", "--model", "model.joblib", "--data", "data.csv", "--target", target, "--name", f"drift-{os.getpid()}")
    story.settle(target)
    file = story.folder / "mlship.yaml"
    text = file.read_text()
    assert "  sample: sample.json\n" in text
    file.write_text(text.replace("  sample: sample.json\n", "  sample: sample.json\n  reference: train.csv\n") + more)
    built = story.mlship("build")
    assert any("reference 569 rows: drift of 4 features and predictions" in line for line in built["checks"])
    return rows, story.mlship("deploy", "--image", built["image"]["content"], "--yes")["endpoint"]


def test_rows_of_the_training_data_are_stable_and_another_unit_is_named(story: Story) -> None:
    try:
        rows, endpoint = started(story, "local")
        send(endpoint, rows, 300)
        [model] = story.mlship("drift")["models"]
        assert model["verdict"] == "inconclusive" and 150 <= model["missing"] <= 200, "deploy asked the sample, too"
        assert f"{model['missing']} are missing" in story.refused("drift", "--strict", exit=11)
        send(endpoint, rows, 900)
        calm = story.mlship("drift")
        assert calm["verdict"] == "pass" and {one["word"] for one in calm["measured"]} == {"stable"}
        assert {one["feature"] for one in calm["measured"]} == {"mean radius", "mean texture", "mean smoothness", "size", ""}
        inches = [[radius / 2.54, *others] for radius, *others in rows]
        send(endpoint, inches, 1500)
        loud = story.mlship("drift", exit=11)
        words = {one["feature"]: one["word"] for one in loud["measured"]}
        assert words.pop("mean radius") == "drifted" and words["mean texture"] == words["size"] == "stable"
        assert "DRIFTED  mean radius" in story.refused("drift", exit=11)
        # 1,200 rows before 1,500 that are newer count 0.90 of these
        live = np.repeat([row[0] for row in rows], 12), np.repeat([row[0] for row in inches], 17)
        [found] = [one["psi"] for one in loud["measured"] if one["feature"] == "mean radius"]
        assert found == pytest.approx(psi([row[0] for row in rows], np.concatenate(live).tolist()), rel=0.1)
        scraped = urllib.request.urlopen(f"{endpoint}/metrics", timeout=10).read().decode()
        assert 'mlship_drift_psi{feature="mean radius",' in scraped and "mlship_drift_bin" not in scraped
        assert story.mlship("drift", "--threshold", "50")["verdict"] == "pass"
    finally:
        story.mlship("destroy", "--yes")


@pytest.mark.engine
def test_the_rows_of_all_replicas_are_added_up(story: Story, front_home: Path) -> None:
    try:
        rows, endpoint = started(story, "docker", "scale: {replicas: 2}\n")
        for _ in range(6):
            connection = connected(endpoint)
            ask(connection, rows, range(120))
            connection.close()
        began = time.monotonic()
        while (model := story.mlship("drift")["models"][0])["rows"] < 700:  # they are counted at the next tick
            assert time.monotonic() < began + 30, model
        # 720, and the sample that deploy asked; neither replica alone has so many
        assert 700 <= model["rows"] <= 820 and model["verdict"] == "pass"
        assert sum(replica["ready"] for replica in story.mlship("status")["replicas"]) == 2
    finally:
        story.mlship("destroy", "--yes")


def test_evidently_draws_the_page(story: Story, tmp_path: Path) -> None:
    """In an environment with the extra, as `pip install mlship[drift]` makes it."""
    story.write("train.py", PRELUDE + TUMOURS)
    rows = story.train()["instances"]
    story.write("mlship.yaml", "name: shop\nmodel: {uri: model.joblib, reference: train.csv}\ntarget: local\n")
    lines = [",".join(map(str, [radius / 2.54, *others])) for radius, *others in rows[::2]]
    story.write("rows.csv", "\n".join(["mean radius,mean texture,mean smoothness,size", *lines]))
    asked = ("drift", "--data", "rows.csv", "--html", "drift.html")
    assert 'pip install "mlship[drift]"' in story.refused(*asked)
    python = tmp_path / "extra" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "uv", "venv", "-q", "--python", sys.executable, python.parents[1]], check=True)
    subprocess.run([sys.executable, "-m", "uv", "pip", "install", "-q", "--python", python, f"{ROOT}[drift]"], check=True)
    drawn = Story(story.folder, story.python, story.environ, (str(python), "-m", "mlship"))
    page = drawn.mlship(*asked, exit=11)
    assert [column["name"] for column in page["columns"] if column["word"] == "drifted"] == ["mean radius"]
    assert page["left_out"] == {"target": "only in the reference"}
    html = (story.folder / "drift.html").read_text()
    assert "mean radius" in html and len(html) > 1_000_000
    assert page["rows"] == {"data": 285, "reference": 569}
