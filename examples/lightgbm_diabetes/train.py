"""LightGBM's own file: how far will diabetes have gone in a year? 442 real patients; the data ships in scikit-learn.

    python -m venv .venv && .venv/bin/pip install -r requirements.txt
    .venv/bin/python train.py

Writes progress.txt (the words of the category stand in it) and data.csv (the patients without the answer).
"""

import lightgbm
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split

patients, progress = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
patients["sex"] = patients["sex"].map({1.0: "first", 2.0: "second"})  # the data do not say which is which
inputs = patients.astype({"sex": "category"})
train, test, train_progress, test_progress = train_test_split(inputs, progress, random_state=7)
model = lightgbm.LGBMRegressor(
    n_estimators=80, num_leaves=7, learning_rate=0.05, random_state=7, deterministic=True, force_row_wise=True, verbose=-1
).fit(train, train_progress)

model.booster_.save_model("progress.txt")
patients.to_csv("data.csv", index=False)
error = abs(model.predict(test) - test_progress).mean()
print(f"progress.txt: off by {error:.0f} on average, of {test_progress.std():.0f} that patients differ")
