"""What a CatBoost model file says of itself: .cbm and its JSON. Standard library only.

A .cbm is `CBM1`, the length of its core in 4 bytes, and the core as FlatBuffers (catboost/libs/model/flatbuffers/model.fbs and
features.fbs): format, trees with their features, and a map of texts, JSON most of them.
"""

from __future__ import annotations

import json
import mmap
import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlship.server.boosted_header import Header, Kind, Task, columns_of, damaged, span_of
from mlship.server.skim import skim

_RELEASE = re.compile(r"tags/v(\d[\w.]*)|release (\d[\w.]*\d)")
_TREES, _INFO = 1, 2  # fields of TModelCore
_FIELDS: tuple[tuple[int, int, Kind], ...] = (  # field of the trees, field of a feature that holds its name
    (4, 2, "category"),
    (5, 4, "number"),
    (12, 2, "text"),
)
_FLAT_INDEX, _FLOATS, _BORDERS = 1, 5, 3
_IN_JSON: tuple[tuple[str, Kind], ...] = (
    ("categorical_features", "category"),
    ("float_features", "number"),
    ("text_features", "text"),
)
_TASKS: dict[str, Task] = {
    "Logloss": "binary",
    "CrossEntropy": "binary",
    "MultiClass": "multiclass",
    "MultiClassOneVsAll": "multiclass",
    "MultiLogloss": "multilabel",
    "MultiCrossEntropy": "multilabel",
}


def header(path: Path) -> Header:
    """Raises Refused for a damaged file, OSError."""
    with path.open("rb") as file:
        is_binary = file.read(4) == b"CBM1"
        if is_binary:
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                return header_of(content)
    document = skim(path, {"features_info": {name: True for name, _ in _IN_JSON}, "model_info": True})
    try:
        features = document.get("features_info") or {}
        spans = {
            int(one["flat_feature_index"]): span_of(one["borders"])
            for one in features.get("float_features") or ()
            if one.get("borders")
        }
        found = [
            (int(feature["flat_feature_index"]), str(feature.get("feature_id", "")), kind)
            for name, kind in _IN_JSON
            for feature in features.get(name) or ()
        ]
        return header_from(found, document.get("model_info") or {}, spans)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise damaged(f"it is no CatBoost model ({type(error).__name__}: {error})") from None


def header_of(content: bytes | mmap.mmap) -> Header:
    """As `header`, of a .cbm's bytes."""
    try:
        (length,) = struct.unpack_from("<I", content, 4)
        core = _Buffer(content, 8, 8 + length)
        root = core.pointed(8)
        trees = core.field(root, _TREES)
        found = [
            (core.number(feature, _FLAT_INDEX), core.text(feature, name), kind)
            for place, name, kind in _FIELDS
            for feature in core.tables(core.field(core.pointed(trees), place) if trees else 0)
        ]
        numbers = core.tables(core.field(core.pointed(trees), _FLOATS) if trees else 0)
        spans = {core.number(one, _FLAT_INDEX): span_of(core.floats(one, _BORDERS)) for one in numbers}
        info = {core.text(pair, 0): core.text(pair, 1) for pair in core.tables(core.field(root, _INFO))}
        return header_from(found, info, spans)
    except (struct.error, KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise damaged(f"it is no CatBoost model ({type(error).__name__}: {error})") from None


def header_from(
    features: Sequence[tuple[int, str, Kind]], info: Mapping[str, Any], spans: Mapping[int, Any] | None = None
) -> Header:
    """features: place among the columns, name, kind; info: the map of texts, of which a value may be parsed already.

    The last columns are missing in a file whose trees never look at them. Raises ValueError.
    """
    known = {place: (name, kind) for place, name, kind in features}
    count = max(known, default=-1) + 1
    if not 0 < count <= 10 * len(known) + 1000:
        raise ValueError(f"{count} columns")
    names = [known.get(place, ("", "number"))[0] or str(place) for place in range(count)]
    kinds: list[Kind] = [known[place][1] if place in known else "number" for place in range(count)]
    is_named = names != [str(place) for place in range(count)]
    loss = _parsed(info.get("params")).get("loss_function", {})
    objective = str(loss.get("type", "")) if isinstance(loss, dict) else str(loss)
    task = _TASKS.get(objective, "value")
    labels = tuple(_parsed(info.get("class_params")).get("class_names") or ())
    release = _RELEASE.search(str(info.get("catboost_version_info", "")))
    return Header(
        objective=objective,
        columns=columns_of(names if is_named else (), count, kinds, spans=spans),
        task=task,
        labels=labels or ((0, 1) if task == "binary" else ()),
        is_named=is_named,
        version=(release[1] or release[2]) if release else "",
    )


def _parsed(value: Any) -> dict[str, Any]:
    document = json.loads(value) if isinstance(value, str) else value
    return document if isinstance(document, dict) else {}


class _Buffer:
    """FlatBuffers: offsets of 32 bits, little-endian; a table's first word leads back to what says where its fields are."""

    def __init__(self, content: Any, start: int, end: int) -> None:
        self._content, self._start, self._end = content, start, min(end, len(content))
        self._left = self._end - start  # of what is taken: nothing in a whole file stands for two features

    def pointed(self, at: int) -> int:
        return at + self._read("<I", at)

    def field(self, table: int, index: int) -> int:
        """Where the field's value stands; 0 where it is left out."""
        fields = table - self._read("<i", table)
        if 4 + 2 * index + 2 > self._read("<H", fields):
            return 0
        offset = self._read("<H", fields + 4 + 2 * index)
        return table + offset if offset else 0

    def number(self, table: int, index: int) -> int:
        at = self.field(table, index)
        return self._read("<i", at) if at else -1

    def text(self, table: int, index: int) -> str:
        at = self.field(table, index)
        if not at:
            return ""
        start = self.pointed(at)
        length = self._read("<I", start)
        if start + 4 + length > self._end:
            raise ValueError("a text beyond the end")
        self._spend(length)
        return bytes(self._content[start + 4 : start + 4 + length]).decode()

    def floats(self, table: int, index: int) -> tuple[float, ...]:
        at = self.field(table, index)
        if not at:
            return ()
        start = self.pointed(at)
        count = self._read("<I", start)
        if start + 4 + 4 * count > self._end:
            raise ValueError("a list beyond the end")
        self._spend(4 * count)
        return struct.unpack_from(f"<{count}f", self._content, start + 4)

    def _spend(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise ValueError("parts that overlap")

    def tables(self, at: int) -> Iterator[int]:
        """Each table of a vector."""
        if not at:
            return
        start = self.pointed(at)
        count = self._read("<I", start)
        if start + 4 + 4 * count > self._end:
            raise ValueError("a list beyond the end")
        for place in range(count):
            yield self.pointed(start + 4 + 4 * place)

    def _read(self, form: str, at: int) -> int:
        if not self._start <= at <= self._end - struct.calcsize(form):
            raise ValueError("an offset beyond the end")
        return int(struct.unpack_from(form, self._content, at)[0])
