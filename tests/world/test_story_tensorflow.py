"""TensorFlow and Keras: a SavedModel by its signature, a .keras file, and an .h5 that MLflow saved, with the answers of `predict`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import uv
from golden import EXAMPLES, assert_golden, request
from priced import ASKED, assert_priced
from story import Story, posted

pytestmark = pytest.mark.world

# A network that learns whether four numbers add up to more than nothing; and one of two inputs with names.
MADE = """\
import json, os
os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="-1")
import h5py, keras, mlflow, numpy as np, tensorflow
from mlflow.models import infer_signature

keras.utils.set_random_seed(3)
measured = np.random.default_rng(3).normal(size=(200, 4)).astype("float32")
kind = (measured.sum(axis=1) > 0).astype("int32")
flat = keras.Sequential([keras.Input((4,)), keras.layers.Normalization(), keras.layers.Dense(8, activation="relu"),
                         keras.layers.Dense(2, activation="softmax")])
flat.compile("adam", "sparse_categorical_crossentropy")
flat.fit(measured, kind, epochs=3, verbose=0)
left, right = keras.Input((3,), name="left"), keras.Input((1,), name="right")
both = keras.Model([left, right], {"sum": keras.layers.Dense(1)(keras.layers.Concatenate()([left, right])), "left": left})
both.export("both", verbose=False)
odd = keras.Sequential([keras.Input((4,)), keras.layers.Lambda(lambda x: x * 2)])
odd.save("odd.keras")
odd.save("odd.h5")
flat.save_weights("only.weights.h5")
for name in ("round.h5", "linked.h5"):
    flat.save(name)
with h5py.File("round.h5", "a") as file:
    file["model_weights"]["again"] = file["model_weights"]
with h5py.File("linked.h5", "a") as file:
    file["model_weights"]["else"] = h5py.ExternalLink("/etc/other.h5", "/x")
few = measured[:5]
mlflow.tensorflow.save_model(
    flat, "logged", input_example=few, signature=infer_signature(few, flat.predict(few, verbose=0)),
    keras_model_kwargs={"save_format": "h5"}, pip_requirements=[f"tensorflow-cpu=={tensorflow.__version__}"],
)
told = both.predict([few[:, :3], few[:, 3:]], verbose=0)
json.dump({"flat": flat.predict(few, verbose=0).tolist(), "sum": told["sum"][:, 0].tolist(), "rows": few.tolist()},
          open("asked.json", "w"))
"""


# what the server says of each file before keras opens it
LOOKED = """\
import json
from pathlib import Path
from mlship.server.runtimes.base import LoadError
from mlship.server.runtimes.keras_h5 import refuse_strange

said = {}
for path in Path.cwd().glob("*.h5"):
    try:
        said[path.name] = refuse_strange(path)
    except LoadError as error:
        said[path.name] = str(error)
print(json.dumps(said))
"""
# a worker that was given a GPU, with a build for CPUs: it would go on without a word
WITHOUT_CUDA = """\
import os
os.environ["MLSHIP_GPU"] = "NVIDIA L4"
from pathlib import Path
from mlship.server import manifest
from mlship.server.runtimes import runtime_for
from mlship.server.runtimes.base import LoadError

try:
    runtime_for("tensorflow").load(manifest.Model("m", "tensorflow", "saved-model", "savedmodel_wine/wine", ""), Path.cwd())
except LoadError as error:
    print(error)
"""
ROOT = Path(__file__).parents[2]
SHOWN = ("keras_digits", "savedmodel_wine")
MODELS = """\
name: tensors
models:
  flat: {uri: logged}
  both: {uri: both, sample: both.json}
  keras-digits: {uri: keras_digits/digits.keras, sample: keras_digits/sample.json}
  savedmodel-wine: {uri: savedmodel_wine/wine, sample: savedmodel_wine/sample.json}
serve: {startup_timeout: 5m, request_timeout: 30s}
"""


def test_a_savedmodel_and_keras_files_answer_as_predict_does(tmp_path: Path, own_home: Path) -> None:
    tool, python = uv.find_uv_bin(), tmp_path / "venv" / "bin" / "python"
    packages = ("tensorflow-cpu>=2.20,<3", "mlflow-skinny>=3.17,<4", "pandas", "scikit-learn")
    subprocess.run([tool, "venv", "-q", tmp_path / "venv"], check=True)
    subprocess.run([tool, "pip", "install", "-q", "--python", python, *packages], check=True)
    environ = {**os.environ, "VIRTUAL_ENV": str(tmp_path / "venv"), "MLSHIP_HOME": str(own_home)}
    project = Story(tmp_path, python, environ)
    project.write("train.py", MADE)
    for name in SHOWN:
        shutil.copytree(EXAMPLES / name, tmp_path / name, ignore=shutil.ignore_patterns(".venv", "__pycache__"))
    for folder in (tmp_path, *(tmp_path / name for name in SHOWN)):
        alone = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
        subprocess.run([python, "-W", "ignore", "train.py"], cwd=folder, env=alone, check=True, capture_output=True)
    truth = json.loads((tmp_path / "asked.json").read_text())
    assert "keras.layers.Lambda" in project.refused("init", "--model", "odd.keras")
    assert "odd.h5 has Lambda" in project.refused("init", "--model", "odd.h5", exit=5)
    _looks_before_it_opens(python, tmp_path)
    parts = [{"left": row[:3], "right": row[3]} for row in truth["rows"]]
    project.write("both.json", json.dumps({"instances": parts}))
    project.write("mlship.yaml", MODELS)
    project.mlship("check", "-C", "savedmodel_wine")
    content = project.mlship("build")["image"]["content"]
    assert_priced(project.mlship(*ASKED))
    try:
        endpoint = project.mlship("deploy", "--image", content, "--yes")["endpoint"]
        flat = _answer(endpoint, "flat", {"instances": truth["rows"]})
        for told, known in zip(flat["predictions"], truth["flat"], strict=True):
            assert told == pytest.approx(known, rel=1e-4, abs=1e-6)
        both = _answer(endpoint, "both", {"instances": parts})
        assert both["sum"] == pytest.approx(truth["sum"], rel=1e-4, abs=1e-6)
        assert both["predictions"][0] == pytest.approx(truth["rows"][0][:3])
        for name in SHOWN:
            assert_golden(name, _answer(endpoint, name.replace("_", "-"), json.loads(request(name))))
    finally:
        project.mlship("destroy", "--yes")


def _looks_before_it_opens(python: Path, folder: Path) -> None:
    alone = {**os.environ, "PYTHONPATH": str(ROOT)}

    def told(program: str) -> str:
        asked = [str(python), "-c", program]
        return subprocess.run(asked, cwd=folder, env=alone, check=True, stdout=subprocess.PIPE, text=True).stdout

    assert "cannot use the GPU" in told(WITHOUT_CUDA)
    said = json.loads(told(LOOKED))
    assert said.keys() == {"odd.h5", "only.weights.h5", "round.h5", "linked.h5"}
    assert said["round.h5"] is None
    assert "odd.h5 has Lambda" in said["odd.h5"]
    assert "weights without the model" in said["only.weights.h5"] and 'model.save("only.keras")' in said["only.weights.h5"]
    assert "refers to another file at /model_weights/else" in said["linked.h5"]


def _answer(endpoint: str, name: str, body: dict[str, Any]) -> dict[str, Any]:
    status, answer = posted(endpoint, json.dumps(body).encode(), path=f"/predict/{name}")
    assert status == 200, answer
    return answer
