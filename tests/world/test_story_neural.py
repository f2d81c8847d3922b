"""ONNX and PyTorch, each form in one image: trained elsewhere, and the answers are the library's own."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import uv
from golden import EXAMPLES, assert_golden, request
from priced import ASKED, assert_priced
from story import PRELUDE, Story, fetched, posted, same

from mlship.image.packages.indexes import find_indexes

pytestmark = pytest.mark.world
PACKAGES = (
    "torch==2.13.0", "torch-model-archiver>=0.12,<1", "onnxruntime", "skl2onnx", "safetensors", "scikit-learn", "pandas",
    "mlflow-skinny>=3.17,<4",
)  # fmt: skip

# Real images of 8 x 8 pixels and real patients; both ship with scikit-learn.
GRAPHS = f"""\
{PRELUDE}
import os
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
from pathlib import Path
import numpy as np, onnx, onnxruntime, pandas as pd
from onnx import TensorProto as T, helper, numpy_helper
from skl2onnx import convert_sklearn, to_onnx
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_diabetes, load_digits
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

truth = {{}}

def told(name, file, fed, rows, *names):
    answers = onnxruntime.InferenceSession(file).run(None, fed)
    answers = [[list(row.values()) for row in each] if isinstance(each, list) else each for each in answers]
    truth[name] = {{"instances": plain(rows), **{{key: plain(each) for key, each in zip(names, answers)}}}}

pixels, digits = load_digits(return_X_y=True)
pixels = pixels.astype("float32")
model = make_pipeline(StandardScaler(), LogisticRegression(C=1 / VERSION, max_iter=500)).fit(pixels, digits)
Path("digits.onnx").write_bytes(to_onnx(model, pixels[:1]).SerializeToString())
pd.DataFrame(pixels[:40]).to_csv("rows.csv", index=False)
few = pixels[5:17]
told("digits", "digits.onnx", {{"X": few}}, few, "predictions", "probabilities")

frame, progress = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
people = frame[["bmi", "age", "sex"]].astype({{"bmi": "float32", "age": "int64"}})
people["sex"] = people["sex"].map({{1.0: "first", 2.0: "second"}})
columns = make_column_transformer((StandardScaler(), ["bmi", "age"]), (OneHotEncoder(handle_unknown="ignore"), ["sex"]))
types = [("bmi", FloatTensorType([None, 1])), ("age", Int64TensorType([None, 1])), ("sex", StringTensorType([None, 1]))]
graph = convert_sklearn(make_pipeline(columns, Ridge()).fit(people, progress), initial_types=types)
Path("people.onnx").write_bytes(graph.SerializeToString())
some = people.head(6)
values = json.loads(some.to_json(orient="values", double_precision=15))
told("people", "people.onnx", {{name: some[[name]].to_numpy() for name in some}}, values, "predictions")

Path("seen").mkdir(exist_ok=True)
rng = np.random.default_rng(7)
weights = {{"kernel": rng.normal(size=(4, 1, 3, 3)), "heads": rng.normal(size=(4, 10))}}
nodes = [helper.make_node("Conv", ["image", "kernel"], ["a"]), helper.make_node("Relu", ["a"], ["b"]),
         helper.make_node("GlobalAveragePool", ["b"], ["c"]), helper.make_node("Flatten", ["c"], ["pooled"]),
         helper.make_node("MatMul", ["pooled", "heads"], ["scores"])]
graph = helper.make_graph(nodes, "seen", [helper.make_tensor_value_info("image", T.FLOAT, ["rows", 1, 8, 8])],
    [helper.make_tensor_value_info("scores", T.FLOAT, ["rows", 10]), helper.make_tensor_value_info("pooled", T.FLOAT, ["rows", 4])],
    [numpy_helper.from_array(value.astype("float32"), name) for name, value in weights.items()])
whole = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
onnx.save(whole, "seen/seen.onnx", save_as_external_data=True, location="seen.onnx.data", size_threshold=0)
images = few[:5].reshape(5, 1, 8, 8)
told("seen", "seen/seen.onnx", {{"image": images}}, images, "predictions", "pooled")
Path("asked.json").write_text(json.dumps(truth))
"""
THREE = """\
name: graphs
models:
  digits: {uri: digits.onnx, sample: sample.json}
  people: {uri: people.onnx}
  seen: {uri: seen}
