"""The commonest real pipeline: a frame with words and holes, own steps in a module beside the notebook."""

from __future__ import annotations

import json

import pytest
from story import PRELUDE, Story, posted

pytestmark = pytest.mark.world

FEATURES = """\
from sklearn.base import BaseEstimator, TransformerMixin


class Ratio(TransformerMixin, BaseEstimator):
    def fit(self, frame, target=None):
        return self

    def transform(self, frame):
        return frame.assign(ratio=frame["age"].fillna(0) / frame["income"])

    def get_feature_names_out(self, names=None):
        return [*names, "ratio"]


def lower(frame):
    return frame.assign(city=frame["city"].str.lower())
"""

TRAIN = """\
import joblib
import numpy as np
import pandas as pd
from features import Ratio, lower
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, KBinsDiscretizer, OneHotEncoder, OrdinalEncoder, StandardScaler

draw = np.random.default_rng(0)
count = 300
frame = pd.DataFrame({
    "age": draw.integers(18, 90, count).astype(float),
    "income": draw.normal(3e4, 3e3, count),
    "city": draw.choice(["rome", "oslo", "bonn"], count),
    "size": draw.choice(["s", "m", "l"], count),
    "plan": draw.choice(["free", "pro"], count),
})
frame.loc[::7, "age"] = np.nan
frame.loc[::11, "city"] = None
bought = np.where(frame["income"] > 3e4, "yes", "no")
columns = make_column_transformer(
    (make_pipeline(SimpleImputer(), KBinsDiscretizer(3, encode="onehot-dense")), ["age"]),
    (make_pipeline(FunctionTransformer(np.log1p), StandardScaler()), ["income", "ratio"]),
    (make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")), ["city"]),
    (OrdinalEncoder(categories=[["s", "m", "l"]]), ["size"]),
    (OneHotEncoder(handle_unknown="error"), ["plan"]),
)
model = make_pipeline(Ratio(), FunctionTransformer(lower), columns, LogisticRegression(C=1 / VERSION, max_iter=1000))
model.fit(frame, bought)
joblib.dump(model, "model.joblib")
frame.assign(bought=bought).to_csv("data.csv", index=False)
part = frame.iloc[[1, 2, 3, 7, 11, 22]]
rows = [[None if pd.isna(value) else value for value in row] for row in part.values.tolist()]
asked(rows, model.predict(part), model.predict_proba(part))
"""


def test_a_frame_with_own_steps_goes_the_whole_way(story: Story) -> None:
    story.write("features.py", FEATURES)
    story.write("train.py", PRELUDE + TRAIN)
    story.whole_way("--model", "model.joblib", "--data", "data.csv")


def test_its_own_environment_serves_it_and_names_what_is_wrong(story: Story) -> None:
    story.write("features.py", FEATURES)
    story.write("train.py", PRELUDE + TRAIN)
    truth = story.train()
    story.mlship("init", "--model", "model.joblib", "--data", "data.csv", "--target", "local")
    with story.running("--source") as endpoint:
        story.ask_all(endpoint, truth, ("lists", "objects", "csv"))
        row = {"age": 30, "income": 30000, "city": "atlantis", "size": "m", "plan": "pro"}
        assert _asked(endpoint, row)[0] == 200  # the encoder ignores what it does not know
        for wrong, words in (
            ({"plan": "gold"}, 'feature \\"plan\\": expected one of'),
            ({"size": "xl"}, 'feature \\"size\\": expected one of'),
            ({"plan": None}, "got null"),
            ({"age": "30"}, "remove the quotes"),
            ({"agee": 3}, "agee"),
        ):
            status, answer = _asked(endpoint, {**row, **wrong})
            assert status == 422 and words in json.dumps(answer), (wrong, answer)


def _asked(endpoint: str, row: dict[str, object]) -> tuple[int, object]:
    return posted(endpoint, json.dumps({"instances": [row]}).encode())
