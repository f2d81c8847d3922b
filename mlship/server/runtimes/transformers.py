"""Hugging Face models of text: a string in; a label, entities, a vector or a text out.

Asked of the model itself and not through transformers' pipeline, which takes one text after the other. Numbers depend in their
last digits on the texts that are asked together: shorter ones are filled up to the longest.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mlship.server import manifest
from mlship.server.runtimes.base import LoadError
from mlship.server.runtimes.observed import observed_outputs
from mlship.server.runtimes.torch_device import living_gpu, torch_device
from mlship.server.runtimes.worker_threads import threads

LONGEST = 512  # tokens, where neither tokenizer nor model says how many it takes
_UNSAID = 10**9  # transformers writes 1e30 for a tokenizer that does not know
_CLASSES = {
    "text-classification": "AutoModelForSequenceClassification",
    "token-classification": "AutoModelForTokenClassification",
    "feature-extraction": "AutoModel",
    "text2text": "AutoModelForSeq2SeqLM",
    "generation": "AutoModelForCausalLM",
}


class TransformersRuntime:
    """Loads safetensors and a fast tokenizer from the folder alone: no network, no code of the folder, no pickle."""

    fork_safe = False  # torch's and the tokenizer's threads do not live on in copies of a process

    def load(self, model: manifest.Model, root: Path) -> TransformersModel:
        """Raises LoadError for a folder that transformers does not take."""
        os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", HF_HUB_DISABLE_TELEMETRY="1")
        import torch
        import transformers

        transformers.logging.set_verbosity_error()
        torch.set_grad_enabled(False)
        torch.set_num_threads(threads())
        folder = str(root / model.path)
        if model.format not in _CLASSES:
            raise LoadError(f"this server does not know the task {model.format}; it knows {', '.join(_CLASSES)}")
        own: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        try:
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder, use_fast=True, **own)
            loaded = getattr(transformers, _CLASSES[model.format]).from_pretrained(folder, use_safetensors=True, **own)
        except (OSError, ValueError, KeyError) as error:
            raise LoadError(f"transformers does not load the folder: {error}") from error
        return _MODELS[model.format](tokenizer, loaded.eval().to(torch_device(torch)))


class TransformersModel(ABC):
    """tokenizer, model: as transformers loads them."""

    def __init__(self, tokenizer: Any, model: Any) -> None:
        self.tokenizer = tokenizer
        self.model = model
        self.longest = _longest(tokenizer, model.config)
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token

    @property
    def title(self) -> str:
        return type(self.model).__name__

    @property
    def classes(self) -> tuple[str, ...] | None:
        return None

    def predict(self, rows: Any) -> Mapping[str, Any]:
        """rows: array of strings, shape (batch, 1). Longer texts than the model takes are cut."""
        import torch

        with living_gpu(torch):
            return self.answer([str(text) for text in rows[:, 0].tolist()])

    @abstractmethod
    def answer(self, texts: list[str]) -> Mapping[str, Any]:
        """Output name -> one entry a text."""

    def signature(self, sample: tuple[Any, ...]) -> manifest.Signature:
        found = manifest.Signature((manifest.Feature("text", "string"),), container="array")
        row = ([sample[0] if isinstance(sample[0], str) else "text"],) if sample else (["text"],)
        outputs = observed_outputs(self, found, row, self.classes)
        return manifest.Signature(found.inputs, outputs, found.container, found.named)

    def tokens(self, texts: list[str], **more: Any) -> Any:
        """One tensor a kind, shape (batch, tokens), filled up to the longest text."""
        made = self.tokenizer(texts, padding=True, truncation=True, max_length=self.longest, return_tensors="pt", **more)
        return made.to(self.model.device)


class TextClassifier(TransformersModel):
    """`predictions` are labels, `scores` how sure of each; of several labels at once, or of a number, what fits."""

    @property
    def classes(self) -> tuple[str, ...] | None:
        return None if self._is_number else labels(self.model.config)

    @property
    def _is_number(self) -> bool:
        config = self.model.config
        return bool(config.num_labels == 1 or config.problem_type == "regression")

    def answer(self, texts: list[str]) -> Mapping[str, Any]:
        logits = self.model(**self.tokens(texts)).logits.float().cpu()
        if self._is_number:
            return {"predictions": (logits[:, 0] if logits.shape[1] == 1 else logits).numpy()}
        names = labels(self.model.config)
        if self.model.config.problem_type == "multi_label_classification":
            sure = logits.sigmoid()
            chosen = [[name for name, score in zip(names, row, strict=True) if score > 0.5] for row in sure.tolist()]
            return {"predictions": chosen, "probabilities": sure.numpy()}
        probabilities = logits.softmax(-1)
        scores, places = probabilities.max(-1)
        return {
            "predictions": [names[place] for place in places.tolist()],
            "scores": scores.numpy(),
            "probabilities": probabilities.numpy(),
        }


class TokenClassifier(TransformersModel):
    """`predictions` are the entities of each text: label, score, start, end, text; neighbours of one label are one."""

    def answer(self, texts: list[str]) -> Mapping[str, Any]:
        taken = self.tokens(texts, return_offsets_mapping=True, return_special_tokens_mask=True)
        offsets, special = taken.pop("offset_mapping").tolist(), taken.pop("special_tokens_mask").tolist()
        scores, places = self.model(**taken).logits.float().softmax(-1).max(-1)
        names = labels(self.model.config)
        found = []
        for row, text in enumerate(texts):
            each = zip(offsets[row], special[row], places[row].tolist(), scores[row].tolist(), strict=True)
            marked = [(names[place], score, *span) for span, skipped, place, score in each if not skipped]
            found.append(entities(text, marked))
        return {"predictions": found}


class Embedder(TransformersModel):
    """`predictions` are vectors: the mean of the last layer over a text's tokens."""

    def answer(self, texts: list[str]) -> Mapping[str, Any]:
        taken = self.tokens(texts)
        states = self.model(**taken).last_hidden_state.float()
        mask = taken["attention_mask"].unsqueeze(-1).float()
        return {"predictions": ((states * mask).sum(1) / mask.sum(1).clamp(min=1)).cpu().numpy()}


