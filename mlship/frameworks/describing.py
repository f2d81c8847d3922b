"""Has model.reference described by the locked-down child that loads the model: histograms of its rows, and of the answers to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

from mlship.errors import Exit, MlshipError
from mlship.frameworks.base import Described
from mlship.frameworks.child import ChildPython, ask
from mlship.runner import Runner
from mlship.server import manifest
from mlship.server.drift_index import MOST_FEATURES, bin_names

LONGEST_VALUE = 1000  # characters of a text that a histogram names
MOST_BINS = 100


def describe_in_child(
    runner: Runner,
    python: ChildPython,
    entry: manifest.Model,
    root: Path,
    sample: Sequence[Any],
    rows: Mapping[str, Any],
    *,
    timeout_s: float,
) -> Described:
    """root: the folder that `entry.path` is relative to. rows: as flows/evidence.py draws them.

    Raises MlshipError (exit 5), with the code `rows-reference` where the file does not fit the model.
    """
    document = manifest.to_json(manifest.Manifest(project="describe", models=(entry,))).decode()
    asked = {"describe": dict(rows), "root": str(root.absolute()), "manifest": document, "sample": list(sample)}
    answer = ask(runner, python, asked, where=entry.path, timeout_s=timeout_s)
    try:
        return Described(_checked(answer["reference"]), int(answer["rows"]), int(answer["refused"]))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise MlshipError(
            f"the process that describes {rows['name']} gave no answer that can be read",
            entry.path,
            "leave out model.reference",
            exit=Exit.BUILD_FAILED,
            code="crash",
        ) from None


def _checked(said: dict[str, Any] | None) -> manifest.Reference | None:
    """What a process says that ran the model's code: any value may be any other. Raises ValueError, TypeError, KeyError."""
    found = manifest.reference_from_dict(said)
    if found is None:
        return None
    histograms = [*found.features.values(), *([found.predictions] if found.predictions else [])]
    if type(found.rows) is not int or len(found.features) > MOST_FEATURES or not all(map(_is_sound, histograms)):
        raise ValueError("no reference")
    return found


def _is_sound(histogram: manifest.Histogram) -> bool:
    edges, values = histogram.edges, histogram.values
    return (
        histogram.kind in ("number", "length", "category")
        and (histogram.kind == "category") == (not edges)
        and all(type(edge) in (int, float) and isfinite(edge) for edge in edges)
        and list(edges) == sorted(edges)
        and all(type(value) in (str, int, float, bool) and len(str(value)) <= LONGEST_VALUE for value in values)
        and len(bin_names(histogram)) <= MOST_BINS
        and len(histogram.counts) == len(bin_names(histogram))
        and all(type(count) is int and count >= 0 for count in histogram.counts)
    )
