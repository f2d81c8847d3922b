"""A plan file gives back what was written, and a damaged one is refused in words."""

from __future__ import annotations

import json
from pathlib import Path

import numpy
import pytest

from mlship.server.runtimes.base import LoadError
from mlship.server.runtimes.plan_file import plan_bytes, read_plan

HEADER = {"engine": "numpy", "values": ["Ås", 1]}
ARRAYS = {"b": numpy.arange(3.0), "a": numpy.array([[1, 2]], dtype="<i8"), "empty": numpy.zeros((0, 4))}
WHOLE = plan_bytes(HEADER, ARRAYS)
WIDE = plan_bytes(HEADER, {"a": numpy.zeros((0, 10**9, 10**9))})


def test_a_plan_comes_back_as_it_was(tmp_path: Path):
    (tmp_path / "model.plan").write_bytes(WHOLE)
    plan = read_plan(tmp_path / "model.plan")
    assert plan.header["values"] == ["Ås", 1]
    assert {name: array.tolist() for name, array in plan.arrays.items()} == {
        name: array.tolist() for name, array in ARRAYS.items()
    }
    assert not plan.arrays["b"].flags.writeable


def test_equal_plans_are_equal_bytes():
    assert plan_bytes(dict(reversed(HEADER.items())), dict(reversed(ARRAYS.items()))) == WHOLE


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04" + bytes(100),
        WHOLE[:20],
        WHOLE[:-64],
        WHOLE.replace(b'"at": 0', b'"at":99', 1),
        WHOLE.replace(b'"at": 0', b'"at":-9', 1),
        WHOLE.replace(b"<f8", b"|O8"),
        WHOLE.replace(b'"schema": 1', b'"schema": 9'),
        WHOLE.replace(json.dumps([1, 2]).encode(), b'"1,2" ', 1),
        WIDE.replace(b"[0, 1000000000, 1000000000]", b"[9000000000000, 1000000000]"),
    ],
)
def test_a_damaged_plan_is_refused_in_words(content: bytes, tmp_path: Path):
    (tmp_path / "model.plan").write_bytes(content)
    with pytest.raises(LoadError, match=r"model\.plan"):
        read_plan(tmp_path / "model.plan")
