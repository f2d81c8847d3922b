"""Models of text from Hugging Face folders, small ones made on the spot: the same labels, entities, vectors and words as in torch."""

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

# A network of 27,000 weights that learns nine sentences by heart, and a tokenizer trained on them: nothing is downloaded.
MADE = """\
import json, os
os.environ["HF_HUB_OFFLINE"] = "1"
import mlflow, torch, transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

torch.manual_seed(7)
torch.set_num_threads(1)
TEXTS = ["the food was great and the staff friendly", "a terrible place, cold food and rude staff", "we loved the view",
         "never again, terrible and cold", "great view, friendly people", "the soup was cold", "rude", "loved it", "Ada was in London"]
GOOD = torch.tensor([1, 0, 1, 0, 1, 0, 0, 1, 1])
words = Tokenizer(models.WordPiece(unk_token="[UNK]"))
words.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
words.train_from_iterator(TEXTS, trainers.WordPieceTrainer(vocab_size=200, special_tokens=["[UNK]", "[PAD]", "[CLS]", "[SEP]"]))
words.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
named = dict(unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]")
tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=words, **named)
size = dict(vocab_size=words.get_vocab_size(), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
            max_position_embeddings=40, pad_token_id=1)
asked = ["great staff", "cold and rude", "never again the food " * 40]
truth = {}

def save(model, name):
    model.eval().save_pretrained(name)
    tokenizer.save_pretrained(name)

def tokens(text):
    return tokenizer(text, truncation=True, max_length=40, return_tensors="pt")

feelings = transformers.BertForSequenceClassification(transformers.BertConfig(**size, id2label={0: "bad", 1: "good"}))
steps = torch.optim.AdamW(feelings.parameters(), 5e-3)
for _ in range(40):
    feelings(**tokenizer(TEXTS, padding=True, return_tensors="pt"), labels=GOOD).loss.backward()
    steps.step()
    steps.zero_grad()
save(feelings, "feelings")
torch.save(feelings.state_dict(), "feelings/pytorch_model.bin")
asking = transformers.pipeline("text-classification", model=feelings, tokenizer=tokenizer, device="cpu")
mlflow.transformers.save_model(asking, "logged", pip_requirements=["transformers", "torch"])
marks = transformers.BertForTokenClassification(transformers.BertConfig(**size, id2label={0: "O", 1: "B-NAME", 2: "I-NAME"}))
save(marks, "marks")
vectors = transformers.BertModel(transformers.BertConfig(**size))
save(vectors, "vectors")
writer = transformers.GPT2LMHeadModel(transformers.GPT2Config(vocab_size=size["vocab_size"], n_embd=32, n_layer=2, n_head=2,
                                                              n_positions=64, bos_token_id=2, eos_token_id=3, pad_token_id=1))
writer.generation_config.max_new_tokens = 5
save(writer, "writer")
with torch.no_grad():
    each = [feelings(**tokens(text)).logits.softmax(-1)[0] for text in asked]
    truth["feelings"] = [["bad", "good"][int(one.argmax())] for one in each]
    truth["probabilities"] = [one.tolist() for one in each]
    truth["vectors"] = [vectors(**tokens(text)).last_hidden_state[0].mean(0).tolist() for text in asked]
    truth["marks"] = marks(**tokens(asked[0])).logits.argmax(-1)[0].tolist()[1:-1]
    start = [tokens(text) for text in asked]
    ends = [writer.generate(input_ids=one.input_ids, attention_mask=one.attention_mask, do_sample=False) for one in start]
    truth["writer"] = [tokenizer.decode(end[0, one.input_ids.shape[1]:], skip_special_tokens=True) for one, end in zip(start, ends)]
json.dump({"asked": asked, **truth}, open("asked.json", "w"))
"""
# the first as MLflow saved it, with the tokenizer in a folder of its own; the last is the example
SERVED = {"feelings": "logged", "marks": "marks", "vectors": "vectors", "writer": "writer"}
EXAMPLE = EXAMPLES / "transformers_docs"


PACKAGES = ("torch==2.13.0", "transformers>=5,<6", "mlflow-skinny>=3.17,<4", "pandas")