"""
# A real network of convolutions, its graph written by hand: weights of torch, no exporter that would have to be installed.
CONVOLVED = f"""\
{PRELUDE}
from pathlib import Path
import onnx, torch
from onnx import TensorProto as T, helper, numpy_helper
from skl2onnx import to_onnx
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier

pixels, digits = load_digits(return_X_y=True)
pixels = (pixels / 16).astype("float32").reshape(-1, 1, 8, 8)
known, rest = slice(0, 1347), slice(1347, None)
torch.manual_seed(VERSION)
net = torch.nn.Sequential(
    torch.nn.Conv2d(1, 16, 3, padding=1), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
    torch.nn.Conv2d(16, 64, 3, padding=1), torch.nn.ReLU(), torch.nn.Flatten(),
    torch.nn.Linear(64 * 16, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10))
images, answers = torch.from_numpy(pixels[known]), torch.from_numpy(digits[known])
optimizer = torch.optim.Adam(net.parameters(), 0.005)
for _ in range(40):
    optimizer.zero_grad()
    torch.nn.functional.cross_entropy(net(images), answers).backward()
    optimizer.step()
weights = {{f"{{at}}.{{name}}": each.detach().numpy() for at, layer in enumerate(net) for name, each in layer.named_parameters()}}
node = helper.make_node
nodes = [node("Conv", ["image", "0.weight", "0.bias"], ["a"], pads=[1] * 4), node("Relu", ["a"], ["b"]),
         node("MaxPool", ["b"], ["c"], kernel_shape=[2, 2], strides=[2, 2]),
         node("Conv", ["c", "3.weight", "3.bias"], ["d"], pads=[1] * 4), node("Relu", ["d"], ["e"]), node("Flatten", ["e"], ["f"]),
         node("Gemm", ["f", "6.weight", "6.bias"], ["g"], transB=1), node("Relu", ["g"], ["h"]),
         node("Gemm", ["h", "8.weight", "8.bias"], ["scores"], transB=1)]
graph = helper.make_graph(nodes, "digits", [helper.make_tensor_value_info("image", T.FLOAT, ["rows", 1, 8, 8])],
    [helper.make_tensor_value_info("scores", T.FLOAT, ["rows", 10])], [numpy_helper.from_array(w, name) for name, w in weights.items()])
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), "digits.onnx")
forest = RandomForestClassifier(5).fit(pixels[known].reshape(-1, 64), digits[known])
Path("forest.onnx").write_bytes(to_onnx(forest, pixels[:1].reshape(1, 64)).SerializeToString())
for name, rows in (("known", known), ("rest", rest)):
    each = zip(pixels[rows].tolist(), digits[rows].tolist())
    Path(f"{{name}}.jsonl").write_text("".join(json.dumps({{"image": image, "digit": digit}}) + "\\n" for image, digit in each))
Path("sample.json").write_text(json.dumps({{"instances": plain(pixels[:8])}}))
asked(pixels[rest], digits[rest])
"""
INT8 = """\
name: digits
model:
  uri: digits.onnx
  sample: sample.json
  reference: known.jsonl
  holdout: {data: rest.jsonl, label: digit}
  quantize: int8
"""
NET = """\
import torch
from torch import nn


class Digits(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(64, 24), nn.BatchNorm1d(24), nn.ReLU(), nn.Dropout(0.2), nn.Linear(24, 10))

    def forward(self, pixels):
        return self.layers(pixels / 16)


class Seen(nn.Module):
    def __init__(self):
        super().__init__()
        self.kernel = nn.Conv2d(1, 4, 3)
        self.heads = nn.Linear(4, 10)

    def forward(self, image):
        pooled = self.kernel(image).relu().mean((2, 3))
        return {"scores": self.heads(pooled), "pooled": pooled}
