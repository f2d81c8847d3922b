"""What an XGBoost model file says of itself: JSON and UBJSON, as Booster.save_model writes them. Standard library only.

The form is XGBoost's own schema (doc/model.schema in its sources), read of files of 1.7 to 3.2; categories stand in files of 3.1
and newer (learner.gradient_booster.model.cats).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from mlship.server.boosted_header import Column, Header, Kind, Task, columns_of, counted, damaged, span_of
from mlship.server.skim import First, skim, skimmed

_TREES = 30  # of which the splits are looked at
_MODEL = {"cats": True, "trees": First(_TREES, {"split_indices": True, "split_conditions": True, "left_children": True})}
WANTED = {
    "learner": {
        "attributes": True,
        "feature_names": True,
        "feature_types": True,
        "gradient_booster": {"name": True, "model": _MODEL, "gbtree": {"model": _MODEL}},
        "learner_model_param": True,
        "objective": {"name": True},
    },
    "version": True,
}
_KINDS: Mapping[str, Kind] = {"i": "truth", "c": "category"}


def header(path: Path) -> Header:
    """Raises Refused for a damaged file, OSError."""
    return _header(skim(path, WANTED))


def header_of(saved: bytes | bytearray) -> Header:
    """As `header`, of what Booster.save_raw gave."""
    return _header(skimmed(bytes(saved), WANTED))


def _header(document: dict[str, Any]) -> Header:
    try:
        learner = document["learner"]
        numbers = learner["learner_model_param"]
        objective, booster = learner["objective"]["name"], learner["gradient_booster"]
        classes, targets = counted(numbers.get("num_class", 0)), counted(numbers.get("num_target", 1))
        names, types = learner.get("feature_names") or [], learner.get("feature_types") or []
        model = booster.get("model") or (booster.get("gbtree") or {}).get("model") or {}
        kinds = [_KINDS.get(kind, "number") for kind in types]
        attributes = learner.get("attributes") or {}
        task = _task(objective, classes, targets, _wrapper(attributes))
        return Header(
            objective=str(objective),
            columns=columns_of(
                names, counted(numbers["num_feature"]), kinds, _words(model.get("cats") or {}), _spans(model.get("trees") or ())
            ),
            task=task,
            labels=_labels(task, classes),
            is_named=bool(names),
            version=".".join(map(str, document.get("version", ()))),
            facts={"booster": str(booster.get("name", "")), "attributes": attributes, "wrapped": "scikit_learn" in attributes},
        )
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise damaged(f"it is no XGBoost model ({type(error).__name__}: {error})") from None


def _wrapper(attributes: Mapping[str, Any]) -> str:
    """`classifier`, `regressor` or `ranker`, where a scikit-learn wrapper saved the file."""
    said = json.loads(attributes.get("scikit_learn") or "{}")
    return str(said.get("_estimator_type", ""))


def _task(objective: str, classes: int, targets: int, wrapper: str) -> Task:
    """By the objective's name; `binary:logitraw` and those of the user's own give numbers that are no probabilities."""
    if wrapper not in ("", "classifier"):
        return "value"
    if objective in ("binary:logistic", "binary:hinge"):
        return "multilabel" if targets > 1 else "binary"
    return "multiclass" if objective in ("multi:softprob", "multi:softmax") and classes > 1 else "value"


def _labels(task: Task, classes: int) -> tuple[int, ...]:
    """XGBoost numbers its classes, in the scikit-learn wrapper too."""
    return tuple(range({"binary": 2, "multiclass": classes}.get(task, 0)))


def _words(cats: Mapping[str, Any]) -> dict[int, tuple[Any, ...]]:
    """Column -> its categories. Texts stand as one run of bytes with offsets, numbers as they are."""
    found: dict[int, tuple[Any, ...]] = {}
    for place, entry in enumerate(cats.get("enc", ())):
        values = entry["values"]
        if "offsets" not in entry and values:
            found[place] = tuple(values)
        elif entry.get("offsets"):
            run = bytes(value & 0xFF for value in values)
            found[place] = tuple(run[start:end].decode() for start, end in pairwise(entry["offsets"]))
    return found


def _spans(trees: Iterable[Mapping[str, Any]]) -> dict[int, tuple[float, float] | None]:
    """Column -> least and largest number at which the trees split; a node without children is a leaf."""
    splits: dict[int, list[float]] = {}
    for tree in trees:
        for place, at, left in zip(tree["split_indices"], tree["split_conditions"], tree["left_children"], strict=True):
            if left != -1:
                splits.setdefault(int(place), []).append(at)
    return {place: span_of(numbers) for place, numbers in splits.items()}


def unknown_categories(header: Header) -> tuple[Column, ...]:
    """Columns of categories whose words the file does not hold: XGBoost before 3.1, or trained on codes."""
    return tuple(column for column in header.columns if column.kind == "category" and column.words is None)
