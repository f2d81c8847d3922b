"""The answer in the user's own words: outputs, passthrough, extra fields and hooks, from mlship.yaml to each protocol."""

from __future__ import annotations

import json

import pytest
from story import PRELUDE, Story, posted

pytestmark = pytest.mark.world

TRAIN = """\
import joblib
from sklearn.linear_model import LogisticRegression

model = LogisticRegression().fit([[0, 1], [1, 0], [2, 1], [3, 0]], ["stays", "stays", "goes", "goes"])
joblib.dump(model, "model.joblib")
rows = [[0.5, 1], [2.5, 0]]
asked(rows, model.predict(rows), model.predict_proba(rows))
"""

HOOKS = """\
from serving.words import band
from mlship.server.hooks import WrongInput


def preprocess(rows):
    for place, row in enumerate(rows):
        if row["complaints"] < 0:
            raise WrongInput("there are no negative complaints", row=place, feature="complaints")
    return [[row["complaints"] / 2, row.get("member", 1)] for row in rows]


def postprocess(answer, rows):
    return {**answer, "band": [band(value) for value in answer["leaving"]]}
"""

YAML = """\
name: churn
model: {uri: model.joblib, code: [serving/words.py], sample: sample.json}
serve:
  protocols: [native, sagemaker, mlflow, vertex, azureml]
  outputs: {leaving: "proba[0]"}
  passthrough: [customer]
  extra: ignore
  hooks: serving/hooks.py
"""

SAMPLE = [{"complaints": 1, "member": 1, "customer": "c-1"}, {"complaints": 5, "member": 0, "customer": "c-2"}]


def test_the_answer_is_as_mlship_yaml_says(story: Story) -> None:
    story.write("serving/__init__.py", "")
    story.write("serving/words.py", 'def band(value):\n    return "high" if value > 0.5 else "low"\n')
    story.write("serving/hooks.py", HOOKS)
    story.write("train.py", PRELUDE + TRAIN)
    story.write("sample.json", json.dumps(SAMPLE))
    story.write("mlship.yaml", YAML)
    truth = story.train()
    leaving = [row[0] for row in truth["probabilities"]]
    try:
        endpoint = story.mlship("deploy", "--yes")["endpoint"]
        status, answer = posted(endpoint, json.dumps({"instances": [*SAMPLE, {"complaints": 5, "seen": True}]}).encode())
        assert status == 200
        assert answer["leaving"][:2] == pytest.approx(leaving)
        assert {name: answer[name] for name in ("predictions", "band", "customer")} == {
            "predictions": ["stays", "goes", "goes"],
            "band": ["low", "high", "high"],
            "customer": ["c-1", "c-2", None],
        }
        each = [
            {"predictions": "stays", "leaving": pytest.approx(leaving[0]), "band": "low", "customer": "c-1"},
            {"predictions": "goes", "leaving": pytest.approx(leaving[1]), "band": "high", "customer": "c-2"},
        ]
        for path, body in (
            ("/invocations", {"dataframe_records": SAMPLE}),
            ("/vertex/predict", {"instances": SAMPLE}),
        ):
            assert posted(endpoint, json.dumps(body).encode(), path=path) == (200, {"predictions": each})
        assert posted(endpoint, json.dumps({"input_data": SAMPLE}).encode(), path="/score") == (200, each)
        status, refusal = posted(endpoint, b'{"instances": [{"complaints": -1}]}')
        assert (status, refusal["error"]["message"]) == (422, "row 0: there are no negative complaints")
        status, failure = posted(endpoint, b'{"instances": [{}]}')
        assert (status, failure["error"]["code"]) == (500, "model_failed")
        assert "preprocess raised KeyError: 'complaints'" in json.dumps(story.mlship("logs")["lines"])
        assert story.mlship("verify")["ok"]
        story.write("mlship.yaml", YAML.replace("proba[0]", "proba[2]"))
        said = story.refused("build", exit=5)
        assert "serve.outputs.leaving takes probabilities[2], but each row has 2 values: probabilities[0] is 'goes'" in said
    finally:
        story.mlship("destroy", "--yes")
