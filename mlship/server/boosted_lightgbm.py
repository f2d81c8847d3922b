"""What a LightGBM model file says of itself: the text that Booster.save_model writes. Standard library only.

Before the first tree stand lines `key=value` (src/boosting/gbdt_model_text.cpp of LightGBM), behind the last one the parameters
of training as `[key: value]`, and a last line that the Python package adds, `pandas_categorical:` with JSON.
"""

from __future__ import annotations

import json
import mmap
import re
from pathlib import Path
from typing import Any

from mlship.server.boosted_header import Header, Kind, Task, columns_of, counted, damaged, span_of

TAIL = 1 << 20
_HEAD = 64 * 2**20
_BY_COLUMN = re.compile(rb"\[categorical_feature: ([\d,]*)\]")
_PANDAS = b"pandas_categorical:"


def header(path: Path) -> Header:
    """Raises Refused for a damaged file, OSError."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return header_of(content)


def header_of(content: bytes | mmap.mmap) -> Header:
    """As `header`, of the text itself."""
    end = content.find(b"\nTree=", 0, _HEAD)
    end = end if end >= 0 else content.find(b"\nend of trees", 0, _HEAD)
    if end < 0:
        raise damaged("it has no trees")
    try:
        lines = [line.partition("=") for line in bytes(content[:end]).decode().splitlines()]
        said = {key: value for key, _, value in lines}
        return _header(said, _tail(content))
    except (KeyError, ValueError, TypeError, RecursionError) as error:
        raise damaged(f"it is no LightGBM model ({type(error).__name__}: {error})") from None


def _header(said: dict[str, str], tail: tuple[tuple[int, ...], list[Any]]) -> Header:
    objective, _, settings = said.get("objective", "").partition(" ")
    names = said["feature_names"].split(" ")
    count, classes = counted(int(said["max_feature_idx"]) + 1), counted(said["num_class"])
    places, categories = tail
    infos = said.get("feature_infos", "").split(" ")
    of_frame = _of_frame(infos, places, categories)
    is_named = any(name != f"Column_{place}" for place, name in enumerate(names))
    task: Task = "binary" if objective == "binary" else "multiclass" if objective.startswith("multiclass") else "value"
    coded = of_frame if of_frame is not None else ()
    kinds: list[Kind] = ["category" if place in coded else "number" for place in range(count)]
    words = {place: tuple(known) for place, known in zip(coded, categories, strict=False)}
    return Header(
        objective=objective,
        columns=columns_of(names if is_named or len(names) != count else (), count, kinds, words, _spans(infos)),
        task=task,
        labels=tuple(range({"binary": 2, "multiclass": classes}.get(task, 0))),
        is_named=is_named,
        facts={"format": said.get("version", ""), "settings": settings, "is_told": of_frame is not None},
    )


def _spans(infos: list[str]) -> dict[int, tuple[float, float] | None]:
    """Least and largest number of training: `[0.5:12]`."""
    pairs = ((place, info[1:-1].partition(":")) for place, info in enumerate(infos) if info.startswith("["))
    return {place: span_of((float(low), float(high))) for place, (low, _, high) in pairs}


def _of_frame(infos: list[str], places: tuple[int, ...], categories: list[Any]) -> tuple[int, ...] | None:
    """The columns that `categories` speaks of, in its order; None where the file does not tell which they are.

    The last line names no columns. Where as many are declared categorical, or split as such (`0:1:2` in place of `[0:2]`),
    it is these.
    """
    split = tuple(place for place, info in enumerate(infos) if info != "none" and not info.startswith("["))
    return next((found for found in ((), places, split) if len(found) == len(categories)), None)


def _tail(content: bytes | mmap.mmap) -> tuple[tuple[int, ...], list[Any]]:
    """Places of the categorical columns as training was told them, and what pandas_categorical lists."""
    start = content.rfind(b"\n" + _PANDAS)
    parameters = content.rfind(b"\nparameters:")
    declared = _BY_COLUMN.search(content, max(parameters, 0)) if parameters >= 0 else None
    places = tuple(int(place) for place in declared[1].split(b",") if place) if declared else ()
    line = bytes(content[start + 1 + len(_PANDAS) :]) if start >= 0 else b"null"
    listed = json.loads(line)
    if listed is not None and not (isinstance(listed, list) and all(isinstance(known, list) for known in listed)):
        raise ValueError("pandas_categorical is no list of lists")
    return places, listed or []
