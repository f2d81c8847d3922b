"""A model of text: what is a function of Python's library about, by what its documentation says? The texts ship with Python.

    python -m venv .venv && .venv/bin/pip install -r requirements.txt
    .venv/bin/python train.py

Writes topics.joblib: TF-IDF over words and pairs of words, and a linear model. It takes bare strings.
"""

import inspect
import math
import os
import socket
import statistics

import joblib
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

TOPICS = {"numbers": (math, statistics), "files": (os, os.path), "network": (socket, socket.socket)}

texts, topics = [], []
for topic, places in TOPICS.items():
    found = {
        inspect.getdoc(each) or ""
        for place in places
        for name, each in vars(place).items()
        if name[0] != "_" and callable(each)
    }
    texts += sorted(text for text in found if len(text) > 40)
    topics += [topic] * (len(texts) - len(topics))
model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), LogisticRegression(C=20, class_weight="balanced"))
right = cross_val_score(model, texts, topics).mean()
joblib.dump(model.fit(texts, topics), "topics.joblib")
print(f"topics.joblib: {right:.2f} of {len(texts)} texts right when they were left out of training")
