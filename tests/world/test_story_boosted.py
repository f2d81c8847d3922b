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
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
plainly = frame.drop(columns="sex")
piped = make_pipeline(SimpleImputer(), xgboost.XGBClassifier(n_estimators=5)).fit(plainly, worse)
joblib.dump(piped, "piped.joblib")
told("piped", piped, plainly.head(12), plainly.head(12))
with open("asked.json", "w") as file:
    json.dump(truth, file)
"""
FILES = {
    "xgb": ("xgboost", "json", "xgb.json"),
    "xgb-wrapped": ("sklearn", "joblib", "xgb.joblib"),
    "lgb": ("lightgbm", "text", "lgb.txt"),
    "lgb-wrapped": ("sklearn", "joblib", "lgb.joblib"),
    "cat": ("catboost", "cbm", "cat.cbm"),
    "cat-json": ("catboost", "json", "cat.json"),
    "cat-wrapped": ("sklearn", "joblib", "cat.joblib"),
    "rank": ("lightgbm", "text", "rank.txt"),
    "mass": ("catboost", "cbm", "mass.cbm"),
    "many": ("xgboost", "ubj", "many.ubj"),
    "piped": ("sklearn", "joblib", "piped.joblib"),
}
SERVED = ("lgb", "xgb-wrapped", "cat")
# what the server does with each file, in one process: it loads, learns the signature, answers, and is compared by the story
ANSWERED = """\
import json, sys
from dataclasses import replace
from pathlib import Path
from mlship.server import manifest
from mlship.server.opened_model import OpenedModel

answers = {}
for name, (framework, kind, path) in json.loads(sys.argv[1]).items():
    entry = manifest.Model(name, framework, kind, path, "")
    opened = OpenedModel(entry, Path.cwd(), Path.cwd())
    rows = json.loads(Path("asked.json").read_text())[name]["instances"]
    served = opened.served(replace(entry, signature=opened.loaded.signature(tuple(rows))))
    answers[name] = served.answer(rows)
print(json.dumps(answers))
"""
# what the locked-down process says of each file's graph
GRAPHED = """\
import json, sys
from pathlib import Path
from mlship.server import manifest
from mlship.server.compiling.report import compile_model

told = {}
for name, (framework, kind, path) in json.loads(sys.argv[1]).items():
    entry = manifest.Model(name, framework, kind, path, "")
    document = manifest.to_json(manifest.Manifest(project="grown", models=(entry,))).decode()
    rows = json.loads(Path("asked.json").read_text())[name]["instances"]
    told[name] = compile_model({"manifest": document, "root": ".", "sample": rows, "graph": True, "writable": "."})
print(json.dumps(told))
"""
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
# a worker that was given a GPU, with builds for CPUs: they would go on without a word
WITHOUT_CUDA = """\
import json, os
os.environ["MLSHIP_GPU"] = "NVIDIA L4"
from pathlib import Path
from mlship.server import manifest
from mlship.server.compiling import graph_bytes
from mlship.server.runtimes import runtime_for
from mlship.server.runtimes.base import LoadError

ends = [graph_bytes.value(name, "float32", "N", 2) for name in ("rows", "scores")]
Path("same.onnx").write_bytes(graph_bytes.model([graph_bytes.node("Identity", ["rows"], "scores")], *ends))
said = {}
for framework, kind, path in (("onnx", "onnx", "same.onnx"), ("xgboost", "json", "xgb.json")):
    try:
        runtime_for(framework).load(manifest.Model("m", framework, kind, path, ""), Path.cwd())
    except LoadError as error:
        said[framework] = str(error)
