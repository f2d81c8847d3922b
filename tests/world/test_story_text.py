"""A text model takes bare strings, whatever their script, and answers with its labels."""

from __future__ import annotations

import pytest
from story import PRELUDE, Story

pytestmark = pytest.mark.world

TRAIN = """\
import joblib
import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

texts = ["good film", 'very good, "great" film', "bad film", "awful, bad", "great fun", "boring and bad"] * 5
labels = ["pos", "pos", "neg", "neg", "pos", "neg"] * 5
model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), LogisticRegression(C=VERSION)).fit(texts, labels)
joblib.dump(model, "model.joblib")
pd.DataFrame({"text": texts, "label": labels}).to_csv("data.csv", index=False)
rows = ["good", 'bad "film"', "größe, 你好", ""]
asked(rows, model.predict(rows), model.predict_proba(rows))
"""


def test_a_text_model_goes_the_whole_way(story: Story) -> None:
    story.write("train.py", PRELUDE + TRAIN)
    story.whole_way("--model", "model.joblib", "--data", "data.csv", asks=("lists", "csv"))
