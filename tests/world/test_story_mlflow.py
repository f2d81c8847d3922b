"""MLflow's users: a folder that log_model wrote goes the whole way with two lines; code in a folder runs when the file says so."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
import uv
from story import PRELUDE, Story, posted

from mlship import __version__

pytestmark = pytest.mark.world

# 178 real wines; the data ships in scikit-learn. A word and a hole are put in, as real tables have them.
WINE = f"""\
{PRELUDE}
import pathlib, shutil
import mlflow, numpy as np, sklearn, skops
from mlflow.models import infer_signature
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_wine
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

frame, kind = load_wine(return_X_y=True, as_frame=True)
frame["place"] = np.where(frame["hue"] > 0.96, "hill", "valley")
frame.loc[::9, "ash"] = np.nan
pins = [f"{{name}}=={{module.__version__}}" for name, module in (("scikit-learn", sklearn), ("skops", skops), ("numpy", np))]
pins += [f"mlflow=={{mlflow.__version__}}", f"pandas=={{mlflow.pyfunc.pandas.__version__}}"]
shutil.rmtree("wine", ignore_errors=True)
model = make_pipeline(
    make_column_transformer((OneHotEncoder(), ["place"]), remainder="passthrough"),
    HistGradientBoostingClassifier(max_iter=5 * VERSION),
).fit(frame, kind)
trees = "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"
few = frame.iloc[[0, 9, 60, 99, 150]]
mlflow.sklearn.save_model(
    model, "wine", input_example=few, signature=infer_signature(frame, kind), pip_requirements=pins,
    skops_trusted_types=[trees],
)
rows = [[None if value != value else value for value in row] for row in few.astype(object).to_numpy().tolist()]
asked(rows, model.predict(few), model.predict_proba(few))
"""
# saved in the form that MLflow had before 3.17 and still has on some platforms, asked for probabilities, with a wrong signature
OTHERS = """
frame = frame.drop(columns=["place", "ash"])
plain_model = LogisticRegression(max_iter=3000).fit(frame, kind)
mlflow.sklearn.save_model(plain_model, "pickled", serialization_format="cloudpickle", pyfunc_predict_fn="predict_proba",
                          input_example=frame.head(2), signature=infer_signature(frame, kind), pip_requirements=pins)
mlflow.sklearn.save_model(plain_model, "mistaken", serialization_format="pickle", pip_requirements=pins,
                          signature=infer_signature(frame.rename(columns={"hue": "tint"}), kind))
pathlib.Path("total.py").write_text('''
import mlflow

class Total(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input.sum(axis=1)

mlflow.models.set_model(Total())
''')
mlflow.pyfunc.save_model("total", python_model="total.py", input_example=frame.head(2),
                         signature=infer_signature(frame, frame.sum(axis=1)), pip_requirements=pins)
"""

# MLflow's own client, as it asks `mlflow models serve`
CLIENT = """\
import json, pathlib, sys, urllib.parse
import pandas
from mlflow.pyfunc.scoring_server.client import ScoringServerClient

place = urllib.parse.urlsplit(sys.argv[1])
client = ScoringServerClient(place.hostname, place.port)
client.ping()
rows = json.loads(pathlib.Path("total/serving_input_example.json").read_text())["dataframe_split"]
print(json.dumps([client.get_version(), client.invoke(pandas.DataFrame(**rows))["predictions"]]))
"""


@pytest.fixture(scope="module")
def tracking(own_folder: Path) -> Path:
    """A laboratory that logs its models."""
    folder = own_folder / "venv"
    tool = uv.find_uv_bin()
    packages = ("mlflow-skinny>=3.17,<4", "scikit-learn", "pandas", "skops")
    subprocess.run([tool, "venv", "-q", folder], check=True)
    subprocess.run([tool, "pip", "install", "-q", "--python", folder / "bin" / "python", *packages], check=True)
    return folder


@pytest.fixture
def project(tracking: Path, story_home: Path, tmp_path: Path) -> Story:
    environ = {**os.environ, "VIRTUAL_ENV": str(tracking), "MLSHIP_HOME": str(story_home), "MLFLOW_DISABLE_TELEMETRY": "true"}
    return Story(tmp_path, tracking / "bin" / "python", environ)


def test_a_logged_pipeline_goes_the_whole_way_with_two_lines(project: Story) -> None:
    project.write("train.py", WINE)
    project.train()
    (model,) = project.mlship("init", "--model", "wine", "--target", "local")["models"]
    assert (model["framework"], model["sample"]) == ("sklearn", 5)
    assert (project.folder / "mlship.yaml").read_text() == "name: wine\nmodel: wine\n"
    (project.folder / "mlship.yaml").unlink()
    project.whole_way("--model", "wine")
    (lock,) = json.loads((project.folder / "mlship.lock").read_text())["locks"]
    wheels = {wheel["name"] for wheel in lock["wheels"]}
    assert {"scikit-learn", "skops", "pandas"} <= wheels and not any(name.startswith("mlflow") for name in wheels)


def test_without_the_environment_the_folders_own_requirements_are_locked(project: Story) -> None:
    project.write("train.py", WINE + OTHERS)
    project.train()
    alone = {name: value for name, value in project.environ.items() if name != "VIRTUAL_ENV"}
    elsewhere = Story(project.folder, project.python, alone)
    elsewhere.write("mlship.yaml", "name: wine\nmodel: pickled\n")
    elsewhere.mlship("build")
    (lock,) = json.loads((elsewhere.folder / "mlship.lock").read_text())["locks"]
    assert lock["asked"]["source"] == "requirements.txt"
    wheels = {wheel["name"] for wheel in lock["wheels"]}
    assert {"scikit-learn", "numpy"} <= wheels and not {"mlflow", "mlflow-skinny", "pandas", "skops"} & wheels
    elsewhere.write("mlship.yaml", "name: wine\nmodel: mistaken\n")
    said = elsewhere.refused("build", exit=5)
    assert "hue" in said and "which its signature does not have" in said
    elsewhere.write("mlship.yaml", "name: wine\nmodel: total\n")
    said = elsewhere.refused("build")
    assert "runs code of its own" in said and "write framework: mlflow" in said
    elsewhere.write(
        "mlship.yaml", "name: total\nmodel: {uri: total, framework: mlflow}\nserve: {protocols: [native, mlflow]}\n"
    )
    content = elsewhere.mlship("build")["image"]["content"]
    try:
        endpoint = elsewhere.mlship("deploy", "--image", content, "--yes")["endpoint"]
        rows = json.loads((elsewhere.folder / "total" / "serving_input_example.json").read_text())
        status, answer = posted(endpoint, json.dumps(rows).encode(), path="/invocations")
        totals = [sum(row) for row in rows["dataframe_split"]["data"]]
        assert status == 200 and answer["predictions"] == pytest.approx(totals)
        command = [elsewhere.python, "-c", CLIENT, endpoint]
        told = subprocess.run(command, cwd=elsewhere.folder, env=alone, capture_output=True, text=True, check=True)
        assert json.loads(told.stdout) == [__version__, pytest.approx(totals)]
    finally:
        elsewhere.mlship("destroy", "--yes")