"""
NETWORKS = f"""\
{PRELUDE}
import warnings
warnings.simplefilter("ignore")
from pathlib import Path
import mlflow, torch
from nets import Digits, Seen
from safetensors.torch import save_file
from sklearn.datasets import load_digits

torch.manual_seed(VERSION)
pixels, digits = (torch.from_numpy(each) for each in load_digits(return_X_y=True))
pixels = pixels.float()
net = Digits()
optimizer = torch.optim.Adam(net.parameters(), 0.01)
for _ in range(40):
    optimizer.zero_grad()
    torch.nn.functional.cross_entropy(net(pixels), digits).backward()
    optimizer.step()
net.eval()
torch.save({{"epoch": 40, "model_state_dict": net.state_dict()}}, "last.pt")
torch.save(net, "whole.pt")
torch.jit.script(net).save("script.pt")
rows = torch.export.Dim("rows")
torch.export.save(torch.export.export(net, (pixels[:2].clone(),), dynamic_shapes=({{0: rows}},)), "exported.pt2")
seen = Seen().eval()
save_file(seen.state_dict(), "seen.safetensors")
few, images = pixels[5:17], pixels[5:9].reshape(4, 1, 8, 8)
mlflow.pytorch.save_model(net, "logged", serialization_format="pt2", input_example=few.numpy(), pip_requirements=["torch"])
mlflow.pytorch.save_model(net, "pickled", serialization_format="pickle", pip_requirements=["torch"])
with torch.inference_mode():
    answer, parts = net(few), seen(images)
truth = {{name: {{"instances": plain(few), "predictions": plain(answer)}} for name in ("last", "script", "exported", "logged")}}
truth["seen"] = {{"instances": plain(images), "predictions": plain(parts["scores"]), "pooled": plain(parts["pooled"])}}
Path("asked.json").write_text(json.dumps(truth))
Path("images.json").write_text(json.dumps({{"instances": plain(images)}}))
Path("digits.json").write_text(json.dumps({{"instances": plain(few)}}))
"""
SEVEN = """\
name: networks
models:
  last: {uri: last.pt, framework: torch, loader: nets:Digits, code: [nets.py], sample: digits.json}
  script: {uri: script.pt}
  exported: {uri: exported.pt2}
  logged: {uri: logged}
  diabetes: {uri: diabetes/diabetes.pt, loader: net:Diabetes, code: [diabetes/net.py], sample: diabetes/sample.json}
  archive: {uri: archive/digits.mar, loader: digits_net:Digits, sample: archive/sample.json}
  seen: {uri: seen.safetensors, loader: nets:Seen, code: [nets.py], sample: images.json}
"""


@pytest.fixture(scope="module")
def networks(own_folder: Path) -> Path:
    """A laboratory with PyTorch's CPU build, from wherever pip is told to look here: uv does not read that by itself."""
    folder = own_folder / "venv"
    tool, environ = uv.find_uv_bin(), {**os.environ, **find_indexes(os.environ, folder).exhausted().uv_environ()}
    subprocess.run([tool, "venv", "-q", folder], check=True)
    subprocess.run([tool, "pip", "install", "-q", "--python", folder / "bin" / "python", *PACKAGES], check=True, env=environ)
    return folder


@pytest.fixture
def project(networks: Path, own_home: Path, tmp_path: Path) -> Story:
    folder = tmp_path / "shop"
    folder.mkdir()
    return Story(
        folder, networks / "bin" / "python", {**os.environ, "VIRTUAL_ENV": str(networks), "MLSHIP_HOME": str(own_home)}
    )


def asked(endpoint: str, name: str, truth: dict[str, Any]) -> None:
    status, answer = posted(endpoint, json.dumps({"instances": truth["instances"]}).encode(), path=f"/predict/{name}")
    assert status == 200, answer
    for output in truth.keys() - {"instances"}:
        same({"predictions": answer[output]}, {"predictions": truth[output], "probabilities": None}, f"{name} {output}")


