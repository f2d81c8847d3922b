"""The answers that the examples must give to their request.json: from the libraries that trained them (example_answers.py)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
# What another machine's arithmetic, or a later version of the library, makes of the same seed; a wrong model is far from it.
LEARNED = 0.02


def request(name: str) -> bytes:
    return (EXAMPLES / name / "request.json").read_bytes()


def assert_golden(name: str, answer: Mapping[str, Any]) -> None:
    """Labels exactly, numbers within LEARNED."""
    golden = json.loads((EXAMPLES / name / "golden.json").read_text())
    for output, wanted in golden.items():
        assert output in answer, (name, output, sorted(answer))
        assert _alike(answer[output], wanted), (name, output, answer[output], wanted)


def _alike(told: Any, wanted: Any) -> bool:
    if isinstance(wanted, list):
        return isinstance(told, list) and len(told) == len(wanted) and all(map(_alike, told, wanted))
    if isinstance(wanted, float):
        return told == pytest.approx(wanted, rel=LEARNED, abs=LEARNED)
    return type(told) is type(wanted) and told == wanted