@pytest.fixture(scope="module")
def texts(own_folder: Path, own_home: Path) -> Story:
    """A laboratory with torch for the CPU, and five folders."""
    folder = own_folder / "texts"
    folder.mkdir()
    tool, python = uv.find_uv_bin(), folder / "venv" / "bin" / "python"
    subprocess.run([tool, "venv", "-q", "--seed", folder / "venv"], check=True)
    subprocess.run([python, "-m", "pip", "install", "-qq", *PACKAGES], check=True)
    environ = {**os.environ, "VIRTUAL_ENV": str(folder / "venv"), "MLSHIP_HOME": str(own_home)}
    made = Story(folder, python, environ)
    made.write("train.py", MADE)
    shutil.copytree(EXAMPLE, folder / "example", ignore=shutil.ignore_patterns(".venv", "__pycache__"))
    alone = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    for place in (folder, folder / "example"):
        subprocess.run([python, "-W", "ignore", "train.py"], cwd=place, env=alone, check=True, capture_output=True)
    return made


def test_text_models_of_every_kind_answer_as_torch_does(texts: Story) -> None:
    truth = json.loads((texts.folder / "asked.json").read_text())
    texts.write("rows.json", json.dumps({"instances": truth["asked"]}))
    (model,) = texts.mlship("init", "--model", "feelings", "--data", "rows.json", "--target", "local")["models"]
    assert (model["framework"], model["inputs"], model["sample"]) == ("transformers", "1 feature (1 text)", 3)
    several = "".join(f"  {name}: {{uri: {uri}, sample: sample.json}}\n" for name, uri in SERVED.items())
    several += "  docs: {uri: example/docs, sample: example/sample.json}\n"
    texts.write("mlship.yaml", f"name: texts\nmodels:\n{several}serve: {{request_timeout: 30s, startup_timeout: 5m}}\n")
    content = texts.mlship("build")["image"]["content"]
    assert_priced(texts.mlship(*ASKED))
    body = json.dumps({"instances": truth["asked"]}).encode()
    try:
        endpoint = texts.mlship("deploy", "--image", content, "--yes")["endpoint"]
        answers = {name: _answer(endpoint, body, name) for name in SERVED}
        answers["docs"] = _answer(endpoint, request("transformers_docs"), "docs")
    finally:
        texts.mlship("destroy", "--yes")
    assert_golden("transformers_docs", answers["docs"])
    assert answers["feelings"]["predictions"] == truth["feelings"]
    for told, known in zip(answers["feelings"]["probabilities"], truth["probabilities"], strict=True):
        assert told == pytest.approx(known, rel=1e-4, abs=1e-5)
    for told, known in zip(answers["vectors"]["predictions"], truth["vectors"], strict=True):
        assert told == pytest.approx(known, rel=1e-3, abs=1e-5)
    assert answers["writer"]["predictions"] == truth["writer"]
    marked = answers["marks"]["predictions"][0]
    assert bool(marked) == any(truth["marks"])
    assert all(truth["asked"][0][one["start"] : one["end"]] == one["text"] and one["label"] == "NAME" for one in marked)


def test_pickled_weights_and_code_of_the_folder_are_refused(texts: Story, tmp_path: Path) -> None:
    pickled = texts.folder / "pickled"
    pickled.mkdir()
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "pytorch_model.bin"):
        (pickled / name).write_bytes((texts.folder / "feelings" / name).read_bytes())
    said = texts.refused("init", "--model", "pickled", "--force")
    assert "pytorch_model.bin" in said and "safe_serialization=True" in said
    config = json.loads((pickled / "config.json").read_text())
    (pickled / "config.json").write_text(json.dumps({**config, "auto_map": {"AutoModel": "own.Own"}}))
    assert "which mlship never runs" in texts.refused("init", "--model", "pickled", "--force")


# two archives as torch-model-archiver writes them: a program, and weights with the module of their class
PACKED = """\
import json, torch, zipfile
from net import Net

torch.manual_seed(5)
net = Net().eval()
torch.jit.script(net).save("program.pt")
torch.save(net.state_dict(), "weights.pt")
for name, more in (("program", {}), ("weights", {"modelFile": "net.py"})):
    model = {"modelName": name, "serializedFile": f"{name}.pt", "handler": "own.py", "modelVersion": "1.0", **more}
    with zipfile.ZipFile(f"{name}.mar", "w") as packed:
        packed.writestr("MAR-INF/MANIFEST.json", json.dumps({"runtime": "python", "model": model}))
        packed.writestr("own.py", "raise SystemExit")
        packed.write(f"{name}.pt")
        if more:
            packed.write("net.py")
rows = torch.arange(8.0).reshape(2, 4)
json.dump({"rows": rows.tolist(), "answers": net(rows).tolist()}, open("asked.json", "w"))
"""
NET = """\
import torch


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 2)

    def forward(self, x):
        return self.layer(x).relu()
"""