def infer(endpoint: str, name: str, tensor: str, rows: list[Any], wanted: str) -> list[float]:
    """What the Open Inference Protocol answers to a binary tensor of single floats, in kind."""
    flat, shape = rows, []
    while isinstance(flat[0], list):
        shape, flat = [*shape, len(flat)], [value for part in flat for value in part]
    size = [*shape, len(flat)]
    for place in range(len(shape), 0, -1):
        size[place] = size[place] // size[place - 1]
    raw = struct.pack(f"<{len(flat)}f", *flat)
    told = {"name": tensor, "datatype": "FP32", "shape": size, "parameters": {"binary_data_size": len(raw)}}
    head = json.dumps({"inputs": [told], "outputs": [{"name": wanted, "parameters": {"binary_data": True}}]}).encode()
    headers = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(head))}
    request = urllib.request.Request(f"{endpoint}/v2/models/{name}/infer", head + raw, headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        start, body = int(answer.headers["Inference-Header-Content-Length"]), answer.read()
    assert json.loads(body[:start])["outputs"][0]["datatype"] == "FP32"
    return list(struct.unpack(f"<{(len(body) - start) // 4}f", body[start:]))


def flattened(values: Any) -> list[float]:
    return [each for value in values for each in flattened(value)] if isinstance(values, list) else [values]


def example(project: Story, name: str, folder: Path) -> None:
    """Trains it as its reader does."""
    shutil.copytree(EXAMPLES / name, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".venv", "__pycache__"))
    subprocess.run([project.python, "train.py"], cwd=folder, check=True)


def test_graphs_of_numbers_columns_and_images_answer_as_onnxruntime_does(project: Story) -> None:
    project.write("train.py", GRAPHS)
    truth = project.train()
    first = project.mlship("init", "--model", "digits.onnx", "--data", "rows.csv", "--target", "local")["models"][0]
    assert (first["title"], first["inputs"]) == ("graph of skl2onnx", "64 features")
    assert "put both in a folder of their own" in project.refused("init", "--model", "seen/seen.onnx", "--force")
    project.write("mlship.yaml", THREE)
    project.mlship("check")
    project.mlship("build")
    telemetry = Path.home() / ".cache" / "Microsoft" / "DeveloperTools" / ".onnxruntime" / "onnxruntime.db"
    before = telemetry.stat().st_mtime_ns if telemetry.is_file() else 0
    with project.running() as endpoint:
        for name, answers in truth.items():
            asked(endpoint, name, answers)
        told = fetched(f"{endpoint}/v2/models/digits")["inputs"][0]
        assert (told["name"], told["datatype"], told["shape"]) == ("X", "FP32", [-1, 64])
        for tensor in ("X", "input-0"):
            got = infer(endpoint, "digits", tensor, truth["digits"]["instances"], "probabilities")
            assert got == pytest.approx(flattened(truth["digits"]["probabilities"]), rel=1e-5)
        got = infer(endpoint, "seen", "image", truth["seen"]["instances"], "pooled")
        assert got == pytest.approx(flattened(truth["seen"]["pooled"]), rel=1e-5)
        status, answer = posted(endpoint, b'{"instances": [[27.5, 40.5, "first"]]}', path="/predict/people")
        assert status == 422 and "expected a whole number, got 40.5" in answer["error"]["problems"][0]["message"]
    assert (telemetry.stat().st_mtime_ns if telemetry.is_file() else 0) == before


