"""Features that are arrays in themselves, images and sequences, and columns each in its own dtype: whatever form they come in."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from spoken import Spoken

from mlship.server.core import ServedModel
from mlship.server.manifest import Feature, Manifest, Model, Output, Signature, from_json, to_json


class Sums:
    """Answers with the sum of each row's values, and keeps what it was given."""

    title = "Sums"
    given: Mapping[str, Any] = {}

    def predict(self, rows: Any) -> Mapping[str, Any]:
        self.given = rows
        numbers = [array for array in rows.values() if array.dtype.kind in "biuf"]
        return {"predictions": sum(array.reshape(len(array), -1).sum(axis=1) for array in numbers)}

    def signature(self, sample: tuple[Any, ...]) -> Signature:
        return Signature()


IMAGE = Signature(
    (Feature("image", "float32", shape=(1, 2, 3)),), (Output("predictions", "float32"),), "tensors", True, "image"
)
WORDS = Signature((Feature("ids", "int64", shape=(-1,)), Feature("mask", "bool", shape=(-1,))), (), "tensors", True)
MIXED = Signature(
    (Feature("age", "int64"), Feature("city", "string"), Feature("fee", "float32", nullable=True)), (), "tensors", True
)
ONE, TWO = [[[1, 2, 3], [4, 5, 6]]], [[[1.5, 0, 0], [0, 0, 0]]]


def spoken(signature: Signature) -> tuple[Spoken, Sums]:
    loaded = Sums()
    return Spoken(loaded, framework="onnx", signature=signature), loaded


@pytest.mark.parametrize("rows", [[ONE, TWO], [[ONE], [TWO]], [{"image": ONE}, {"image": TWO}]])
def test_an_image_comes_bare_in_a_list_or_by_name(rows: list[Any]) -> None:
    server, loaded = spoken(IMAGE)
    assert server.ask("/predict", {"instances": rows}).json["predictions"] == [21.0, 1.5]
    assert (loaded.given["image"].shape, loaded.given["image"].dtype) == ((2, 1, 2, 3), np.float32)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ([[[1, 2, 3]]], 'row 0, feature "image": expected a list of 1 x 2 x 3, each a number, got a list of 1 x 1 x 3'),
        ([[[1, 2, 3], [4, 5]]], "got lists of different lengths, 3 and 2"),
        ([[[1, 2, "x"], [4, 5, 6]]], 'got the string "x"'),
        ([[[1, 2, True], [4, 5, 6]]], "got true"),
        ([[[1, 2, 1e39], [4, 5, 6]]], "got 1e+39, which is beyond 3.4"),
        ([[[], []]], "got a list of 1 x 2 x 0"),
    ],
)
def test_what_is_no_such_image_is_named(row: Any, words: str) -> None:
    server, _ = spoken(IMAGE)
    for form in (row, {"image": row}):
        answer = server.ask("/predict", {"instances": [form]})
        assert answer.status == 422 and words in answer.json["error"]["problems"][0]["message"], answer.body


@pytest.mark.parametrize("name", ["image", "input-0"])
@pytest.mark.parametrize("binary", [True, False])
def test_a_tensor_of_images_goes_straight_into_the_array(name: str, binary: bool) -> None:
    server, loaded = spoken(IMAGE)
    values = np.array([ONE, TWO], dtype="float32")
    answer = server.ask("/v2/models/demo/infer", *tensor(name, values, binary))
    assert answer.json["outputs"][0] == {"name": "predictions", "datatype": "FP32", "shape": [2], "data": [21.0, 1.5]}
    np.testing.assert_array_equal(loaded.given["image"], values)
    told = server.ask("/v2/models/demo").json["inputs"]
    assert told == [{"name": "image", "datatype": "FP32", "shape": [-1, 1, 2, 3]}]


