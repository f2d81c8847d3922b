"""`model.engine`: real models are compiled at build, answer as scikit-learn does, and leave scikit-learn out of the image."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from typing import Any

import pytest
from story import PRELUDE, Story, posted, predicted

pytestmark = pytest.mark.world

SMALL = 160_000_000  # bytes of an image without scikit-learn
LEFT_OUT = {"scikit-learn", "scipy", "pandas", "joblib", "threadpoolctl", "narwhals"}

PENGUINS = """\
import joblib
from palmerpenguins import load_penguins
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

measured, noted = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"], ["island", "sex"]
birds = load_penguins()
columns = ColumnTransformer([
    ("measured", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), measured),
    ("noted", make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")), noted),
])
model = make_pipeline(columns, LogisticRegression(max_iter=1000)).fit(birds[noted + measured], birds["species"])
joblib.dump(model, "model.joblib")
rows = birds[noted + measured]
rows.to_csv("data.csv", index=False)
asked(json.loads(rows.to_json(orient="values")), model.predict(rows), model.predict_proba(rows))
"""

DIGITS = """\
import joblib
import numpy as np
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier

rows, labels = load_digits(return_X_y=True)
model = RandomForestClassifier(200, random_state=VERSION).fit(rows[::2], labels[::2])
joblib.dump(model, "model.joblib")
tree = model.estimators_[0].tree_
at = [(feature, cut) for feature, cut in zip(tree.feature, tree.threshold) if feature >= 0][:60]
ties = rows[1::29][:60].copy()
for row, (feature, cut) in zip(ties, at):
    row[feature] = cut
asked_rows = np.concatenate([rows[1::9], ties])
json.dump({"instances": rows[:20].tolist()}, open("sample.json", "w"))
with open("known.csv", "w") as file:
    np.savetxt(file, np.column_stack([rows, labels])[::8], "%g", ",", header=",".join([*map(str, range(64)), "digit"]), comments="")
with open("rest.jsonl", "w") as file:
    for row, label in zip(rows[1::20], labels[1::20]):
        print(json.dumps({"digit": int(label), **dict(enumerate(row.tolist()))}), file=file)
