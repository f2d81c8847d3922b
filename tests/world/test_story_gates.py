"""Bad models before a deploy: each is stopped by the gate that is there for it, in words that say what is wrong."""

from __future__ import annotations

import json
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
from story import PRELUDE, Story

pytestmark = pytest.mark.world

TRAIN = """\
import joblib, numpy, pandas
from sklearn.datasets import load_iris
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier

rows, kind = load_iris(return_X_y=True, as_frame=True)
rows.columns = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
kind = numpy.array(["setosa", "versicolor", "virginica"])[kind]
train, test, known, unseen = train_test_split(rows, kind, test_size=0.4, stratify=kind, random_state=7)
test.assign(kind=unseen, garden="north").to_csv("holdout.csv", index=False)
SWAPPED = ["petal_length", "petal_width", "sepal_length", "sepal_width"]

def model():
    return LogisticRegression(max_iter=2000)

if VERSION == 1:
    fitted = model().fit(train, known)
elif VERSION == 2:  # millimetres, where callers send centimetres
    fitted = model().fit(train * 10, known)
elif VERSION == 3:  # the columns' values under each other's names
    fitted = model().fit(pandas.DataFrame(train[SWAPPED].to_numpy(), columns=train.columns), known)
elif VERSION == 4:  # trained on nothing
    fitted = DummyClassifier(strategy="most_frequent").fit(train, known)
elif VERSION == 5:  # all of 9,000 copies, and every row compared with all of them
    many = pandas.concat([train] * 9000, ignore_index=True)
    fitted = KNeighborsClassifier(algorithm="brute").fit(many, numpy.tile(known, 9000))
else:  # a column fewer
    fitted = model().fit(train.drop(columns="sepal_width"), known)
joblib.dump(fitted, "model.joblib")
asked([[1]], [1])
"""

YAML = """\
name: iris
model:
  uri: model.joblib
  sample: sample.json
  golden: golden.jsonl
  holdout: {data: holdout.csv, label: kind, min: {accuracy: 0.9, auc: baseline - 0.01}}
serve:
  protocols: [native, v2, sagemaker, vertex, azureml, mlflow, tfserving]
  workers: 1
"""

NAMES = ("sepal_length", "sepal_width", "petal_length", "petal_width")
KNOWN = {(5.0, 3.4, 1.5, 0.2): "setosa", (5.9, 2.8, 4.3, 1.3): "versicolor", (6.6, 3.0, 5.6, 2.0): "virginica"}


def sample(names: tuple[str, ...] = NAMES) -> str:
    return json.dumps([{name: value for name, value in zip(NAMES, row, strict=True) if name in names} for row in KNOWN])


def verdicts(said: dict[str, Any]) -> dict[str, str]:
    return {result["name"]: result["verdict"] for result in said["results"]}


def reason(said: dict[str, Any], name: str) -> str:
    return str(next(result["why"] for result in said["results"] if result["name"] == name))


def test_each_bad_model_is_stopped_by_its_gate(story: Story) -> None:
    story.write("train.py", PRELUDE + TRAIN)
    story.write("mlship.yaml", YAML)
    story.write("sample.json", sample())
    lines = [json.dumps({"instances": [list(row)], "predictions": [kind]}) for row, kind in KNOWN.items()]
    story.write("golden.jsonl", "\n".join(lines) + "\n")

    # a good model, with nothing live to compare with
    story.train(1)
    first = story.mlship("test", "--junit", "first.xml", "--max-change", "0.2")
    protocols = ("native", "v2", "sagemaker", "vertex", "azureml", "mlflow", "tfserving")
    told = verdicts(first)
    assert {told[f"{gate} {protocol}"] for gate in ("sample", "golden") for protocol in protocols} == {"pass"}
    assert told["holdout accuracy"] == "pass" and told["holdout auc"] == "inconclusive"
    assert told["schema"] == told["change"] == "inconclusive"
    assert reason(first, "schema") == "there is no live release on local"
    assert [missing["gate"] for missing in first["not_asked"]] == ["memory", "start", "slo", "drill"]
    suite = ElementTree.parse(story.folder / "first.xml").getroot()[0]
    assert (suite.get("failures"), suite.get("skipped"), len(suite)) == ("0", "7", len(first["results"]) + 4)
    assert "not known" in story.refused("test", "--strict", exit=5)
    assert "not known: slo: nothing says what it must keep" in story.refused("test", "--only", "slo", exit=0)
    assert "did you mean golden?" in story.refused("test", "--only", "goldn")

    story.mlship("deploy", "--yes")
    try:
        every = ("--drill", "--max-memory", "4GB", "--max-start", "60s", "--slo", "p50_ms=500", "--max-change", "0")
        again = story.mlship("test", *every, "--strict")
        assert set(verdicts(again).values()) == {"pass"} and not again["not_asked"], again["results"]
        live = story.mlship("test", "--live")
        assert {missing["gate"] for missing in live["not_asked"]} == {"change", "schema", "memory", "start", "slo", "drill"}
        assert story.mlship("test", "--live", "--slo", "p50_ms=0.001", exit=11)["verdict"] == "fail"

        # the baseline is the live release's own record; this machine has forgotten what it measured
        shutil.rmtree(next(Path(story.environ["MLSHIP_HOME"]).rglob("quality")))
        story.train(2)
        units = story.mlship("test", "--max-change", "0.2", exit=5)
        assert verdicts(units)["golden native"] == verdicts(units)["holdout accuracy"] == "fail"
        assert "golden.jsonl:" in reason(units, "golden native") and "the truth is" in reason(units, "golden native")
        assert "(baseline - 0.01)" in next(result["limit"] for result in units["results"] if result["name"] == "holdout auc")
        assert verdicts(units)["change"] == "fail" and verdicts(units)["sample native"] == "pass"

        named = story.mlship("test", "--only", "change", "--image", first["content"])
        [told_only] = named["results"]
        assert (named["content"], told_only["measured"], told_only["verdict"]) == (first["content"], "0 %", "inconclusive")
        assert "leave one of them out" in story.refused("test", "--live", "--image", first["content"])

        story.train(3)
        swapped = story.refused("test", exit=5)
        assert "FAILED golden v2: golden.jsonl:" in swapped and "order of columns" in swapped

        story.train(4)
        constant = story.mlship("test", "--only", "holdout", "--only", "schema", exit=5)
        assert verdicts(constant)["holdout accuracy"] == verdicts(constant)["holdout auc"] == "fail"
        assert reason(constant, "holdout auc").startswith("auc is 0.5, wanted >= 0.9")

        story.train(5)
        limits = ("--max-memory", "150MB", "--slo", "p50_ms=5", "--only", "memory", "--only", "slo", "--only", "golden")
        large = story.mlship("test", *limits, exit=5)
        assert verdicts(large)["memory"] == verdicts(large)["slo p50_ms"] == "fail", large["results"]
        assert verdicts(large)["golden native"] == "pass"

        story.train(6)
        story.write("sample.json", sample(("sepal_length", "petal_length", "petal_width")))
        fewer = story.mlship("test", "--only", "schema", exit=5)
        assert reason(fewer, "schema").startswith("feature sepal_width is gone")
        assert verdicts(story.mlship("test", "--only", "schema", "--breaking"))["schema"] == "pass"
    finally:
        story.mlship("destroy", "--yes")