print(json.dumps(said))
"""
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def boosting(own_folder: Path) -> Path:
    """A laboratory with the three libraries and what serves their graphs; xgboost without its code for graphics cards."""
    folder = own_folder / "venv"
    tool = uv.find_uv_bin()
    packages = (
        "xgboost-cpu",
        "lightgbm",
        "catboost",
        "scikit-learn",
        "pandas",
        "onnxruntime",
        "orjson",
    )  # the last for the server
    subprocess.run([tool, "venv", "-q", folder], check=True)
    subprocess.run([tool, "pip", "install", "-q", "--python", folder / "bin" / "python", *packages], check=True)
    return folder


@pytest.fixture(scope="module")
def grown(boosting: Path, own_home: Path, own_folder: Path) -> Story:
    """A project with all files of FILES, and what the libraries themselves answer in asked.json."""
    folder = own_folder / "grown"
    folder.mkdir()
    made = _story(boosting, own_home, folder)
    made.write("train.py", ALL)
    made.train()
    return made


def _story(boosting: Path, own_home: Path, folder: Path) -> Story:
    environ = {**os.environ, "VIRTUAL_ENV": str(boosting), "MLSHIP_HOME": str(own_home)}
    return Story(folder, boosting / "bin" / "python", environ)


def test_xgboost_with_categories_goes_the_whole_way(boosting: Path, own_home: Path, tmp_path: Path) -> None:
    project = _story(boosting, own_home, tmp_path)
    project.write("train.py", XGBOOST)
    project.train()
    project.whole_way("--model", "grown.ubj", "--data", "rows.csv")
    (lock,) = json.loads((project.folder / "mlship.lock").read_text())["locks"]
    wheels = {wheel["name"] for wheel in lock["wheels"]}
    assert {"numpy", "onnxruntime"} <= wheels and not {"scipy", "xgboost-cpu"} & wheels
    engine = project.mlship("check")["models"][0]["engine"]
    assert engine["name"] == "onnx" and engine["rows"] > 300


def test_three_libraries_in_one_image_answer_as_in_the_laboratory(grown: Story) -> None:
    truths = json.loads((grown.folder / "asked.json").read_text())
    made_up = grown.mlship("init", "--model", "lgb.txt", "--target", "local")
    assert made_up["models"][0]["sample"] == 6 and made_up["findings"][0]["code"] == "made-up"
    proposed = grown.mlship("init", "--model", "lgb.txt", "--data", "rows.csv", "--force", "--target", "local")
    (model,) = proposed["models"]
    assert (model["inputs"], model["sample"]) == ("10 features (1 text, 10 nullable)", 20)
    several = "".join(f"  {name}: {{uri: {FILES[name][2]}, sample: sample.json}}\n" for name in SERVED)
    grown.write("mlship.yaml", f"name: grown\nmodels:\n{several}")
    content = grown.mlship("build")["image"]["content"]
    (lock,) = json.loads((grown.folder / "mlship.lock").read_text())["locks"]
    assert not {"matplotlib", "plotly", "xgboost"} & {wheel["name"] for wheel in lock["wheels"]}
    try:
        endpoint = grown.mlship("deploy", "--image", content, "--yes")["endpoint"]
        for name in SERVED:
            status, answer = _asked(endpoint, name, truths[name]["instances"])
            assert status == 200, (name, answer)
            same(answer, truths[name], name)
        _refused(endpoint, truths["xgb"]["instances"][1])
    finally:
        grown.mlship("destroy", "--yes")


def _asked(endpoint: str, name: str, rows: list[Any]) -> tuple[int, Any]:
    return posted(endpoint, json.dumps({"instances": rows}).encode(), path=f"/predict/{name}")


def _refused(endpoint: str, row: list[Any]) -> None:
    """XGBoost fails on a category that it does not know, and CatBoost on one that is missing: both are told before."""
    for name, word, expected in (
        ("xgb-wrapped", "secnod", 'expected one of "first", "second" or null, got the string "secnod"; did you mean "second"?'),
        ("cat", None, "expected a string, got null"),
    ):
        status, answer = _asked(endpoint, name, [[row[0], word, *row[2:]]])
        assert status == 422, (name, answer)
        assert expected in answer["error"]["message"]


def test_every_file_and_wrapper_answers_as_its_library_does(grown: Story) -> None:
    truths = json.loads((grown.folder / "asked.json").read_text())
    answers = json.loads(_run(grown, ANSWERED, json.dumps(FILES)))
    for name, truth in truths.items():
        same(answers[name], truth, name)


def test_every_file_and_wrapper_but_those_of_catboost_answers_alike_from_a_graph(grown: Story) -> None:
    told = json.loads(_run(grown, GRAPHED, json.dumps(FILES)))
    without = {name for name, found in told.items() if not found["engine"]}
    assert without == {"cat", "cat-json", "cat-wrapped", "mass"}
    assert {name: found["reason"] for name, found in told.items() if name not in without} == dict.fromkeys(
        set(FILES) - without, ""
    )
    assert all(found["rows"] > 100 for name, found in told.items() if name not in without)


@pytest.mark.parametrize("name", ["xgb", "lgb", "cat"])
def test_a_model_that_was_asked_is_asked_again_in_a_copy_of_the_process(grown: Story, name: str) -> None:
    _run(grown, FORKED, *FILES[name])


def test_with_a_gpu_that_a_library_cannot_use_no_model_loads(grown: Story) -> None:
    said = json.loads(_run(grown, WITHOUT_CUDA).splitlines()[-1])
    assert said.keys() == {"onnx", "xgboost"}
    assert all("cannot compute on the GPU" in words for words in said.values()), said


def _run(story: Story, program: str, *words: str) -> str:
    """A program in the laboratory, with the server's half of mlship on its path."""
    asked = [story.python, "-W", "ignore", "-c", program, *words]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        asked, cwd=story.folder, check=True, timeout=60, env=environ, stdout=subprocess.PIPE, text=True
    ).stdout
