"""What a file with a cache consists of: names that may stand in it, and what each kind of document must be. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

SCHEMA = 1
HEAD, ACCOUNT = "mlship-cache.json", "account.json"
MEMBER = re.compile(r"(blobs|debs|folders)/[0-9a-f]{64}")
FOLDER_KINDS = ("packages", "models")
KEY = re.compile(r"[0-9a-f]{64}")
_HEX = r"[0-9a-f]{64}"


@dataclass(frozen=True)
class Form:
    """A kind of document. folder: below mlship's home. kind: how it leads to blobs."""

    folder: str
    ending: str
    kind: str

    def matches(self, name: str) -> bool:
        return re.fullmatch(f"{self.folder}/{_HEX}{re.escape(self.ending)}", name) is not None

    def is_led(self, text: str, ids: Collection[str], known: Mapping[str, str]) -> bool:
        """Whether all that the document leads to is there. ids: blobs and content ids, in hex. False for damaged ones."""
        try:
            return _leads(self.kind, text, ids, known)
        except (ValueError, KeyError, TypeError, AttributeError):
            return False


# In this order: lists lead to keys, pointers to records.
DOCUMENTS = (
    Form("cache/layers", ".json", "layer"),
    Form("cache/layers", ".list", "list"),
    Form("cache/bases", ".json", "base"),
    Form("images/records", ".json", "record"),
    Form("images/inputs", "", "pointer"),
    Form("images/quality", ".json", "record"),  # what tests and loads learned of an image goes where it goes
    Form("images/benches", ".json", "record"),
)


def form_of(name: str) -> Form | None:
    """None for a document that has no place in a cache."""
    return next((form for form in DOCUMENTS if form.matches(name)), None)


def _leads(kind: str, text: str, ids: Collection[str], known: Mapping[str, str]) -> bool:
    if kind == "pointer":
        content, _, manifest = text.partition(" ")
        is_known = re.fullmatch(f"sha256:{_HEX}", content) and f"images/records/{_hex(content)}.json" in known
        return bool(is_known) and (not manifest or _hex(manifest) in ids)
    document: Any = json.loads(text)
    if kind == "layer":
        return _hex(document["blob"]["digest"]) in ids
    if kind == "list":
        return bool(document) and all(f"cache/layers/{key}.json" in known for key in document)
    if kind == "base":
        return all(_hex(layer["blob"]["digest"]) in ids for layer in document["layers"])
    return _hex(document["content"]) in ids


def _hex(digest: str) -> str:
    return digest.removeprefix("sha256:")