def test_a_tensor_of_another_shape_or_with_holes_is_named() -> None:
    server, _ = spoken(IMAGE)
    values = np.array([ONE, ONE, TWO], dtype="float32")
    wrong = server.ask("/v2/models/demo/infer", *tensor("image", values.reshape(3, 2, 3), True))
    assert (wrong.status, wrong.json["error"]) == (
        422,
        'the tensor "image" has shape [3, 2, 3]; the model takes [rows, 1, 2, 3]',
    )
    values[1, 0, 1, 2] = values[1, 0, 0, 0] = np.nan
    holed = server.ask("/v2/models/demo/infer", *tensor("image", values, True)).json
    assert [problem["message"][:46] for problem in holed["problems"]] == ['row 1, feature "image": expected a number, got']


def test_npy_of_images_is_taken() -> None:
    server, _ = spoken(IMAGE)
    into = io.BytesIO()
    np.save(into, np.array([ONE, TWO]))
    answer = server.ask("/invocations", into.getvalue(), {"content-type": "application/x-npy"})
    assert answer.status == 200 and np.load(io.BytesIO(answer.body)).tolist() == [21.0, 1.5]


def test_sequences_may_be_of_any_length_and_of_one_in_a_request() -> None:
    server, loaded = spoken(WORDS)
    rows = [{"ids": [5, 2**62], "mask": [True, False]}, {"ids": [7, 8], "mask": [True, True]}]
    assert server.ask("/predict", {"instances": rows}).status == 200
    assert loaded.given["ids"].tolist() == [[5, 2**62], [7, 8]] and loaded.given["mask"].dtype == np.bool_
    rows[1] = {"ids": [7], "mask": [True]}
    ragged = server.ask("/predict", {"instances": rows})
    assert ragged.status == 422 and 'differ in the length of "ids"; send one length' in ragged.json["error"]["message"]


def test_requests_of_other_lengths_are_not_joined() -> None:
    model = ServedModel(Model("demo", "onnx", "onnx", "m", "", signature=WORDS), Sums())
    kinds = [model.prepare([{"ids": [1] * size, "mask": [True] * size}]).kind for size in (2, 3, 2)]
    assert kinds[0] == kinds[2] != kinds[1]


def test_each_column_keeps_its_own_dtype() -> None:
    server, loaded = spoken(MIXED)
    answer = server.ask("/predict", {"instances": [[2**53 + 1, "Oslo", 1.5], [3, "Rome", None]]})
    assert answer.status == 200
    assert {name: array.dtype.kind for name, array in loaded.given.items()} == {"age": "i", "city": "O", "fee": "f"}
    assert loaded.given["age"].tolist() == [2**53 + 1, 3] and np.isnan(loaded.given["fee"][1])
    told = server.ask("/predict", b"age,city,fee\n1,Oslo,2\n", {"content-type": "text/csv"})
    assert told.status == 200


def test_the_schema_says_how_lists_are_nested() -> None:
    server, _ = spoken(IMAGE)
    assert server.ask("/schema").json["inputs"][0]["shape"] == [1, 2, 3]
    row = server.ask("/openapi.json").json["components"]["schemas"]["Row"]["oneOf"][0]
    inner = row["properties"]["image"]["items"]["items"]
    assert inner == {"type": "array", "items": {"type": "number"}, "minItems": 3, "maxItems": 3}


def test_shapes_stand_in_the_manifest() -> None:
    document = Manifest("demo", (Model("demo", "onnx", "onnx", "m", "", signature=IMAGE),))
    assert from_json(to_json(document)) == document


def tensor(name: str, values: Any, binary: bool) -> tuple[bytes, dict[str, str]]:
    head: dict[str, Any] = {"name": name, "datatype": "FP32", "shape": list(values.shape)}
    if not binary:
        listed = [None if value != value else value for value in values.ravel().tolist()]
        return json.dumps({"inputs": [{**head, "data": listed}]}).encode(), {}
    head["parameters"] = {"binary_data_size": values.nbytes}
    text = json.dumps({"inputs": [head]}).encode()
    return text + values.tobytes(), {"Inference-Header-Content-Length": str(len(text))}
