"""A forest of 43 MB on the handwritten digits that scikit-learn ships: `python train.py SEED FILE`."""

import sys

import joblib
from digits.features import Shares
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline

seed, path = int(sys.argv[1]), sys.argv[2]
rows, truth = load_digits(return_X_y=True)
model = make_pipeline(Shares(), RandomForestClassifier(735, random_state=seed, n_jobs=2)).fit(rows, truth)
model[-1].n_jobs = 1
joblib.dump(model, path)
