"""Two models in one image: built, deployed, asked by name, one of them changed, and rolled back, by the real command."""

from __future__ import annotations

import json
from typing import Any

import pytest
from story import PRELUDE, Story, fetched, posted, same

pytestmark = pytest.mark.world

TRAIN = """\
import joblib
import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

random = np.random.default_rng(3)
numbers = random.normal(size=(80, 4))
fraud = LogisticRegression(C=VERSION).fit(numbers, numbers[:, 0] > 0.1)
joblib.dump(fraud, "fraud.joblib")
frame = pd.DataFrame({"age": random.integers(18, 80, 80), "city": random.choice(["Rome", "Oslo"], 80)})
price = make_pipeline(make_column_transformer((OneHotEncoder(), ["city"]), remainder="passthrough"), LinearRegression())
price.fit(frame, frame["age"] * 3.5 + (frame["city"] == "Rome"))
joblib.dump(price, "price.joblib")
json.dump(numbers[:3].tolist(), open("fraud.json", "w"))
json.dump(frame.head(3).to_dict("records"), open("price.json", "w"))
json.dump({"rows": frame.head(3).to_dict("records"), "predictions": price.predict(frame.head(3)).tolist()}, open("prices.json", "w"))
asked(numbers[:3], fraud.predict(numbers[:3]), fraud.predict_proba(numbers[:3]))
"""
YAML = """\
name: shop
target: local
models:
  fraud: {uri: fraud.joblib, sample: fraud.json}
  price: {uri: price.joblib, sample: price.json}
serve: {protocols: [native, v2, tfserving], workers: 1}
"""


def test_two_models_go_the_whole_way_in_one_image(story: Story) -> None:
    story.write("train.py", PRELUDE + TRAIN)
    fraud = story.train(1)
    prices = json.loads((story.folder / "prices.json").read_text())
    story.write("mlship.yaml", YAML)
    assert [model["name"] for model in story.mlship("check")["models"]] == ["fraud", "price"]
    built = story.mlship("build")["image"]
    try:
        deployed = story.mlship("deploy", "--image", built["content"], "--yes")
        assert deployed["verify"]["predictions"] == 6
        endpoint = deployed["endpoint"]
        both_answer(endpoint, fraud, prices)
        assert story.mlship("predict", "--model", "price")["answer"]["predictions"] == pytest.approx(prices["predictions"])
        assert "shop has no model prise; it has fraud, price" in story.refused("predict", "--model", "prise")

        second = story.train(2)
        newer = story.mlship("deploy", "--yes")
        both_answer(newer["endpoint"], second, prices)
        before, after = (told["release"]["models"] for told in (deployed, newer))
        assert before["price"] == after["price"] and before["fraud"] != after["fraud"]
        both_answer(story.mlship("rollback", "--yes")["endpoint"], fraud, prices)
    finally:
        story.mlship("destroy", "--yes")


def both_answer(endpoint: str, fraud: dict[str, Any], prices: dict[str, Any]) -> None:
    """The first model at /predict, each at its own paths."""
    rows = json.dumps({"instances": fraud["instances"]}).encode()
    for path in ("/predict", "/predict/fraud"):
        same(asked(endpoint, path, rows), fraud, path)
    rows = json.dumps({"instances": prices["rows"]}).encode()
    assert asked(endpoint, "/v1/models/price:predict", rows)["predictions"] == pytest.approx(prices["predictions"])
    ages, cities = ([row[name] for row in prices["rows"]] for name in ("age", "city"))
    age = {"name": "age", "shape": [3], "datatype": "INT64", "data": ages}
    city = {"name": "city", "shape": [3], "datatype": "BYTES", "data": cities}
    (output,) = asked(endpoint, "/v2/models/price/infer", json.dumps({"inputs": [age, city]}).encode())["outputs"]
    assert (output["datatype"], output["shape"]) == ("FP64", [3])
    assert output["data"] == pytest.approx(prices["predictions"])
    assert fetched(f"{endpoint}/schema/price")["model"] == "price"


def asked(endpoint: str, path: str, body: bytes) -> Any:
    status, answer = posted(endpoint, body, path=path)
    assert status == 200, answer
    return answer
