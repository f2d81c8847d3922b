"""A small transformer: what is a function of Python's library about, by what its documentation says? The texts ship with Python.

    python -m venv .venv && .venv/bin/pip install -r requirements.txt
    .venv/bin/python train.py

Writes the folder docs/ as save_pretrained does: a network of 60,000 weights, made from a configuration, and a tokenizer that is
trained on the same texts. Nothing is downloaded.
"""

import inspect
import math
import os
import socket
import statistics

os.environ["HF_HUB_OFFLINE"] = "1"
import torch
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

TOPICS = {"numbers": (math, statistics), "files": (os, os.path), "network": (socket, socket.socket)}
SPECIAL = ["[UNK]", "[PAD]", "[CLS]", "[SEP]"]

texts, topics = [], []
for topic, (_, places) in enumerate(TOPICS.items()):
    found = {
        inspect.getdoc(each) or ""
        for place in places
        for name, each in vars(place).items()
        if name[0] != "_" and callable(each)
    }
    texts += sorted(text for text in found if len(text) > 40)
    topics += [topic] * (len(texts) - len(topics))

words = Tokenizer(models.WordPiece(unk_token="[UNK]"))
words.normalizer = normalizers.Lowercase()
words.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
words.train_from_iterator(texts, trainers.WordPieceTrainer(vocab_size=1200, special_tokens=SPECIAL, show_progress=False))
words.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
tokenizer = transformers.PreTrainedTokenizerFast(
    tokenizer_object=words, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]", model_max_length=64
)
torch.manual_seed(7)
torch.set_num_threads(1)
config = transformers.BertConfig(
    vocab_size=words.get_vocab_size(),
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=64,
    max_position_embeddings=64,
    pad_token_id=1,
    initializer_range=0.1,  # so small a network does not get away from the usual 0.02
    hidden_dropout_prob=0.0,
    id2label=dict(enumerate(TOPICS)),
)
model = transformers.BertForSequenceClassification(config)
tokens = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
wanted = torch.tensor(topics)
optimizer = torch.optim.AdamW(model.parameters(), 2e-3)
for _ in range(10):
    for part in torch.randperm(len(texts)).split(32):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(
            model(**{name: each[part] for name, each in tokens.items()}).logits, wanted[part]
        ).backward()
        optimizer.step()
model.eval()
with torch.inference_mode():
    right = (model(**tokens).logits.argmax(1) == wanted).float().mean().item()
model.save_pretrained("docs")
tokenizer.save_pretrained("docs")
print(f"docs/: {right:.2f} of the {len(texts)} texts that it learned are right")
