"""Makes the files beside it with the version of a library that is installed: python make.py xgboost|lightgbm|catboost.

Named `<library>-<version>-<kind>.<ending>`: `named` has two numbers and a category and two classes, `plain` three numbers
without names and three classes.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).parent
draw = np.random.default_rng(3)
frame = pd.DataFrame({"age": draw.normal(50, 9, 90).round(1), "dose": draw.integers(1, 9, 90).astype(float)})
frame["site"] = pd.Categorical(draw.choice(["left", "mid", "right"], 90))
sick = (frame["age"] + 9 * (frame["site"] == "mid") > 53).astype(int)
stage = pd.cut(frame["dose"], 3, labels=False).to_numpy()
numbers = draw.normal(size=(90, 3))


def xgboost(version, models):
    named = models.XGBClassifier(n_estimators=2, max_depth=2, enable_categorical=True, tree_method="hist").fit(frame, sick)
    plain = models.XGBClassifier(n_estimators=2, max_depth=2).fit(numbers, stage)
    for ending in ("json", "ubj"):
        named.save_model(HERE / f"xgboost-{version}-named.{ending}")
        plain.save_model(HERE / f"xgboost-{version}-plain.{ending}")


def lightgbm(version, models):
    named = models.LGBMClassifier(n_estimators=2, num_leaves=3, verbose=-1).fit(frame, sick)
    plain = models.LGBMClassifier(n_estimators=2, num_leaves=3, verbose=-1).fit(numbers, stage)
    named.booster_.save_model(str(HERE / f"lightgbm-{version}-named.txt"))
    plain.booster_.save_model(str(HERE / f"lightgbm-{version}-plain.txt"))


def catboost(version, models):
    told = {"iterations": 2, "depth": 2, "verbose": 0, "allow_writing_files": False, "border_count": 8}
    named = models.CatBoostClassifier(**told, cat_features=["site"]).fit(
        frame.astype({"site": str}), np.where(sick == 1, "yes", "no")
    )
    plain = models.CatBoostClassifier(**told).fit(numbers, stage)
    for model, kind in ((named, "named"), (plain, "plain")):
        model.save_model(str(HERE / f"catboost-{version}-{kind}.cbm"))
        model.save_model(str(HERE / f"catboost-{version}-{kind}.json"), format="json")


if __name__ == "__main__":
    library = __import__(sys.argv[1])
    {"xgboost": xgboost, "lightgbm": lightgbm, "catboost": catboost}[sys.argv[1]](library.__version__, library)
