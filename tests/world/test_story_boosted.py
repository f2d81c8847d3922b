"""XGBoost, LightGBM and CatBoost: their own files and their scikit-learn wrappers, with categories, holes and unknown words."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import uv
from story import PRELUDE, Story, posted, same

pytestmark = pytest.mark.world

# 442 real patients; the data ships in scikit-learn. Some are given a hole, and the coded sex becomes a word.
DATA = """\
import numpy as np
from sklearn.datasets import load_diabetes

frame, progress = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
frame["sex"] = frame["sex"].map({1.0: "first", 2.0: "second"})
frame.loc[::9, "bmi"] = np.nan
frame.to_csv("rows.csv", index=False)
typed = frame.astype({"sex": "category"})
worse = (progress > 140).astype(int)
named = np.where(progress > 140, "worse", "better")

def rows(table):
    return [[None if value != value else value for value in row] for row in table.astype(object).to_numpy().tolist()]

"""
XGBOOST = f"""\
{PRELUDE}
{DATA}
import xgboost

model = xgboost.XGBClassifier(n_estimators=20 * VERSION, max_depth=3, enable_categorical=True).fit(typed, worse)
model.save_model("grown.ubj")
few = typed.head(10)
asked(rows(frame.head(10)), model.predict(few), model.predict_proba(few))
"""
ALL = f"""\
{PRELUDE}
{DATA}
import catboost, joblib, lightgbm, pandas, xgboost

few = typed.head(12)
truth = {{}}

def told(name, model, table, words):
    truth[name] = {{"instances": rows(words), "predictions": plain(np.ravel(model.predict(table))),
                    "probabilities": plain(model.predict_proba(table)) if hasattr(model, "predict_proba") else None}}

xgb = xgboost.XGBClassifier(n_estimators=15, enable_categorical=True, early_stopping_rounds=2)
xgb.fit(typed, worse, eval_set=[(typed.head(90), 1 - worse.head(90))], verbose=False)
xgb.save_model("xgb.json")
joblib.dump(xgb, "xgb.joblib")
told("xgb", xgb, few, frame.head(12))
told("xgb-wrapped", xgb, few, frame.head(12))

lgb = lightgbm.LGBMClassifier(n_estimators=15, verbose=-1).fit(typed, named)
lgb.booster_.save_model("lgb.txt")
joblib.dump(lgb, "lgb.joblib", compress=3)

strange = pandas.concat([frame.head(6), frame.head(6).assign(sex="third")])
seen = strange.astype({{"sex": pandas.CategoricalDtype(["first", "second"])}})
told("lgb-wrapped", lgb, seen, strange)
truth["lgb"] = {{**truth["lgb-wrapped"], "predictions": [int(name == "worse") for name in truth["lgb-wrapped"]["predictions"]]}}

cat = catboost.CatBoostClassifier(iterations=15, verbose=0, allow_writing_files=False, cat_features=["sex"]).fit(frame, named)
cat.save_model("cat.cbm")
cat.save_model("cat.json", format="json")
joblib.dump(cat, "cat.joblib")
told("cat", cat, strange, strange)
truth["cat-json"] = truth["cat-wrapped"] = truth["cat"]

rank = lightgbm.LGBMRanker(n_estimators=5, verbose=-1).fit(typed, worse, group=[221, 221])
rank.booster_.save_model("rank.txt")
told("rank", rank, few, frame.head(12))
mass = catboost.CatBoostRegressor(iterations=5, verbose=0, allow_writing_files=False, loss_function="Poisson", cat_features=["sex"])
mass.fit(frame, progress).save_model("mass.cbm")
told("mass", mass, frame.head(12), frame.head(12))
many = xgboost.XGBClassifier(n_estimators=5, objective="multi:softmax").fit(frame.drop(columns="sex"), np.digitize(progress, [90, 160]))
many.save_model("many.ubj")
told("many", many, frame.drop(columns="sex").head(12), frame.drop(columns="sex").head(12))
with open("asked.json", "w") as file:
    json.dump(truth, file)
"""
FILES = {
    "xgb": "xgb.json",
    "xgb-wrapped": "xgb.joblib",
    "lgb": "lgb.txt",
    "lgb-wrapped": "lgb.joblib",
    "cat": "cat.cbm",
    "cat-json": "cat.json",
    "cat-wrapped": "cat.joblib",
    "rank": "rank.txt",
    "mass": "mass.cbm",
    "many": "many.ubj",
}
# loads, is asked, forks, and is asked in the copy; a lock that a lost thread holds would never end
FORKED = """\
import os, signal, sys
from pathlib import Path
import numpy
from mlship.server import manifest
from mlship.server.life.nursery import descriptors, unfit_to_fork
from mlship.server.runtimes import runtime_for

framework, kind, path = sys.argv[1:]
runtime = runtime_for(framework)
assert runtime.fork_safe
before = descriptors()
model = runtime.load(manifest.Model("m", framework, kind, path, ""), Path.cwd())
few = numpy.array([[59.0, "second", None, 101.0, 157.0, 93.2, 38.0, 4.0, 4.9, 87.0]] * 500, dtype=object)
first = model.predict(few)["predictions"]
assert not unfit_to_fork(before), unfit_to_fork(before)
child = os.fork()
if not child:
    signal.alarm(20)
    os._exit(0 if (model.predict(few)["predictions"] == first).all() else 1)
