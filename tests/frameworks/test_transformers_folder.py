"""A Hugging Face folder is served from safetensors and a tokenizer alone; what could run code in it is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mlship.errors import MlshipError
from mlship.frameworks.base import Asked, Read
from mlship.frameworks.transformers import read_transformers
from mlship.server.pickle_scan import scan
from mlship.server.runtimes.transformers import entities


def folder(root: Path, config: dict[str, Any] | None = None, leave_out: tuple[str, ...] = (), **files: str) -> Path:
    path = root / "sentiment"
    path.mkdir()
    whole = {"architectures": ["BertForSequenceClassification"], "transformers_version": "4.57.1", **(config or {})}
    contents = {"config.json": json.dumps(whole), "model.safetensors": "", "tokenizer.json": "{}", **files}
    for name, text in contents.items():
        if name not in leave_out:
            (path / name).write_text(text)
    return path


def read(path: Path) -> Read:
    return read_transformers(Asked(path, "folder", "mlship.yaml:2 model.uri", scan))


@pytest.mark.parametrize(
    ("architecture", "task"),
    [
        ("BertForSequenceClassification", "text-classification"),
        ("DistilBertForTokenClassification", "token-classification"),
        ("BertModel", "feature-extraction"),
        ("T5ForConditionalGeneration", "text2text"),
        ("GPT2LMHeadModel", "generation"),
        ("LlamaForCausalLM", "generation"),
    ],
)
def test_the_architecture_tells_the_task(tmp_path: Path, architecture: str, task: str) -> None:
    found = read(folder(tmp_path, {"architectures": [architecture]}))
    assert (found.format, found.findings, found.versions) == (task, (), {"transformers": "4.57.1"})
    assert found.modules == {"torch", "transformers"}


def test_what_serving_never_opens_stays_out_of_the_image(tmp_path: Path) -> None:
    path = folder(
        tmp_path, **{"pytorch_model.bin": "x", "modeling_own.py": "raise SystemExit", "README.md": "", "tf_model.h5": ""}
    )
    found = read(path)
    assert found.findings == () and found.unused == {"pytorch_model.bin", "modeling_own.py", "tf_model.h5"}


@pytest.mark.parametrize(
    ("config", "leave_out", "files", "code", "words"),
    [
        ({}, ("model.safetensors",), {"pytorch_model.bin": "x"}, "pickled-weights", "safe_serialization=True"),
        ({}, ("model.safetensors",), {}, "missing-weights", "has no model.safetensors"),
        ({}, ("tokenizer.json",), {"vocab.txt": "a"}, "missing-tokenizer", "tokenizer.save_pretrained(folder)"),
        ({"auto_map": {"AutoModel": "modeling_own.Own"}}, (), {}, "remote-code", "which mlship never runs"),
        ({}, (), {"tokenizer_config.json": '{"auto_map": {"AutoTokenizer": ["a.B", null]}}'}, "remote-code", "tokenizer_config.json"),
        ({"architectures": ["ViTForImageClassification"]}, (), {}, "not-yet", "is a ViTForImageClassification"),
        ({"architectures": ["CLIPModel"], "vision_config": {}}, (), {}, "not-yet", "is a CLIPModel"),
        ({"architectures": None, "model_type": "own"}, (), {}, "not-yet", "is a own"),
    ],
)  # fmt: skip
def test_what_is_not_served_is_refused_with_what_to_do(
    tmp_path: Path, config: dict[str, Any], leave_out: tuple[str, ...], files: dict[str, str], code: str, words: str
) -> None:
    (finding,) = read(folder(tmp_path, config, leave_out, **files)).findings
    assert finding.code == code and words in f"{finding.what}; {finding.fix}" and finding.where == "mlship.yaml:2 model.uri"


@pytest.mark.parametrize(
    ("index", "code"),
    [
        ('{"weight_map": {"a": "model-1.safetensors"}}', ""),
        ('{"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}', "missing-weights"),
        ('{"weight_map": {"a": "../../model-1.safetensors"}}', "damaged-index"),
        ('{"weight_map": {"a": "model-1.bin"}}', "damaged-index"),
        ('{"weight_map": {}}', "damaged-index"),
    ],
)
def test_weights_in_several_files_are_all_there(tmp_path: Path, index: str, code: str) -> None:
    files = {"model.safetensors.index.json": index, "model-1.safetensors": "", "model-1.bin": ""}
    findings = read(folder(tmp_path, None, ("model.safetensors",), **files)).findings
    assert [finding.code for finding in findings] == ([code] if code else [])


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000])
def test_a_damaged_configuration_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(MlshipError, match=r"config.json in sentiment cannot be read"):
        read(folder(tmp_path, **{"config.json": text}))


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        ("O O O O", []),
        ("B-PER I-PER O B-LOC", [("PER", "Ada Lovelace"), ("LOC", "London")]),
        ("PER PER O LOC", [("PER", "Ada Lovelace"), ("LOC", "London")]),
        ("B-PER B-PER O O", [("PER", "Ada"), ("PER", "Lovelace")]),
        ("I-PER O O I-LOC", [("PER", "Ada"), ("LOC", "London")]),
    ],
)
def test_neighbours_of_one_label_are_one_entity(labels: str, found: list[tuple[str, str]]) -> None:
    text, spans = "Ada Lovelace in London", [(0, 3), (4, 12), (13, 15), (16, 22)]
    marked = [(label, 0.5, *span) for label, span in zip(labels.split(), spans, strict=True)]
    told = entities(text, marked)
    assert [(entity["label"], entity["text"]) for entity in told] == found
    assert all(entity["score"] == 0.5 and text[entity["start"] : entity["end"]] == entity["text"] for entity in told)