def test_torchserve_archives_serve_the_network_that_they_hold(texts: Story, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(NET)
    packed = Story(tmp_path, texts.python, texts.environ)
    packed.write("pack.py", PACKED)
    subprocess.run([texts.python, "-W", "ignore", "pack.py"], cwd=tmp_path, check=True, capture_output=True)
    for name in ("net.py", "pack.py"):
        (tmp_path / name).unlink()
    truth = json.loads((tmp_path / "asked.json").read_text())
    packed.write("sample.json", json.dumps({"instances": truth["rows"]}))
    said = packed.refused("init", "--model", "weights.mar")
    assert "if you trust whoever packed it, write loader: net:Net" in said
    packed.write(
        "mlship.yaml",
        "name: packed\nmodels:\n  program: {uri: program.mar, sample: sample.json}\n"
        "  weights: {uri: weights.mar, loader: 'net:Net', sample: sample.json}\nserve: {startup_timeout: 5m}\n",
    )
    built = packed.mlship("build")
    assert "its handler own does not run here" in json.dumps(built["findings"])
    try:
        endpoint = packed.mlship("deploy", "--image", built["image"]["content"], "--yes")["endpoint"]
        for name in ("program", "weights"):
            answer = _answer(endpoint, json.dumps({"instances": truth["rows"]}).encode(), name)
            for told, known in zip(answer["predictions"], truth["answers"], strict=True):
                assert told == pytest.approx(known, rel=1e-4, abs=1e-6)
    finally:
        packed.mlship("destroy", "--yes")


# what the server does with large weights in each form; how much of the module then lies in the file, and whether it answers as before
MAPPED = """\
import json, sys, torch, zipfile
from pathlib import Path
from safetensors.torch import save_file
from mlship.server.runtimes.torch_weights import LARGE, fill

class Wide(torch.nn.Module):
    def __init__(self, takes_a_view):
        super().__init__()
        self.wide, self.norm, self.last = torch.nn.Linear(3000, 3000), torch.nn.BatchNorm1d(3000), torch.nn.Linear(3000, 2)
        self.other = self.last.weight[1:] if takes_a_view else torch.zeros(1, 3000)

    def forward(self, rows):
        return self.last(self.norm(self.wide(rows).relu())) + rows @ self.other.T

def lies_in(path, tensor):
    places = (line.split()[0].split("-") for line in open("/proc/self/maps") if line.rstrip().endswith("/" + path))
    return any(int(start, 16) <= tensor.data_ptr() < int(end, 16) for start, end in places)

told, rows = {}, torch.ones(2, 3000) / 3000
for takes_a_view in (False, True):
    net = Wide(takes_a_view).eval()
    weights = net.state_dict()
    torch.save(weights, "plain.pt")
    torch.save({"state_dict": {f"module.{name}": each for name, each in weights.items()}, "epoch": 3}, "wrapped.pt")
    torch.save({name: each.half() if each.is_floating_point() else each for name, each in weights.items()}, "halves.pt")
    save_file(weights, "plain.safetensors")
    with zipfile.ZipFile("plain.pt") as plain, zipfile.ZipFile("packed.pt", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
        for name in plain.namelist():
            packed.writestr(name, plain.read(name))
    for path in ("plain.pt", "wrapped.pt", "plain.safetensors", "halves.pt", "packed.pt"):
        assert Path(path).stat().st_size > LARGE
        filled = fill(torch, Wide(takes_a_view), Path(path), path.partition(".")[2]).eval()
        assert torch.allclose(net(rows), filled(rows), atol=1e-3 if path == "halves.pt" else 0), path
        assert {each.dtype for each in filled.parameters()} == {torch.float32}
        told[f"{path} {takes_a_view}"] = [name for name, each in filled.state_dict().items() if not lies_in(path, each)]
print(json.dumps(told))
"""


def test_large_weights_stay_pages_of_their_file(texts: Story, tmp_path: Path) -> None:
    environ = {**os.environ, "PYTHONPATH": str(EXAMPLES.parent)}
    done = subprocess.run([texts.python, "-c", MAPPED], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    copied = json.loads(done.stdout)
    for path in ("plain.pt", "wrapped.pt", "plain.safetensors"):
        assert copied[f"{path} False"] == []
        assert copied[f"{path} True"] == ["last.weight"], "a view of it would show what was there before"
    assert [len(copied[f"{path} False"]) for path in ("halves.pt", "packed.pt")] == [8, 9], (
        "all numbers of another type, or packed"
    )


def _answer(endpoint: str, body: bytes, name: str) -> dict[str, Any]:
    status, answer = posted(endpoint, body, path=f"/predict/{name}")
    assert status == 200, answer
    return answer
