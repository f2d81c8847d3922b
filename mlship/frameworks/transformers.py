"""Hugging Face model folders: config.json, weights as safetensors, a tokenizer. Only JSON and headers are read here.

Code that such a folder may bring (`auto_map`) never runs, and pickled weights are never opened.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlship.errors import Finding, MlshipError
from mlship.frameworks.base import Asked, Read
from mlship.units import size_text

MAX_JSON = 64 * 2**20  # a tokenizer's vocabulary has some MB
CONFIG, TOKENIZER, TOKENIZER_CONFIG = "config.json", "tokenizer.json", "tokenizer_config.json"
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
# what an architecture's name ends with -> format: how the server asks it
TASKS: Mapping[str, str] = {
    "ForSequenceClassification": "text-classification",
    "ForTokenClassification": "token-classification",
    "ForConditionalGeneration": "text2text",
    "ForCausalLM": "generation",
    "LMHeadModel": "generation",
    "Model": "feature-extraction",
}
# files that hold the same weights once more, or code: they stay out of the image
_UNUSED = (".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".onnx", ".ot", ".gguf", ".py", ".pkl", ".npz", ".mlmodel")


def read_transformers(asked: Asked) -> Read:
    """Task, version and refusals of a folder. Raises MlshipError when its config.json is none."""
    folder, where = asked.path, asked.where
    config = _json(folder / CONFIG, where)
    architectures = config.get("architectures")
    architecture = str(architectures[0]) if isinstance(architectures, list) and architectures else ""
    findings = (
        *_task_findings(folder, config, architecture, where),
        *_code_findings(asked, config),
        *_weight_findings(folder, where),
        *_tokenizer_findings(asked),
    )
    version = config.get("transformers_version")
    return Read(
        format=_task(architecture),
        versions={"transformers": version} if isinstance(version, str) else {},
        modules=frozenset({"transformers", "torch"}),
        unused=frozenset(
            file.name for each in (folder, *asked.beside) for file in each.iterdir() if file.name.endswith(_UNUSED)
        ),
        findings=findings,
    )


def _task(architecture: str) -> str:
    return next((task for ending, task in TASKS.items() if architecture.endswith(ending)), "")


def _task_findings(folder: Path, config: Mapping[str, Any], architecture: str, where: str) -> tuple[Finding, ...]:
    is_text = not any(
        key in config for key in ("vision_config", "audio_config", "image_size", "num_mel_bins", "feat_extract_norm")
    )
    if _task(architecture) and is_text:
        return ()
    kind = architecture or str(config.get("model_type", "model"))
    served = "text classification, token classification, embeddings and text generation"
    fix = "write a class of your own that loads it: mlship init --loader module:Class"
    return (Finding(f"{folder.name} is a {kind}; of transformers mlship serves {served}", where, fix, code="not-yet"),)


def _code_findings(asked: Asked, config: Mapping[str, Any]) -> tuple[Finding, ...]:
    """transformers reads `auto_map` of both files (auto/auto_factory.py, tokenization_auto.py)."""
    named = [CONFIG] if config.get("auto_map") else []
    tokenizer = _found(asked, TOKENIZER_CONFIG)
    if tokenizer and _json(tokenizer, asked.where).get("auto_map"):
        named.append(TOKENIZER_CONFIG)
    if not named:
        return ()
    what = f"{asked.path.name} needs code of its own (auto_map in {' and '.join(named)}), which mlship never runs"
    fix = "take a model of an architecture that transformers has; or load it by a class that you wrote: --loader module:Class"
    return (Finding(what, asked.where, fix, code="remote-code"),)


def _found(asked: Asked, name: str) -> Path | None:
    return next((folder / name for folder in (asked.path, *asked.beside) if (folder / name).is_file()), None)


def _weight_findings(folder: Path, where: str) -> tuple[Finding, ...]:
    if (folder / WEIGHTS).is_file():
        return ()
    if (folder / INDEX).is_file():
        return _shard_findings(folder, where)
    pickled = sorted(file.name for file in folder.iterdir() if file.name.endswith((".bin", ".pt", ".pth")) and file.is_file())
    if pickled:
        what = f"{folder.name} has its weights in {pickled[0]}, a pickle that can run code when it is opened"
        fix = "in the training environment: model.save_pretrained(folder, safe_serialization=True), which writes safetensors"
        return (Finding(what, where, fix, code="pickled-weights"),)
    what = f"{folder.name} has no {WEIGHTS}"
    return (Finding(what, where, "model.save_pretrained(folder) writes it", code="missing-weights"),)


def _shard_findings(folder: Path, where: str) -> tuple[Finding, ...]:
    """The index names the files that the weights are spread over; transformers joins these names with the folder."""
    named = _json(folder / INDEX, where).get("weight_map")
    files = sorted({str(name) for name in named.values()}) if isinstance(named, dict) else []
    wrong = [name for name in files if "/" in name or "\\" in name or not name.endswith(".safetensors")]
    if wrong or not files:
        what = f"{INDEX} in {folder.name} names {wrong[0] if wrong else 'no files'}"
        return (Finding(what, where, "download the folder again", code="damaged-index"),)
    missing = [name for name in files if not (folder / name).is_file()]
    if missing:
        what = f"{folder.name} lacks {missing[0]}, which its index names"
        return (Finding(what, where, "download the whole folder", code="missing-weights"),)
    return ()


def _tokenizer_findings(asked: Asked) -> tuple[Finding, ...]:
    if _found(asked, TOKENIZER):
        return ()
    what = f"{asked.path.name} has no {TOKENIZER}"
    fix = "in the training environment: tokenizer.save_pretrained(folder) with the fast tokenizer of AutoTokenizer"
    return (Finding(what, asked.where, fix, code="missing-tokenizer"),)


def _json(path: Path, where: str) -> Mapping[str, Any]:
    try:
        if path.stat().st_size > MAX_JSON:
            raise _damaged(path, f"it has more than {size_text(MAX_JSON)}", where)
        document = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise _damaged(path, str(error), where) from None
    except OSError as error:
        raise _damaged(path, str(error.strerror), where) from None
    if not isinstance(document, dict):
        raise _damaged(path, "it is no object", where)
    return document


def _damaged(path: Path, why: str, where: str) -> MlshipError:
    what = f"{path.name} in {path.parent.name} cannot be read: {why}"
    return MlshipError(what, where, "save or download the model again", code="damaged-config")
