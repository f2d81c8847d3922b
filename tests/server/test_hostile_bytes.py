"""Bytes that are made to hurt: each is answered as the caller's fault, at no more cost than its length."""

from __future__ import annotations

import json
import struct
import time
from dataclasses import replace
from typing import Any

import pytest
from served import SIGNATURE
from spoken import Spoken
from wired import Doubler

from mlship.server import problems
from mlship.server.input import csvtext
from mlship.server.manifest import Feature, Signature
from mlship.server.messages import refused
from mlship.server.problems import LIMIT, InputError

HUGE = "9" * 4000
UNKNOWN = Signature(container="list")


class Counted:
    """Any rows, as many as there are."""

    title = "Counted"

    def predict(self, rows: Any) -> dict[str, Any]:
        return {"predictions": list(range(len(rows)))}

    def signature(self, sample: tuple[Any, ...]) -> Signature:
        return UNKNOWN


PAIRS = Spoken(Counted(), signature=Signature((Feature("a"), Feature("b")), container="list"))
ANYTHING = Spoken(Counted(), signature=UNKNOWN)
MLFLOW = Spoken(Doubler(), serving={"invocations": "mlflow"}, passthrough=("id",))


def npy(header: str) -> bytes:
    raw = f"{header}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(raw)) + raw


@pytest.mark.parametrize(
    "header",
    [
        *(
            f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({shape})}}"
            for shape in (f"{HUGE}, {HUGE}", f"0, {10**30}", f"0, {2**62}", "-1, -1", "True, 2")
        ),
        "{'descr': (), 'fortran_order': False, 'shape': (1, 2)}",
        "{'descr': (((",
        "'''",
    ],
)
def test_a_header_of_npy_that_lies_is_refused(header: str) -> None:
    answer = PAIRS.ask("/predict", npy(header), {"content-type": "application/x-npy"})
    assert (answer.status, answer.json["error"]["code"]) == (400, "bad_request")


@pytest.mark.parametrize("shape", [[4_000_000_000, 0], [1, 0, 2**62], [2**62, 0], [1, 0]])
@pytest.mark.parametrize("sent", [{"data": []}, {"parameters": {"binary_data_size": 0}}])
def test_rows_of_nothing_are_not_made(shape: list[int], sent: dict[str, Any]) -> None:
    tensor = {"name": "input-0", "datatype": "FP64", "shape": shape, **sent}
    answer = ANYTHING.ask("/v2/models/demo/infer", {"inputs": [tensor]})
    assert (answer.status, "there is no value in it" in answer.json["error"]) == (400, True)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"dataframe_split": {"\\ud800": 1, "data": []}}', 400),
        (b'{"dataframe_records": [{"id": "\\udfff", "amount": 1, "city": null}]}', 400),
        (b'{"inputs": [{"id": "\xed\xa0\x80", "amount": 1, "city": NaN}]}', 400),
        (b'{"inputs": [{"id": 99999999999999999999999, "amount": 1, "city": NaN}]}', 200),
        (b'{"inputs": [{"id": "\\ud83d\\ude00", "amount": 1, "city": NaN}]}', 200),
    ],
)
def test_what_only_pythons_reader_takes_is_taken_where_an_answer_can_hold_it(body: bytes, status: int) -> None:
    assert MLFLOW.ask("/invocations", body).status == status


@pytest.mark.parametrize("rows", [[{f"a{number}": 1} for number in range(1000)], [[1] * 1000] + [[1]] * 1000])
def test_rows_with_little_in_common_make_no_table(rows: list[Any]) -> None:
    frames = Spoken(Counted(), signature=Signature(container="frame"))
    answer = frames.ask("/predict", {"instances": rows})
    assert (answer.status, answer.json["error"]["message"]) == (422, "the rows have too little in common to make a table")
    assert frames.ask("/predict", {"instances": [{"a": 1}, {"b": 2}]}).status == 200


@pytest.mark.parametrize("rows", [["x" * 100_000] + ["y"] * 10, [["x" * 100_000]] + [["y"]] * 10, [[[1]], [["y"]]], [[1], 2]])
def test_texts_become_no_array(rows: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = Spoken(Counted(), signature=Signature(container="array"))
    assert arrays.ask("/predict", {"instances": [[[1, 2.5], [True, 4]]] * 2}).status == 200
    monkeypatch.setattr("numpy.array", pytest.fail)
    answer = arrays.ask("/predict", {"instances": rows})
    assert (answer.status, answer.json["error"]["message"][:40]) == (422, "the rows must be lists of finite numbers")


def test_rows_that_are_nested_too_deeply_are_refused() -> None:
    body = b'{"instances": ' + b"[" * 1000 + b"]" * 1000 + b"}"
    answer = ANYTHING.ask("/predict", body)
    assert (answer.status, answer.json["error"]["message"]) == (422, "the rows are nested too deeply")


def test_a_long_cell_that_is_nearly_a_number_is_read_once() -> None:
    began = time.process_time()
    answer = PAIRS.ask("/predict", b"1" * 30_000 + b"x,1\n", {"content-type": "text/csv"})
    assert (answer.status, time.process_time() - began < 2.0) == (422, True)  # each digit from each other: 20 s


def test_integers_beyond_64_bits_go_through_csv_as_doubles() -> None:
    answer = Spoken(passthrough=("id",)).ask(
        "/predict", b"id,amount,city\n" + b"9" * 20 + b",1,\n", {"content-type": "text/csv"}
    )
    assert (answer.status, answer.body) == (200, b"predictions,id\n2,1e+20\n")


@pytest.mark.parametrize("body", [b"x," * 5000 + b"x\n1\n", b"amount,city\n" + b"1\n" * 5000])
def test_no_more_problems_are_looked_for_than_are_told(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def near(word: str, known: list[str]) -> str:
        seen.append(word)
        return ""

    monkeypatch.setattr(csvtext, "near", near)
    with pytest.raises(InputError) as found:
        csvtext.rows(body, SIGNATURE, header=True)
    assert (len(found.value.problems), len(seen) <= LIMIT) == (LIMIT, True)


def test_a_hint_is_looked_for_among_so_many_words(monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[str] = []
    monkeypatch.setattr(problems, "get_close_matches", lambda word, known, n: held.extend(known))
    assert problems.near("city_x", [f"city_{number}" for number in range(400)] + ["age"] * 100) == ""
    assert len(held) == problems.COMPARED
    monkeypatch.undo()
    assert [problems.near(word, ["age", "City", "amount"]) for word in ("city", "amnt", "ge", "")] == [
        '; did you mean "City"?',
        '; did you mean "amount"?',
        '; did you mean "age"?',
        "",
    ]


def test_no_more_wishes_are_weighed_than_make_sense() -> None:
    accept = {"accept": "a," * 16_000 + "text/csv", "content-type": "application/json"}
    assert PAIRS.ask("/predict", {"instances": [[1, 2]]}, accept).headers["content-type"] == "application/json"


def test_an_error_is_told_whatever_characters_its_words_have() -> None:
    assert json.loads(refused(422, "a \ud800 b", "1").body)["error"]["message"] == "a ? b"


def test_a_model_that_quotes_half_a_character_is_answered() -> None:
    class Quoting(Counted):
        def predict(self, rows: Any) -> dict[str, Any]:
            raise ValueError("no \udc80")

    answer = Spoken(Quoting(), signature=replace(SIGNATURE, inputs=(Feature("a"),))).ask("/predict", {"instances": [[1]]})
    assert answer.status == 422