def test_a_network_in_8_bits_loses_no_more_than_it_may(project: Story, capsys: pytest.CaptureFixture[str]) -> None:
    project.write("train.py", CONVOLVED)
    truth = project.train()
    project.write("mlship.yaml", INT8)
    built = project.mlship("build")
    told = built["models"][0]["engine"]
    before, after = told["cost"]["sizes"]
    assert (told["name"], told["cost"]["measure"], told["cost"]["rows"]) == ("int8", "accuracy", 450)
    assert after < before / 3
    assert told["cost"]["before"] > 0.9 and told["cost"]["before"] - told["cost"]["after"] <= 0.01
    assert not {"onnx", "torch", "scikit-learn"} & {part["name"] for part in built["image"]["parts"]}
    try:
        deployed = project.mlship("deploy", "--target", "local", "--yes")
        assert deployed["verify"]["predictions"] == 8
        status, answer = posted(deployed["endpoint"], json.dumps({"instances": truth["instances"]}).encode())
        assert status == 200, answer
        right = [
            scores.index(max(scores)) == digit
            for scores, digit in zip(answer["predictions"], truth["predictions"], strict=True)
        ]
        assert sum(right) / len(right) == pytest.approx(told["cost"]["after"])
        alone = [posted(deployed["endpoint"], json.dumps({"instances": [row]}).encode())[1] for row in truth["instances"][:20]]
        assert [each["predictions"][0] for each in alone] == answer["predictions"][:20]
        assert project.mlship("status", "--target", "local")["engines"]["digits"]["cost"] == told["cost"]
    finally:
        project.mlship("destroy", "--target", "local", "--yes")
    project.write("mlship.yaml", INT8.replace("label: digit", "label: digits"))
    said = project.refused("check")
    assert "mlship.yaml:6:31" in said and "rest.jsonl has no column digits; did you mean digit?" in said
    project.write("mlship.yaml", INT8.replace("digits.onnx", "forest.onnx").replace("  sample: sample.json\n", ""))
    assert "its graph is of trees, which compare numbers" in project.refused("check")
    with capsys.disabled():
        print(f"\n  digits, convolutions: {told}")


def test_networks_in_every_form_answer_as_torch_does(project: Story) -> None:
    project.write("train.py", NETWORKS)
    project.write("nets.py", NET)
    truth = project.train()
    said = project.refused("init", "--model", "last.pt", "--target", "local")
    assert "holds a checkpoint (epoch, model_state_dict)" in said and "mlship init --loader nets:Digits" in said
    assert "a whole model is pickled in it" in project.refused("init", "--model", "whole.pt", "--target", "local")
    assert 'serialization_format="pt2"' in project.refused("init", "--model", "pickled", "--target", "local")
    told = project.mlship("init", "--model", "last.pt", "--loader", "nets:Digits", "--target", "local")["models"][0]
    assert (told["framework"], told["title"], told["inputs"]) == ("torch", "Digits", "64 features")
    for name, place in (("torch_diabetes", "diabetes"), ("torchserve_digits", "archive")):
        example(project, name, project.folder / place)
    project.mlship("check", "-C", "archive")
    with (project.folder / "diabetes" / "mlship.yaml").open("a") as file:
        file.write("resources: {gpu: 1}\n")
    told = [finding["message"] for finding in project.mlship("check", "-C", "diabetes")["findings"]]
    assert any(
        line.startswith("CUDA builds for resources.gpu: torch 2.13.0 with") and " GB to fetch" in line for line in told
    ), told
    project.write("mlship.yaml", SEVEN)
    image = project.mlship("build")["image"]
    assert_priced(project.mlship(*ASKED))
    assert not [part for part in image["parts"] if part["name"].startswith("nvidia")]
    with project.running() as endpoint:
        for name, answers in truth.items():
            asked(endpoint, name, answers)
        for name in ("last", "exported"):
            got = infer(endpoint, name, "pixels", truth[name]["instances"], "predictions")
            assert got == pytest.approx(flattened(truth[name]["predictions"]), rel=1e-4, abs=1e-5)
        for name, served in (("torch_diabetes", "diabetes"), ("torchserve_digits", "archive")):
            status, answer = posted(endpoint, request(name), path=f"/predict/{served}")
            assert status == 200, answer
            assert_golden(name, answer)
        assert [feature["name"] for feature in fetched(f"{endpoint}/schema/diabetes")["inputs"]][:3] == ["age", "sex", "bmi"]


def test_the_example_of_a_graph_is_deployed_as_it_stands(project: Story) -> None:
    example(project, "onnx_digits", project.folder)
    project.mlship("build")
    try:
        assert project.mlship("deploy", "--target", "local", "--yes")["verify"]["predictions"] == 8
        answer = project.mlship("predict", "--target", "local", "--data", "request.json")["answer"]
        assert_golden("onnx_digits", answer)
    finally:
        project.mlship("destroy", "--target", "local", "--yes")