class Writer(TransformersModel):
    """`predictions` are texts, as long as the folder's generation_config.json says; without drawing lots: the likeliest words."""

    def answer(self, texts: list[str]) -> Mapping[str, Any]:
        is_continued = not self.model.config.is_encoder_decoder
        if is_continued:
            self.tokenizer.padding_side = "left"
        taken = self.tokens(texts)
        taken.pop("token_type_ids", None)
        written = self.model.generate(**taken, do_sample=False)
        if is_continued:
            written = written[:, taken["input_ids"].shape[1] :]
        return {"predictions": self.tokenizer.batch_decode(written, skip_special_tokens=True)}


_MODELS: Mapping[str, Callable[[Any, Any], TransformersModel]] = {
    "text-classification": TextClassifier,
    "token-classification": TokenClassifier,
    "feature-extraction": Embedder,
    "text2text": Writer,
    "generation": Writer,
}


def labels(config: Any) -> tuple[str, ...]:
    """By place. config.id2label has them by number."""
    return tuple(str(config.id2label[place]) for place in range(config.num_labels))


def entities(text: str, marked: list[tuple[str, float, int, int]]) -> list[dict[str, Any]]:
    """marked: (label, score, start, end) of each token, in order. `O` is none; `B-` begins a new one, `I-` goes on."""
    found: list[dict[str, Any]] = []
    counts: list[int] = []
    before = "O"
    for label, score, start, end in marked:
        kind = label[2:] if label[:2] in ("B-", "I-") else label
        goes_on = before == kind and label[:2] != "B-"
        before = kind
        if kind == "O":
            continue
        if goes_on:
            found[-1]["end"] = end
            found[-1]["score"] += score
            counts[-1] += 1
        else:
            found.append({"label": kind, "score": score, "start": start, "end": end})
            counts.append(1)
    return [
        {**entity, "score": entity["score"] / count, "text": text[entity["start"] : entity["end"]]}
        for entity, count in zip(found, counts, strict=True)
    ]


def _longest(tokenizer: Any, config: Any) -> int:
    """Tokens. RoBERTa's positions begin behind the padding's number (modeling_roberta.py): so many fewer fit."""
    said = [tokenizer.model_max_length] if 0 < tokenizer.model_max_length < _UNSAID else []
    positions = getattr(config, "max_position_embeddings", None)
    if isinstance(positions, int) and positions > 0:
        offset = (config.pad_token_id or 0) + 1 if getattr(config, "model_type", "") in _OFFSET else 0
        said.append(positions - offset)
    return min(said) if said else LONGEST


_OFFSET = (
    "roberta",
    "xlm-roberta",
    "camembert",
    "longformer",
    "xlm-roberta-xl",
    "roberta-prelayernorm",
    "data2vec-text",
    "ibert",
)
