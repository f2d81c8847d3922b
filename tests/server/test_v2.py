"""The Open Inference Protocol and TensorFlow Serving's REST API: tensors in, tensors out, each refusal in its client's words."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy
import pytest
from served import Answer
from spoken import Spoken

from mlship.server.manifest import Feature, Output, Signature

FLOATS = Signature(
    tuple(Feature(f"x{index}", "float64") for index in range(3)),
    (Output("predictions", "float64"), Output("parts", "float64", (3,))),
)
MIXED = Signature(
    (
        Feature("age", "int64"),
        Feature("income", "float32", nullable=True),
        Feature("kids", "int8", nullable=True),
        Feature("city", "string", categories=("Rome", "Oslo")),
        Feature("member", "bool"),
        Feature("level", "int64", categories=(1, 2)),
        Feature("since", "datetime", nullable=True),
    ),
    (Output("predictions", "string"),),
    container="frame",
    named=True,
)


class Summed:
    """The sum of each row, and the row."""

    title = "Summed"

    def predict(self, rows: Any) -> dict[str, Any]:
        rows[:] = rows + 0  # a model may write into what it is given
        return {"predictions": rows.sum(axis=1), "parts": rows}

    def signature(self, sample: tuple[Any, ...]) -> Signature:
        return FLOATS


class Described:
    """What it was given, column by column."""

    title = "Described"

    def predict(self, rows: Any) -> dict[str, Any]:
        kinds = "/".join(str(dtype) for dtype in rows.dtypes)
        return {"predictions": [f"{kinds} {row}" for row in rows.astype(object).values.tolist()]}

    def signature(self, sample: tuple[Any, ...]) -> Signature:
        return MIXED


SERVING = {"protocols": ("native", "v2", "tfserving")}
SUMMED = Spoken(Summed(), serving=SERVING, signature=FLOATS)
DESCRIBED = Spoken(Described(), serving=SERVING, signature=MIXED)
DOUBLER = Spoken(serving=SERVING)
INFER = "/v2/models/demo/infer"


def column(name: str, datatype: str, *data: Any, shape: list[int] | None = None) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape or [len(data)], "data": list(data)}


MATRIX = {"name": "input-0", "datatype": "FP64", "shape": [2, 3], "data": [1, 2, 3, 4, 5, 6.5]}
ROW = {
    "age": column("age", "INT32", 31), "income": column("income", "FP32", None), "kids": column("kids", "FP64", 2.0),
    "city": column("city", "BYTES", "Rome"), "member": column("member", "BOOL", True), "level": column("level", "UINT8", 2),
    "since": column("since", "BYTES", "2026-01-02T03:04:05+02:00"),
}  # fmt: skip


def infer(spoken: Spoken, *inputs: dict[str, Any], raw: bytes = b"", **rest: Any) -> Answer:
    head = json.dumps({"inputs": inputs, **rest}).encode()
    return spoken.ask(INFER, head + raw, {"Inference-Header-Content-Length": str(len(head))} if raw else {})


def binary(name: str, datatype: str, shape: list[int], raw: bytes) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": len(raw)}}


def texts(*values: bytes) -> bytes:
    return b"".join(struct.pack("<I", len(value)) + value for value in values)


def test_a_matrix_is_answered_with_a_tensor_for_each_output() -> None:
    answer = infer(SUMMED, MATRIX, id="a1")
    assert (answer.status, answer.json) == (
        200,
        {
            "model_name": "demo",
            "model_version": "1",
            "id": "a1",
            "outputs": [
                {"name": "predictions", "datatype": "FP64", "shape": [2], "data": [6.0, 15.5]},
                {"name": "parts", "datatype": "FP64", "shape": [2, 3], "data": [1.0, 2.0, 3.0, 4.0, 5.0, 6.5]},
            ],
        },
    )


@pytest.mark.parametrize(
    "datatype", ["FP16", "FP32", "FP64", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64"]
)
def test_binary_tensors_of_every_number_say_what_json_says(datatype: str) -> None:
    letter = {"F": "f", "I": "i", "U": "u"}[datatype[0]] + str(int(datatype.lstrip("FPUINT")) // 8)
    raw = numpy.array([[1, 2, 3], [4, 5, 6]], dtype=f"<{letter}").tobytes()
    answer = infer(SUMMED, binary("input-0", datatype, [2, 3], raw), raw=raw, outputs=[{"name": "predictions"}])
    assert answer.json["outputs"][0]["data"] == [6.0, 15.0]


def test_answers_are_binary_where_they_are_asked_so() -> None:
    wanted = [{"name": "parts", "parameters": {"binary_data": True}}, {"name": "predictions"}]
    answer = infer(SUMMED, MATRIX, outputs=wanted)
    size = int(answer.headers["Inference-Header-Content-Length"])
    head = json.loads(answer.body[:size])
    assert [output.get("parameters") for output in head["outputs"]] == [{"binary_data_size": 48}, None]
    assert answer.headers["content-type"] == "application/octet-stream"
    assert struct.unpack("<6d", answer.body[size:]) == (1, 2, 3, 4, 5, 6.5)
    every = infer(SUMMED, MATRIX, parameters={"binary_data_output": True})
    assert len(every.body) - int(every.headers["Inference-Header-Content-Length"]) == 64


def test_one_tensor_a_feature_is_taken_by_name_in_any_order_and_of_both_shapes() -> None:
    columns = [column("x2", "FP64", 3, shape=[1, 1]), column("x0", "INT8", 1), column("x1", "FP32", 2)]
    assert infer(SUMMED, *columns).json["outputs"][0]["data"] == [6.0]


def test_a_frame_gets_each_column_in_its_own_dtype() -> None:
    answer = infer(DESCRIBED, *ROW.values())
    (said,) = answer.json["outputs"][0]["data"]
    assert said.startswith("int64/float32/int8/")
    assert "/bool/int64/datetime64" in said
    assert "[31, nan, 2, 'Rome', True, 2, Timestamp('2026-01-02 01:04:05')]" in said


def test_holes_make_whole_numbers_floats_as_they_do_in_json() -> None:
    (said,) = infer(DESCRIBED, *{**ROW, "kids": column("kids", "INT8", None)}.values()).json["outputs"][0]["data"]
    assert said.startswith("int64/float32/float64/")


def test_strings_are_bytes_with_their_length_before_them() -> None:
    raw = texts("Röm".encode(), b"", b"Rome")
    tensor = binary("city", "BYTES", [3], raw)
    amounts = column("amount", "FP64", 1, 2, 3)
    answer = infer(DOUBLER, amounts, tensor, raw=raw)
    assert [problem["row"] for problem in answer.json["problems"]] == [0, 1]
    assert 'got the string "Röm"' in answer.json["error"]
    good = texts(b"Rome")
    assert infer(DOUBLER, column("amount", "FP64", 1), binary("city", "BYTES", [1], good), raw=good).status == 200


WRONG = [
    # what differs from a good row, status, words
    ({"age": column("age", "FP64", 31.5)}, 'row 0, feature "age": expected a whole number, got 31.5'),
    (
        {"age": column("age", "UINT64", 2**63)},
        'row 0, feature "age": expected a whole number, got 9223372036854775808, which is not within',
    ),
    ({"age": column("age", "FP64", 2.0**63)}, 'row 0, feature "age": expected a whole number'),
    ({"age": column("age", "FP64", None)}, 'row 0, feature "age": expected a whole number, got NaN'),
    ({"age": column("age", "BYTES", "31")}, 'the tensor of "age" is BYTES: expected a whole number'),
    (
        {"income": column("income", "FP64", 1e300)},
        'row 0, feature "income": expected a number or null, got 1e+300, which is beyond',
    ),
    (
        {"kids": column("kids", "INT64", 128)},
        'row 0, feature "kids": expected a whole number or null, got 128, which is not within -128..127',
    ),
    (
        {"city": column("city", "BYTES", "Rom")},
        'row 0, feature "city": expected one of "Rome", "Oslo", got the string "Rom"; did you mean "Rome"?',
    ),
    ({"city": column("city", "BYTES", None)}, 'row 0, feature "city": expected one of "Rome", "Oslo", got null'),
    ({"member": column("member", "UINT8", 1)}, 'the tensor of "member" is UINT8: expected true or false'),
    ({"level": column("level", "INT64", 3)}, 'row 0, feature "level": expected one of 1, 2, got 3'),
    (
        {"since": column("since", "BYTES", "yesterday")},
        'row 0, feature "since": expected a date or time in ISO 8601 or null, got the string "yesterday"',
    ),
    ({"age": column("Age", "INT64", 31)}, 'the model takes no tensor "Age"; did you mean "age"?'),
    (
        {"age": column("age", "INT64", 31, 32, shape=[1, 2])},
        'the tensor "age" has shape [1, 2]; a feature takes [rows] or [rows, 1]',
    ),
]


@pytest.mark.parametrize(("instead", "words"), WRONG)
def test_rows_that_the_model_cannot_take_are_named_by_row_and_feature(instead: dict[str, Any], words: str) -> None:
    answer = infer(DESCRIBED, *{**ROW, **instead}.values())
    assert (answer.status, words in answer.json["error"]) == (422, True), answer.json["error"]


def test_many_wrong_rows_are_named_in_their_order_and_up_to_a_limit() -> None:
    values = numpy.ones((50, 3))
    values[3, 2] = numpy.inf
    values[2, 1] = numpy.nan
    raw = values.tobytes()
    answer = infer(SUMMED, binary("input-0", "FP64", [50, 3], raw), raw=raw)
    assert [(problem["row"], problem["feature"]) for problem in answer.json["problems"]] == [(2, "x1"), (3, "x2")]
    raw = numpy.full((50, 3), numpy.nan).tobytes()
    assert len(infer(SUMMED, binary("input-0", "FP64", [50, 3], raw), raw=raw).json["problems"]) == 20


BROKEN = [
    (b"", 'the body has no JSON; send {"inputs": '),
    (b"[1]", "the body must be"),
    (b"{}", 'the body lacks "inputs"'),
    (b'{"inputs": []}', 'the body has no tensor in "inputs"'),
    (b'{"inputs": [1]}', "inputs[0] must be an object"),
    ({"id": 1, "inputs": [MATRIX]}, "id must be a string, got 1"),
    ({"inputs": [{**MATRIX, "datatype": "FP63"}]}, 'datatype of the tensor "input-0" is the string "FP63"; known: BOOL,'),
    ({"inputs": [{**MATRIX, "shape": [2, -3]}]}, "must be a list of whole numbers"),
    ({"inputs": [{**MATRIX, "shape": []}]}, "must be a list of whole numbers"),
    ({"inputs": [{**MATRIX, "shape": [1] * 9}]}, "more than 8 dimensions"),
    ({"inputs": [{**MATRIX, "shape": [2, 4]}]}, "has 6 values; its shape [2, 4] takes 8"),
    ({"inputs": [{**MATRIX, "shape": [10**18, 10**18]}]}, "has 6 values"),
    ({"inputs": [{**MATRIX, "shape": [0, 3], "data": []}]}, "there is no row in it"),
    ({"inputs": [{**MATRIX, "data": [1, 2, 3, 4, 5, "6"]}]}, 'holds numbers, but element 5 is the string "6"'),
    ({"inputs": [{**MATRIX, "data": [[1, 2, 3], [4, 5, [6]]]}]}, "holds numbers, but element 5 is a list"),
    ({"inputs": [{**MATRIX, "data": [1, 2, 3, 4, 5, True]}]}, "element 5 is true"),
    ({"inputs": [{**MATRIX, "datatype": "INT8", "data": [1, 2, 3, 4, 5, 128]}]}, "is INT8, but element 5 is 128"),
    ({"inputs": [{**MATRIX, "datatype": "INT8", "data": [1, 2, 3, 4, 5, 1.5]}]}, "holds whole numbers, but element 5 is 1.5"),
    ({"inputs": [{**MATRIX, "data": "abcdef"}]}, 'has the string "abcdef"'),
    ({"inputs": [MATRIX, MATRIX]}, "two inputs have the same name"),
    ({"inputs": [{"name": "input-0", "datatype": "FP64", "shape": [1, 3]}]}, 'has neither "data" nor the parameter'),
    ({"inputs": [{**MATRIX, "parameters": {"binary_data_size": 48}}]}, 'has both "data" and binary_data_size'),
    ({"inputs": [binary("input-0", "FP64", [1, 3], b"1" * 24)]}, "has binary_data_size 24; 0 bytes are left"),
    ({"inputs": [{**MATRIX, "parameters": {"shared_memory_region": "r"}}]}, "a tensor lies in shared memory"),
    ({"inputs": [{**MATRIX, "parameters": []}]}, "must be an object"),
    ({"inputs": [MATRIX], "outputs": [{"name": "part"}]}, 'there is no output "part"; did you mean "parts"?'),
    ({"inputs": [MATRIX], "outputs": {}}, "outputs must be a list"),
    ({"inputs": [MATRIX], "outputs": [{}]}, 'each of outputs must be an object with a "name"'),
    ({"inputs": [MATRIX], "outputs": [{"name": "parts", "parameters": {"classification": 2}}]}, "classification is not taken"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "words"), BROKEN)
def test_a_body_that_cannot_be_read_is_told_what_is_wrong_with_it(body: Any, words: str) -> None:
    answer = SUMMED.ask(INFER, body)
    assert (answer.status, words in answer.json["error"]) == (400, True), answer.json["error"]
    assert set(answer.json) == {"error", "code", "problems", "request_id"}


@pytest.mark.parametrize(
    ("raw", "size", "words"),
    [
        (b"x" * 23, 0, "FP64 of shape [1, 3] takes 24"),
        (b"x" * 25, 0, "FP64 of shape [1, 3] takes 24"),
        (b"x" * 24, 1, "the body has 1 bytes beyond"),
    ],
)
def test_binary_data_of_another_size_are_refused(raw: bytes, size: int, words: str) -> None:
    answer = infer(SUMMED, binary("input-0", "FP64", [1, 3], raw), raw=raw + b"y" * size)
    assert (answer.status, words in answer.json["error"]) == (400, True), answer.json["error"]


@pytest.mark.parametrize(
    ("raw", "count", "words"),
    [
        (texts(b"Rome") + b"\x05\x00", 2, "longer than the data"),
        (texts(b"Rome"), 2, "another number of elements"),
        (texts(b"Rome", b"Oslo"), 1, "another number of elements"),
        (struct.pack("<I", 2**32 - 1), 1, "element 0 is longer"),
    ],
)
def test_strings_that_do_not_end_where_they_say_are_refused(raw: bytes, count: int, words: str) -> None:
    answer = infer(DOUBLER, column("amount", "FP64", *[1] * count), binary("city", "BYTES", [count], raw), raw=raw)
    assert (answer.status, words in answer.json["error"]) == (400, True), answer.json["error"]


@pytest.mark.parametrize("length", ["-1", "1e3", "99999", "", "²", "9" * 30])
def test_a_length_of_the_header_that_cannot_be_is_refused(length: str) -> None:
    answer = SUMMED.ask(INFER, {"inputs": [MATRIX]}, {"Inference-Header-Content-Length": length})
    assert (answer.status, "Inference-Header-Content-Length is" in answer.json["error"]) == (400, True)
    assert SUMMED.ask(INFER, b"x", {"Content-Encoding": "gzip"}).status == 415


def test_an_answer_that_is_no_tensor_is_a_json_text_a_row() -> None:
    class Odd:
        title = "Odd"

        def predict(self, rows: Any) -> dict[str, Any]:
            return {"predictions": [[1], [1, 2]], "told": [{"a": 1}, None], "texts": ["é", "b"], "holes": [float("nan"), 1.5]}

        def signature(self, sample: tuple[Any, ...]) -> Signature:
            return Signature()

    odd = Spoken(Odd(), serving=SERVING, signature=Signature(container="list"))
    tensors = {output["name"]: output for output in infer(odd, MATRIX).json["outputs"]}
    assert (tensors["predictions"]["datatype"], tensors["predictions"]["data"]) == ("BYTES", ["[1]", "[1,2]"])
    assert tensors["told"]["data"] == ['{"a":1}', "null"]
    assert (tensors["texts"]["datatype"], tensors["texts"]["data"]) == ("BYTES", ["é", "b"])
    assert (tensors["holes"]["datatype"], tensors["holes"]["data"]) == ("FP64", [None, 1.5])
    raw = infer(odd, MATRIX, outputs=[{"name": "texts", "parameters": {"binary_data": True}}]).body
    assert raw.endswith(texts("é".encode(), b"b"))


def test_metadata_name_tensors_versions_and_what_is_not_there() -> None:
    told = SUMMED.ask("/v2/models/demo").json
    assert told["inputs"] == [
        {"name": "input-0", "datatype": "FP64", "shape": [-1, 3], "parameters": {"features": ["x0", "x1", "x2"]}}
    ]
    assert told["outputs"][1] == {"name": "parts", "datatype": "FP64", "shape": [-1, 3]}
    assert told["versions"] == ["1"]
    assert [tensor["datatype"] for tensor in DESCRIBED.ask("/v2/models/demo/versions/1").json["inputs"]] == [
        "INT64", "FP32", "INT8", "BYTES", "BOOL", "INT64", "BYTES",
    ]  # fmt: skip
    assert SUMMED.ask("/v2").json == {"name": "mlship", "version": "0.1.0", "extensions": ["binary_tensor_data"]}
    for path in ("/v2/health/live", "/v2/health/ready", "/v2/models/demo/ready", "/v2/models/demo/versions/1/ready"):
        assert SUMMED.ask(path).status == 200
    missing = SUMMED.ask("/v2/models/dema/infer", b"{}")
    assert (missing.status, missing.json["error"]) == (
        404,
        'there is no model "dema" here; did you mean "demo"?; there is demo',
    )
    assert (
        SUMMED.ask("/v2/models/demo/versions/7").json["error"] == 'demo has no version "7" here; this release serves version 1'
    )
    assert SUMMED.ask("/v2/models/demo/config").status == SUMMED.ask("/v2/repository/index", b"{}").status == 404
    assert SUMMED.ask(INFER).json["error"] == "GET is not possible at /v2/models/demo/infer; send POST"


TF = "/v1/models/demo:predict"
ASKED = [
    ({"instances": [[1, 2, 3]]}, {"predictions": [{"predictions": 6.0, "parts": [1.0, 2.0, 3.0]}]}),
    (
        {"instances": [{"x0": 1, "x1": 2, "x2": 3}], "signature_name": "serving_default"},
        {"predictions": [{"predictions": 6.0, "parts": [1.0, 2.0, 3.0]}]},
    ),
    ({"inputs": [[1, 2, 3]]}, {"outputs": {"predictions": [6.0], "parts": [[1.0, 2.0, 3.0]]}}),
    ({"inputs": {"x0": [1], "x1": [[2]], "x2": [3]}}, {"outputs": {"predictions": [6.0], "parts": [[1.0, 2.0, 3.0]]}}),
    ({"instances": [[1, 2, "3"]]}, 'row 0, feature "x2": expected a number, got the string "3"; remove the quotes'),
    ({"instances": [[1, 2, 3]], "inputs": []}, 'the body must have either "instances" or "inputs"'),
    (
        {"instances": [], "signature_name": "other"},
        'signature_name is the string "other"; the only signature is serving_default',
    ),
    ({"instance": []}, 'the body has "instance"; did you mean "instances"?; known: signature_name, instances, inputs'),
    ([], 'the body must be {"instances": [...]} or {"inputs": ...}, got a list'),
]


@pytest.mark.parametrize(("body", "answer"), ASKED)
def test_tensorflow_servings_rows_and_columns(body: Any, answer: Any) -> None:
    got = SUMMED.ask(TF, body)
    assert (got.json if got.status == 200 else got.json["error"]) == answer


def test_one_output_is_bare_in_tensorflow_servings_form() -> None:
    assert DOUBLER.ask(TF, {"instances": [[1, "Rome"]]}).json == {"predictions": [2]}
    assert DOUBLER.ask(TF, {"inputs": {"amount": [1], "city": ["Rome"]}}).json == {"outputs": [2]}


def test_tensorflow_servings_status_metadata_and_what_is_not_there() -> None:
    (status,) = SUMMED.ask("/v1/models/demo/versions/1").json["model_version_status"]
    assert (status["version"], status["state"]) == ("1", "AVAILABLE")
    definition = DOUBLER.ask("/v1/models/demo/metadata").json["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert definition["inputs"]["city"]["dtype"] == "DT_STRING"
    assert SUMMED.ask("/v1/models/other").json["error"] == 'there is no model "other" here; there is demo'
    assert (
        SUMMED.ask("/v1/models/demo:classify", {}).json["error"]
        == '"classify" is not answered here; post to /v1/models/demo:predict'
    )
    assert SUMMED.ask("/v1/models/demo/versions/2:predict", {}).status == 404


def test_what_goes_through_is_a_tensor_of_the_answer_and_unknown_ones_may_be_ignored() -> None:
    through = Spoken(Summed(), serving=SERVING, signature=FLOATS, passthrough=("customer", "order"))
    answer = infer(through, MATRIX, column("customer", "BYTES", "a", "b"))
    tensors = {output["name"]: output for output in answer.json["outputs"]}
    assert (tensors["customer"]["datatype"], tensors["customer"]["data"]) == ("BYTES", ["a", "b"])
    assert tensors["order"]["data"] == [None, None]
    short = infer(through, MATRIX, column("customer", "BYTES", "a"))
    assert (short.status, 'the tensor "customer" has shape [1]' in short.json["error"]) == (422, True)
    columns = [column(f"x{index}", "FP64", 1) for index in range(3)]
    assert infer(SUMMED, *columns, column("note", "BYTES", "x")).json["error"].startswith('the model takes no tensor "note"')
    assert (
        infer(
            Spoken(Summed(), serving=SERVING, signature=FLOATS, extra="ignore"), *columns, column("note", "BYTES", "x")
        ).status
        == 200
    )
