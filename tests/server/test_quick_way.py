"""The short way of plain JSON numbers and the long way of everything give the same answers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from crowd import Crowd, modelled, sums
from hypothesis import example, given, settings
from hypothesis import strategies as st
from served import answers
from wired import request

from mlship.server.input import flat_numbers
from mlship.server.manifest import Feature, Signature

SIGNATURES = {
    "float64": Signature((Feature("a"), Feature("b")), (), "array"),
    "float32": Signature((Feature("a", "float32"), Feature("b", "float32")), (), "array"),
    "one": Signature((Feature("a"),), (), "array"),
    "nullable": Signature((Feature("a", nullable=True), Feature("b")), (), "array"),
    "frame": Signature((Feature("a", "float32"), Feature("b", "float64")), (), "frame", True),
}
BODIES = [
    b'{"instances": [[1, 2.5]]}',
    b'{"instances": [[1, 2.5], [3, -0.0]]}',
    b'{"instances": [[true, 2]]}',
    b'{"instances": [[1, null]]}',
    b'{"instances": [[1, "2"]]}',
    b'{"instances": [[1, [2]]]}',
    b'{"instances": [[1, [2]], [3, 4]]}',
    b'{"instances": [[1, [2, 3]], [[], 4]]}',
    b'{"instances": [[1, 2], [3]]}',
    b'{"instances": [[1], [2, 3, 4]]}',
    b'{"instances": [[1, {"b": 2}]]}',
    b'\xef\xbb\xbf{"instances": [[1, 2]]}',
    b' {"instances" : [ [ 1 , 2 ] ] } \n',
    b'{"instances": [[1, 2]]} x',
    b'{"instances": [[01, 2]]}',
    b'{"instances": [[1., 2]]}',
    b'{"instances": [[-0, 5e-324]]}',
    b'{"inst\\u0061nces": [[1, 2]]}',
    b'{"instances": [[1, 2, 3]]}',
    b'{"instances": [[1], [2]]}',
    b'{"instances": [1, 2]}',
    b'{"instances": ["ab"]}',
    b'{"instances": [{"a": 1, "b": 2}]}',
    b'{"instances": {"a": [1, 2]}}',
    b'{"instances": []}',
    b'{"instances": [[]]}',
    b'{"instances": 5}',
    b'{"instances": [[1, 2]], "instances": [[3, 4]]}',
    b'{"instances": [[1, 2]], "more": 1}',
    b'{"instances": [[18446744073709551615, 9007199254740993]]}',
    b'{"instances": [[18446744073709551616, -1e-320]]}',
    b'{"instances": [[1e300, 1]]}',
    b'{"instances": [[1e400, 1]]}',
    b'{"instances": [[NaN, 1]]}',
    b'[[1, 2]]',
    b'{"other": [[1, 2]]}',
    b'"instances"',
    b"",
    b"\xff",
]  # fmt: skip
VALUES = st.one_of(
    st.floats(), st.integers(), st.booleans(), st.none(), st.text(max_size=2), st.lists(st.integers(), max_size=2)
)


def summed(rows: Any) -> Any:
    return sums(rows.to_numpy() if hasattr(rows, "to_numpy") else rows)


def answered(signature: Signature, body: bytes, is_short: bool) -> Any:
    """Status and body of the answer, without the request's id."""
    model = modelled(summed, signature)
    if not is_short:
        model.packer = None
    crowd = Crowd(model, 1)
    crowd.send(request("POST", "/predict", "Content-Type: application/json", body=body))
    crowd.turn()
    (answer,) = answers(crowd.transports[0].written)
    told = answer.json
    told.pop("request_id", None)
    return answer.status, told


@pytest.mark.parametrize("signature", SIGNATURES.values(), ids=SIGNATURES.keys())
@pytest.mark.parametrize("body", BODIES, ids=[body.decode("latin-1")[:40] for body in BODIES])
def test_both_ways_answer_equally(signature: Signature, body: bytes) -> None:
    assert answered(signature, body, is_short=True) == answered(signature, body, is_short=False)


@pytest.mark.parametrize("name", ["float64", "float32"])
@pytest.mark.parametrize("body", BODIES, ids=[body.decode("latin-1")[:40] for body in BODIES])
def test_a_body_that_is_large_is_answered_equally(name: str, body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = answered(SIGNATURES[name], body, is_short=False)
    monkeypatch.setattr(flat_numbers, "SMALLEST", 0)
    assert answered(SIGNATURES[name], body, is_short=True) == wanted


@given(rows=st.lists(st.lists(VALUES, min_size=1, max_size=3), min_size=1, max_size=3))
@example(rows=[[1.5, 2.5]])
@settings(max_examples=25, deadline=None)
def test_both_ways_answer_any_rows_equally(rows: list[Any]) -> None:
    body = json.dumps({"instances": rows}).encode("utf-8", "replace")
    assert answered(SIGNATURES["float32"], body, is_short=True) == answered(SIGNATURES["float32"], body, is_short=False)