assert os.waitpid(child, 0)[1] == 0
"""


@pytest.fixture(scope="session")
def boosting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A laboratory with the three libraries; xgboost without its code for graphics cards."""
    folder = tmp_path_factory.mktemp("boosting") / "venv"
    tool = uv.find_uv_bin()
    packages = ("xgboost-cpu", "lightgbm", "catboost", "scikit-learn", "pandas")
    subprocess.run([tool, "venv", "-q", folder], check=True)
    subprocess.run([tool, "pip", "install", "-q", "--python", folder / "bin" / "python", *packages], check=True)
    return folder


@pytest.fixture
def project(boosting: Path, story_home: Path, tmp_path: Path) -> Story:
    folder = tmp_path / "shop"
    folder.mkdir()
    environ = {**os.environ, "VIRTUAL_ENV": str(boosting), "MLSHIP_HOME": str(story_home)}
    return Story(folder, boosting / "bin" / "python", environ)


def test_xgboost_with_categories_goes_the_whole_way(project: Story) -> None:
    project.write("train.py", XGBOOST)
    project.train()
    project.whole_way("--model", "grown.ubj", "--data", "rows.csv")
    (lock,) = json.loads((project.folder / "mlship.lock").read_text())["locks"]
    assert {wheel["name"] for wheel in lock["wheels"]} == {"numpy", "scipy", "xgboost-cpu"}


def test_files_and_wrappers_of_all_three_answer_as_their_libraries_do(project: Story) -> None:
    project.write("train.py", ALL)
    truths = project.train()
    proposed = project.mlship("init", "--model", "lgb.txt", "--data", "rows.csv", "--name", "grown", "--target", "local")
    assert proposed["model"]["inputs"] == "10 features (1 text, 10 nullable)"
    assert proposed["model"]["sample"] == 20
    sampled = "".join(f"  {name}: {{uri: {file}}}\n" for name, file in FILES.items() if name != "lgb")
    project.write("mlship.yaml", f"name: grown\nmodels:\n  lgb: {{uri: lgb.txt, sample: sample.json}}\n{sampled}")
    assert project.mlship("check")["ok"]
    image = project.mlship("build")["image"]
    (lock,) = json.loads((project.folder / "mlship.lock").read_text())["locks"]
    assert not {"pandas", "matplotlib", "plotly", "xgboost"} & {wheel["name"] for wheel in lock["wheels"]}
    try:
        endpoint = project.mlship("deploy", "--image", image["content"], "--yes")["endpoint"]
        for name, truth in truths.items():
            same(_asked(endpoint, name, truth["instances"]), truth, name)
        _refused(endpoint, truths)
    finally:
        project.mlship("destroy", "--yes")


def _asked(endpoint: str, name: str, rows: list[Any]) -> dict[str, Any]:
    status, answer = posted(endpoint, json.dumps({"instances": rows}).encode(), path=f"/predict/{name}")
    assert status == 200, (name, answer)
    return dict(answer)


def _refused(endpoint: str, truths: dict[str, Any]) -> None:
    """XGBoost fails on a category that it does not know, and CatBoost on one that is missing: both are told before."""
    row = list(truths["xgb"]["instances"][1])
    for name, word, expected in (
        (
            "xgb",
            "secnod",
            'expected one of \\"first\\", \\"second\\" or null, got the string \\"secnod\\"; did you mean \\"second\\"?',
        ),
        ("xgb-wrapped", "secnod", "did you mean"),
        ("cat", None, "expected a"),
    ):
        row[1] = word
        status, answer = posted(endpoint, json.dumps({"instances": [row]}).encode(), path=f"/predict/{name}")
        assert status == 422, (name, answer)
        assert expected.replace("\\", "") in answer["error"]["message"]


@pytest.mark.parametrize(
    ("framework", "kind", "path"),
    [("xgboost", "ubj", "grown.ubj"), ("lightgbm", "text", "grown.txt"), ("catboost", "cbm", "grown.cbm")],
)
def test_a_model_that_was_asked_is_asked_again_in_a_copy_of_the_process(
    project: Story, framework: str, kind: str, path: str
) -> None:
    grow = {
        "xgboost": "xgboost.XGBClassifier(enable_categorical=True).fit(typed, worse).save_model",
        "lightgbm": "lightgbm.LGBMClassifier(verbose=-1).fit(typed, worse).booster_.save_model",
        "catboost": "catboost.CatBoostClassifier(verbose=0, iterations=50, allow_writing_files=False, cat_features=['sex'])"
        ".fit(frame, worse).save_model",
    }
    project.write("train.py", f"{DATA}\nimport {framework}\n{grow[framework]}({path!r})\n")
    subprocess.run([project.python, "-W", "ignore", "train.py"], cwd=project.folder, check=True)
    asked = [project.python, project.write("forked.py", FORKED), framework, kind, path]
    root = str(Path(__file__).parents[2])
    subprocess.run(asked, cwd=project.folder, check=True, timeout=60, env={**os.environ, "PYTHONPATH": root})
