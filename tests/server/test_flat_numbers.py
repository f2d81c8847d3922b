"""simdjson reads large bodies of plain numbers to the last bit as orjson does, and nothing else."""

from __future__ import annotations

import struct
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mlship.server.input import flat_numbers
from mlship.server.input.flat_numbers import float64_rows

NUMBERS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(-1e3, 1e3).map(lambda x: round(x, 4)),
)


def body_of(rows: list[Any]) -> bytes:
    return b'{"instances":[%s]}' % b",".join(b"[%s]" % b",".join(repr(value).encode() for value in row) for row in rows)


@given(rows=st.integers(1, 5).flatmap(lambda width: st.lists(st.lists(NUMBERS, min_size=width, max_size=width), min_size=1)))
@example(rows=[[5e-324, -0.0, 1.7976931348623157e308, 2**64 - 1, -(2**63)]])
@settings(max_examples=100, deadline=None)
def test_every_number_is_the_same_to_the_last_bit(rows: list[list[float]]) -> None:
    body = body_of(rows)
    packed = b"".join(struct.pack(f"{len(row)}d", *row) for row in orjson.loads(body)["instances"])
    assert float64_rows(body, len(rows[0])) == packed


@pytest.mark.parametrize(
    "rows",
    ["[[1,2],[3]]", "[[1],[2,3,4]]", "[[1,[2]]]", "[[1,[2,3]],[[],4]]", "[[]]", "[]", "[1,2]", "5", '["ab"]', '[[1,"2"]]'],
)
def test_what_is_no_table_of_so_many_columns_is_left_to_others(rows: str) -> None:
    assert float64_rows(f'{{"instances":{rows}}}'.encode(), 2) is None


def test_without_simdjson_all_is_left_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    assert float64_rows(b'{"instances":[[1,2]]}', 2) == struct.pack("2d", 1, 2)
    monkeypatch.setattr(flat_numbers, "_simdjson", None)
    assert float64_rows(b'{"instances":[[1,2]]}', 2) is None