asked(asked_rows, model.predict(asked_rows), model.predict_proba(asked_rows))
"""


def test_a_pipeline_with_texts_is_served_without_scikit_learn(story: Story, capsys: pytest.CaptureFixture[str]):
    subprocess.run([story.python, "-m", "pip", "install", "-qq", "palmerpenguins"], check=True)
    story.write("train.py", PRELUDE + PENGUINS)
    truth = story.train()
    story.mlship("init", "--model", "model.joblib", "--data", "data.csv", "--target", "local")
    assert story.mlship("check")["models"][0]["engine"]["name"] == "numpy"
    built = story.mlship("build")
    assert built["engine"] == "numpy"
    assert not LEFT_OUT & {part["name"] for part in built["image"]["parts"]}
    assert built["image"]["size"] <= SMALL
    try:
        endpoint = story.mlship("deploy", "--yes")["endpoint"]
        story.ask_all(endpoint, truth, ("lists", "objects", "csv"))
        each = [predicted(endpoint, json.dumps({"instances": [row]}).encode()) for row in truth["instances"]]
        assert [answer["predictions"][0] for answer in each] == truth["predictions"]
        strange = json.dumps({"instances": [["Atlantis", None, None, 18.0, 190.0, 4000.0]]}).encode()
        compiled = predicted(endpoint, strange)
        assert posted(endpoint, b'{"instances": [["Dream", "male", "long", 18, 190, 4000]]}')[0] == 422
        live = story.mlship("status")
        assert live["engines"]["shop"]["rows"] > 50
        told = live["engines"]["shop"]
        configured = (story.folder / "mlship.yaml").read_text()
        _write_engine(story, configured, "original")
        original = story.mlship("build")
        assert {"scikit-learn", "pandas"} <= {part["name"] for part in original["image"]["parts"]}
        endpoint = story.mlship("deploy", "--image", original["image"]["content"], "--yes")["endpoint"]
        story.ask_all(endpoint, truth)
        assert predicted(endpoint, strange)["predictions"] == compiled["predictions"]
    finally:
        story.mlship("destroy", "--yes")
    _write_engine(story, configured, "trees")
    assert "compiles to the engine numpy" in story.refused("build")
    with capsys.disabled():
        _print("penguins, logistic regression", told, built, original)


def test_a_forest_answers_with_the_bits_of_scikit_learn(story: Story, capsys: pytest.CaptureFixture[str]):
    story.write("train.py", PRELUDE + DIGITS)
    truth = story.train()
    story.mlship("init", "--model", "model.joblib", "--target", "local")
    configured = (story.folder / "mlship.yaml").read_text()
    own = "trees\n  reference: known.csv\n  holdout: {data: rest.jsonl, label: digit}"
    _write_engine(story, configured, own.replace("digit}", "target}"))
    assert "model.holdout.label  rest.jsonl has no column target; name one of its columns: digit, 0, 1" in story.refused(
        "check"
    )
    _write_engine(story, configured, own)
    built = story.mlship("build")
    kinds = built["models"][0]["engine"]["kinds"]
    assert (kinds["reference"], kinds["holdout"]) == (225, 90) and kinds["generated"] > 300
    _write_engine(story, configured, "onnx")
    graph = story.mlship("build")
    assert not list(story.python.parents[1].glob("lib/*/site-packages/onnx*")), "the environment stays as it is"
    try:
        for one in (built, graph):
            names = {part["name"] for part in one["image"]["parts"]}
            assert not LEFT_OUT & names and ("onnxruntime" in names) == (one is graph)
            assert one["image"]["size"] <= SMALL
            endpoint = story.mlship("deploy", "--image", one["image"]["content"], "--yes")["endpoint"]
            _assert_same_bits(endpoint, truth)
        assert story.mlship("status")["engines"]["shop"]["name"] == "onnx"
    finally:
        story.mlship("destroy", "--yes")
    _assert_kept_without_a_network(story, configured)
    with capsys.disabled():
        _print("digits, forest of 200 trees", built["models"][0]["engine"], built, None)
        _print("the same as a graph", graph["models"][0]["engine"], graph, None)


def _assert_same_bits(endpoint: str, truth: dict[str, Any]) -> None:
    answer = predicted(endpoint, json.dumps({"instances": truth["instances"]}).encode())
    assert answer["predictions"] == truth["predictions"]
    assert answer["probabilities"] == truth["probabilities"]
    for row, label, shares in list(zip(truth["instances"], truth["predictions"], truth["probabilities"], strict=True))[::7]:
        one = predicted(endpoint, json.dumps({"instances": [row]}).encode())
        assert (one["predictions"], one["probabilities"]) == ([label], [shares])


def _assert_kept_without_a_network(story: Story, configured: str) -> None:
    """auto takes the loop and says why; a graph that is asked for is refused with the reason."""
    nowhere = {
        "UV_DEFAULT_INDEX": "http://127.0.0.1:9/simple",
        "UV_HTTP_RETRIES": "0",
        "UV_NO_CACHE": "1",
        "PIP_FIND_LINKS": "",
        "PIP_CONFIG_FILE": str(story.write("no-pip.conf", "")),
        "MLSHIP_HOME": str(story.folder / "new"),
    }
    cut_off = replace(story, environ={**story.environ, **nowhere})
    _write_engine(story, configured, "auto")
    engine = cut_off.mlship("check")["models"][0]["engine"]
    assert engine["name"] == "trees"
    assert engine["reason"].startswith("onnx not tried: the package index cannot be reached")
    _write_engine(story, configured, "onnx")
    assert "shop cannot be computed by onnx: onnx not tried: the package index cannot be reached" in cut_off.refused("check")


def _write_engine(story: Story, configured: str, engine: str) -> None:
    lines = configured.splitlines()
    at = next(index for index, line in enumerate(lines) if line.startswith("model:"))
    uri = lines[at].removeprefix("model:").strip()
    lines[at : at + 1] = ["model:", *([f"  uri: {uri}"] if uri else []), f"  engine: {engine}"]
    (story.folder / "mlship.yaml").write_text("\n".join(lines) + "\n")


def _print(title: str, engine: dict[str, Any], built: dict[str, Any], original: dict[str, Any] | None) -> None:
    speeds = ", ".join(
        f"{rows} rows {first * 1e6:.0f} -> {then * 1e6:.0f} us" for rows, (first, then) in engine["seconds"].items()
    )
    sizes = f"image {built['image']['size'] / 1e6:.0f} MB"
    if original:
        sizes += f", with scikit-learn {original['image']['size'] / 1e6:.0f} MB"
    print(f"\n  {title}: {engine['name']}, {speeds}, equal on {engine['rows']} rows, {sizes}")
