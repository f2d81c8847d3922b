"""TensorFlow and Keras: a SavedModel by its signature and a .keras file in one image, with the answers of `model.predict`."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
import uv
from story import Story, posted

pytestmark = pytest.mark.world

# A network that learns whether four numbers add up to more than nothing; and one of two inputs with names.
MADE = """\
import json, os
os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="-1")
import keras, numpy as np

keras.utils.set_random_seed(3)
measured = np.random.default_rng(3).normal(size=(200, 4)).astype("float32")
kind = (measured.sum(axis=1) > 0).astype("int32")
flat = keras.Sequential([keras.Input((4,)), keras.layers.Normalization(), keras.layers.Dense(8, activation="relu"),
                         keras.layers.Dense(2, activation="softmax")])
flat.compile("adam", "sparse_categorical_crossentropy")
flat.fit(measured, kind, epochs=3, verbose=0)
flat.save("flat.keras")
flat.save("flat.h5")
left, right = keras.Input((3,), name="left"), keras.Input((1,), name="right")
both = keras.Model([left, right], {"sum": keras.layers.Dense(1)(keras.layers.Concatenate()([left, right])), "left": left})
both.export("both", verbose=False)
keras.Sequential([keras.Input((4,)), keras.layers.Lambda(lambda x: x * 2)]).save("odd.keras")
few = measured[:5]
told = both.predict([few[:, :3], few[:, 3:]], verbose=0)
json.dump({"flat": flat.predict(few, verbose=0).tolist(), "sum": told["sum"][:, 0].tolist(), "rows": few.tolist()},
          open("asked.json", "w"))
"""


def test_a_savedmodel_and_a_keras_file_answer_as_predict_does(tmp_path: Path, story_home: Path) -> None:
    tool, python = uv.find_uv_bin(), tmp_path / "venv" / "bin" / "python"
    subprocess.run([tool, "venv", "-q", tmp_path / "venv"], check=True)
    subprocess.run([tool, "pip", "install", "-q", "--python", python, "tensorflow-cpu>=2.20,<3"], check=True)
    environ = {**os.environ, "VIRTUAL_ENV": str(tmp_path / "venv"), "MLSHIP_HOME": str(story_home)}
    project = Story(tmp_path, python, environ)
    project.write("train.py", MADE)
    subprocess.run([python, "-W", "ignore", "train.py"], cwd=tmp_path, check=True, capture_output=True)
    truth = json.loads((tmp_path / "asked.json").read_text())
    assert "keras.layers.Lambda" in project.refused("init", "--model", "odd.keras")
    assert '.save("model.keras")' in project.refused("init", "--model", "flat.h5")
    parts = [{"left": row[:3], "right": row[3]} for row in truth["rows"]]
    project.write("flat.json", json.dumps({"instances": truth["rows"]}))
    project.write("both.json", json.dumps({"instances": parts}))
    models = "".join(
        f"  {name}: {{uri: {uri}, sample: {name}.json}}\n" for name, uri in (("flat", "flat.keras"), ("both", "both"))
    )
    project.write("mlship.yaml", f"name: tensors\nmodels:\n{models}serve: {{startup_timeout: 5m, request_timeout: 30s}}\n")
    content = project.mlship("build")["image"]["content"]
    try:
        endpoint = project.mlship("deploy", "--image", content, "--yes")["endpoint"]
        status, flat = posted(endpoint, json.dumps({"instances": truth["rows"]}).encode(), path="/predict/flat")
        assert status == 200, flat
        for told, known in zip(flat["predictions"], truth["flat"], strict=True):
            assert told == pytest.approx(known, rel=1e-4, abs=1e-6)
        status, both = posted(endpoint, json.dumps({"instances": parts}).encode(), path="/predict/both")
        assert status == 200, both
        assert both["sum"] == pytest.approx(truth["sum"], rel=1e-4, abs=1e-6)
        assert both["predictions"][0] == pytest.approx(truth["rows"][0][:3])
    finally:
        project.mlship("destroy", "--yes")
