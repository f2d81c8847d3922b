"""What the library that trained an example answers to its request.json: the truth of golden.json.

Run in the training environment, in the example's folder, after train.py: `python example_answers.py NAME`. Nothing of mlship takes
part. Read what comes out before it becomes golden.json; training is seeded, so the same packages give the same answers.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Rows = list[Any]
Answer = dict[str, Any]


def pipeline(rows: Rows) -> Answer:
    import joblib
    import pandas

    model, table = joblib.load("model.joblib"), pandas.DataFrame(rows)
    return {"predictions": model.predict(table).tolist(), "probabilities": model.predict_proba(table).tolist()}


def text_topics(rows: Rows) -> Answer:
    """Labels alone, here and of the transformer: each Python's documentation gives other numbers."""
    import joblib

    return {"predictions": joblib.load("topics.joblib").predict(rows).tolist()}


def boosted(rows: Rows) -> Answer:
    import xgboost

    model = xgboost.XGBRegressor()
    model.load_model("model.ubj")
    return {"predictions": model.predict(categories(rows, ["species", "island", "sex"])).tolist()}


def lightgbm_diabetes(rows: Rows) -> Answer:
    import lightgbm

    return {"predictions": lightgbm.Booster(model_file="progress.txt").predict(categories(rows, ["sex"])).tolist()}


def categories(rows: Rows, names: list[str]) -> Any:
    """The table with the words that data.csv has, coded as they were in training."""
    import pandas

    known = pandas.read_csv("data.csv")
    return pandas.DataFrame(rows).astype(
        {name: pandas.CategoricalDtype(sorted(known[name].dropna().unique())) for name in names}
    )


def catboost_penguins(rows: Rows) -> Answer:
    import pandas
    from catboost import CatBoostClassifier

    model, table = CatBoostClassifier().load_model("species.cbm"), pandas.DataFrame(rows)
    return {"predictions": model.predict(table)[:, 0].tolist(), "probabilities": model.predict_proba(table).tolist()}


def mlflow_wine(rows: Rows) -> Answer:
    import mlflow
    import pandas

    model, table = mlflow.sklearn.load_model("wine"), pandas.DataFrame(rows)
    return {"predictions": model.predict(table).tolist(), "probabilities": model.predict_proba(table).tolist()}


def python_class(rows: Rows) -> Answer:
    import numpy
    from iris.model import NearestCentre

    model = NearestCentre()
    model.load(Path("centres.json"))
    return model.predict(numpy.array(rows))


def onnx_digits(rows: Rows) -> Answer:
    import numpy
    import onnxruntime

    label, probabilities = onnxruntime.InferenceSession("digits.onnx").run(None, {"X": numpy.array(rows, "float32")})
    return {"predictions": label.tolist(), "probabilities": [list(each.values()) for each in probabilities]}


def keras_digits(rows: Rows) -> Answer:
    import keras
    import numpy

    return {"predictions": keras.models.load_model("digits.keras").predict(numpy.array(rows), verbose=0).tolist()}


def savedmodel_wine(rows: Rows) -> Answer:
    import tensorflow as tf

    columns = {name: tf.constant([row[name] for row in rows], tf.float32) for name in rows[0]}
    (scores,) = tf.saved_model.load("wine").signatures["serving_default"](**columns).values()
    return {"predictions": scores.numpy().tolist()}


def torch_diabetes(rows: Rows) -> Answer:
    import torch
    from net import Diabetes

    return torch_answer(Diabetes(), torch.load("diabetes.pt"), [list(row.values()) for row in rows])


def torchserve_digits(rows: Rows) -> Answer:
    import torch
    from digits_net import Digits

    return torch_answer(Digits(), torch.load("weights.pt"), rows)


def torch_answer(model: Any, weights: Mapping[str, Any], rows: Rows) -> Answer:
    import torch

    model.load_state_dict(weights)
    with torch.inference_mode():
        return {"predictions": model.eval()(torch.tensor(rows, dtype=torch.float32)).tolist()}


def transformers_docs(rows: Rows) -> Answer:
    import transformers

    asked = transformers.pipeline("text-classification", model="docs", tokenizer="docs")
    return {"predictions": [each["label"] for each in asked(rows)]}


ANSWERS: Mapping[str, Callable[[Rows], Answer]] = {
    "boosted": boosted,
    "catboost_penguins": catboost_penguins,
    "keras_digits": keras_digits,
    "lightgbm_diabetes": lightgbm_diabetes,
    "mlflow_wine": mlflow_wine,
    "numeric": pipeline,
    "onnx_digits": onnx_digits,
    "penguins": pipeline,
    "python_class": python_class,
    "savedmodel_wine": savedmodel_wine,
    "text_topics": text_topics,
    "torch_diabetes": torch_diabetes,
    "torchserve_digits": torchserve_digits,
    "transformers_docs": transformers_docs,
}


def rounded(value: Any) -> Any:
    if isinstance(value, list):
        return [rounded(each) for each in value]
    return round(value, 6) if isinstance(value, float) else value


if __name__ == "__main__":
    sys.path.insert(0, ".")  # the example's own code
    answer = ANSWERS[sys.argv[1]](json.loads(Path("request.json").read_text())["instances"])
    print("{\n" + ",\n".join(f'  "{name}": {json.dumps(rounded(values))}' for name, values in answer.items()) + "\n}")
