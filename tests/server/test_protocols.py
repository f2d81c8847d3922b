# ruff: noqa: E501  a table reads best with one case a line
"""What each platform's protocol takes and answers, by table."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import Any

import numpy
import pytest
from jsonschema import Draft202012Validator, ValidationError  # type: ignore[import-untyped]
from spoken import ENTRY, Spoken

from mlship.server.app import App
from mlship.server.board import DRAINING, STATE
from mlship.server.core import ServedModel
from mlship.server.manifest import Feature, Signature
from mlship.server.messages import Call, Request, Response
from mlship.server.pages.openapi import template
from mlship.server.settings import SettingsError, settings_from
from mlship.targets import scraped

ROWS = [{"amount": 1, "city": "Rome"}, {"amount": 2.5, "city": None}]
SPLIT = {"columns": ["city", "amount"], "data": [["Rome", 1], [None, 2.5]]}
CSV = {"Content-Type": "text/csv"}
LINES = {"Content-Type": "application/jsonlines"}
NPY = {"Content-Type": "application/x-npy"}
PREDICTIONS = {"predictions": [2, 5.0]}

SPOKEN = Spoken()

TAKEN = [
    # path, body, headers, answer
    ("/invocations", {"dataframe_split": SPLIT}, {}, PREDICTIONS),
    ("/invocations", {"dataframe_split": {**SPLIT, "index": [7, 9]}, "params": {}}, {}, PREDICTIONS),
    ("/invocations", {"dataframe_split": {"data": [[1, "Rome"], [2.5, None]]}}, {}, PREDICTIONS),
    ("/invocations", {"dataframe_split": {"columns": [0, 1], "data": [[1, "Rome"], [2.5, None]]}}, {}, PREDICTIONS),
    ("/invocations", {"dataframe_records": ROWS, "params": None}, {}, PREDICTIONS),
    ("/invocations", {"inputs": {"amount": [1, 2.5], "city": ["Rome", None]}}, {}, PREDICTIONS),
    ("/invocations", {"inputs": {"amount": [[1], [2.5]], "city": [["Rome"], [None]]}}, {}, PREDICTIONS),
    ("/invocations", {"inputs": [[1, "Rome"], [2.5, None]]}, {}, PREDICTIONS),
    ("/invocations", {"instances": ROWS}, {}, PREDICTIONS),
    ("/invocations", {"instances": ROWS, "params": {}}, {}, PREDICTIONS),
    ("/invocations", ROWS, {}, PREDICTIONS),
    ("/invocations", b'{"dataframe_split": {"columns": ["amount", "city"], "data": [[1, NaN], [2.5, "Rome"]]}}', {}, PREDICTIONS),
    ("/invocations", {"instances": [[1, "dataframe_split"]]}, {}, 422),
    ("/vertex/predict", {"instances": ROWS, "parameters": {}}, {}, PREDICTIONS),
    ("/vertex/predict", {"instances": [[1, "Rome"], [2.5, None]]}, {}, PREDICTIONS),
    ("/vertex/predict", b"amount,city\n1,Rome\n2.5,\n", CSV, b"predictions\n2\n5.0\n"),
    ("/score", {"input_data": SPLIT}, {}, [2, 5.0]),
    ("/score", {"input_data": ROWS, "params": {}}, {}, [2, 5.0]),
    ("/score", {"data": ROWS}, {}, PREDICTIONS),
    ("/score", {"instances": ROWS}, {}, PREDICTIONS),
    ("/score", b"amount,city\n1,Rome\n2.5,\n", CSV, b"predictions\n2\n5.0\n"),
    ("/score", b'{"amount": 1, "city": "Rome"}\n{"amount": 2.5, "city": null}\n', LINES, b'{"predictions":2}\n{"predictions":5.0}\n'),
]  # fmt: skip


@pytest.mark.parametrize(("path", "body", "headers", "answer"), TAKEN)
def test_each_platforms_own_forms_are_answered_in_its_own_form(
    path: str, body: Any, headers: dict[str, str], answer: Any
) -> None:
    got = SPOKEN.ask(path, body, headers)
    if isinstance(answer, int):
        assert got.status == answer
    else:
        assert (got.status, got.body if isinstance(answer, bytes) else got.json) == (200, answer)


WITH_HEADER, WITHOUT = b"city,amount\nRome,1\n,2.5\n", b"1,Rome\n2.5,\n"
IN_LINES = b'{"amount": 1, "city": "Rome"}\n{"city": null, "amount": 2.5}\n'
BARE = {"Content-Type": "text/csv; header=absent"}
TENSOR = {"name": "predictions", "datatype": "FP64", "shape": [2], "data": [2, 5.0]}
ROUTES: dict[str, tuple[dict[str, Any], Any]] = {
    # path: keys of manifest.Serving, the answer in its own JSON
    "/predict": ({}, PREDICTIONS),
    "/predict/demo": ({}, PREDICTIONS),
    "/invocations": ({}, PREDICTIONS),
    "/invocations of mlflow": ({"invocations": "mlflow"}, PREDICTIONS),
    "/vertex/predict": ({}, PREDICTIONS),
    "/score": ({}, PREDICTIONS),
    "/v2/models/demo/infer": ({}, {"model_name": "demo", "model_version": "1", "outputs": [TENSOR]}),
    "/v1/models/demo:predict": ({}, PREDICTIONS),
}


@pytest.mark.parametrize("path", ROUTES)
def test_csv_with_and_without_a_header_and_json_lines_are_taken_at_every_predict_route(path: str) -> None:
    serving, in_json = ROUTES[path]
    spoken, path = Spoken(serving=serving), path.partition(" ")[0]
    for body, headers in ((WITH_HEADER, CSV), (WITHOUT, BARE if serving else CSV), (IN_LINES, LINES)):
        told = spoken.ask(path, body, {**headers, "Accept": "application/json"})
        assert (told.status, told.json) == (200, in_json)
        told = spoken.ask(path, body, headers)
        kinds = ("application/json", headers["Content-Type"])
        assert told.headers["content-type"].partition(";")[0] == kinds[not serving], "MLflow's answers are always JSON"
        assert serving or told.body.count(b"\n") == 2 + (headers is CSV and path != "/invocations")
    assert spoken.ask(path, b"Rome,x\n", BARE).status == 422


PICKLED = b"\x80\x04cos\nsystem\n(V:\ntR."


@pytest.mark.parametrize("kind", ["application/x-pickle", "application/python-pickle", "application/octet-stream"])
@pytest.mark.parametrize("path", dict.fromkeys(path.partition(" ")[0] for path in ROUTES))
def test_no_content_type_is_unpickled(path: str, kind: str) -> None:
    assert SPOKEN.ask(path, PICKLED, {"Content-Type": kind}).status in (400, 415)


REFUSED = [
    ("/invocations", {"dataframe_split": SPLIT, "params": {"max_length": 3}}, "the model takes no params; leave them out"),
    ("/invocations", {"dataframe_split": SPLIT, "params": False}, "the model takes no params; leave them out"),
    ("/invocations", {"dataframe_split": SPLIT, "instances": ROWS}, "the body must have exactly one of dataframe_split, dataframe_records, instances, inputs; it has dataframe_split and instances"),
    ("/invocations", {"dataframe_split": SPLIT, "parms": {}}, 'the body has "parms" beside "dataframe_split"; did you mean "params"?'),
    ("/invocations", {"dataframe_split": {**SPLIT, "dat": []}}, 'dataframe_split has a key "dat"; did you mean "data"?; known: columns, index, data'),
    ("/invocations", {"dataframe_split": {"columns": ["a", "a"], "data": []}}, "dataframe_split.columns names a column twice"),
    ("/invocations", {"dataframe_split": {"columns": "a", "data": []}}, 'dataframe_split.columns must be a list of names, got the string "a"'),
    ("/invocations", {"dataframe_split": []}, 'dataframe_split must be {"columns": [...], "data": [[...]]}, got a list'),
    ("/invocations", {"dataframe_split": {"columns": ["amount"], "data": [[1], [1, 2]]}}, "row 1 has 2 values; there are 1 columns"),
    ("/invocations", {"dataframe_records": {"amount": [1]}}, "dataframe_records must be a list of rows, got an object"),
    ("/invocations", {"inputs": {"amount": [1], "city": [None, None]}}, "inputs by column must be lists, all of the same length"),
    ("/invocations", {"inputs": 3}, "inputs must be a list of rows, got 3"),
    ("/invocations", b'{"inputs": ', "the body is not JSON: "),
    ("/invocations", b'{"dataframe_split": {"columns": ["amount", "city"], "data": [[%s, "Rome"]]}}' % (b"2" * 309), "the body is not JSON: "),
    ("/invocations", b'{"dataframe_records": [[Infinity, null]]}', 'row 0, feature "amount": expected a number, got Infinity'),
    ("/vertex/predict", {"instances": ROWS, "parameters": {"k": 1}}, "the model takes no parameters; leave them out"),
    ("/vertex/predict", {"inputs": ROWS}, 'the body must have "instances"; send for example {"instances": [...]}'),
    ("/vertex/predict", ROWS, 'the body must be an object such as {"instances": [...]}, got a list'),
    ("/score", {"input": SPLIT}, "the body must have exactly one of input_data, data, instances; send for example "),
    ("/score", {"data": 3}, "instances must be a list of rows, got 3"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "body", "message"), REFUSED)
def test_what_a_protocol_does_not_take_is_named(path: str, body: Any, message: str) -> None:
    answer = SPOKEN.ask(path, body)
    assert answer.status in (400, 422)
    assert answer.json["error"]["message"].startswith(message)


@pytest.mark.parametrize(
    "path", ["/predict", "/invocations", "/vertex/predict", "/score", "/v2/models/demo/infer", "/v1/models/demo:predict"]
)
def test_every_predict_route_tells_the_release(path: str) -> None:
    assert SPOKEN.ask(path, {"mlship": "release"}).json["release"] == "r1-aaaaaa"


def test_vertex_tells_the_release_where_only_instances_get_through() -> None:
    told = SPOKEN.ask("/vertex/predict", {"instances": [{"mlship": "release"}]}).json
    assert told["predictions"][0]["release"] == "r1-aaaaaa"


@pytest.mark.parametrize("path", ["/ping", "/health", "/vertex/health", "/"])
def test_health_of_each_platform_follows_readiness(path: str) -> None:
    draining = Spoken()
    draining.slot.cells[STATE] = DRAINING
    assert (SPOKEN.ask(path).status, draining.ask(path).status) == (200, 503)


def test_mlflows_version_is_told() -> None:
    assert (SPOKEN.ask("/version").status, SPOKEN.ask("/version").body) == (200, b"0.1.0")


def test_vertex_listens_where_its_environment_says() -> None:
    environ = {
        "MLSHIP_MANIFEST": "m",
        "AIP_HTTP_PORT": "7080",
        "AIP_HEALTH_ROUTE": "/livez",
        "AIP_PREDICT_ROUTE": "/v1/endpoints/1:predict",
    }
    settings = settings_from(environ)
    spoken = Spoken(settings=settings)
    assert settings.port == 7080
    assert spoken.ask("/v1/endpoints/1:predict", {"instances": ROWS}).json == PREDICTIONS
    assert spoken.ask("/livez").body == b""
    with pytest.raises(SettingsError, match="AIP_PREDICT_ROUTE is 'predict'; write a path such as /predict"):
        settings_from({**environ, "AIP_PREDICT_ROUTE": "predict"})


def test_a_protocol_that_is_not_asked_for_has_no_routes() -> None:
    spoken = Spoken(serving={"protocols": ("sagemaker",)})
    assert [spoken.ask(path).status for path in ("/ping", "/version", "/score", "/vertex/health")] == [200, 404, 404, 404]
    assert spoken.ask("/invocations", {"dataframe_split": SPLIT}).status == 400


def test_invocations_speaks_mlflow_alone_where_serve_says_so() -> None:
    spoken = Spoken(serving={"invocations": "mlflow"})
    assert spoken.ask("/invocations", b"amount,city\n1,Rome\n2.5,\n", CSV).json == PREDICTIONS
    assert spoken.ask("/invocations", {"instances": ROWS}).json == PREDICTIONS
    assert spoken.ask("/invocations", ROWS).status == 400


NUMBERS = Signature((Feature("a"), Feature("b", nullable=True)), container="list")


class Firsts:
    """Gives back the first value, with a list beside it."""

    title = "Firsts"

    def predict(self, rows: Any) -> dict[str, Any]:
        return {"predictions": [row[0] for row in rows], "probabilities": [[0.25, 0.75] for _ in rows]}

    def signature(self, sample: tuple[Any, ...]) -> Signature:
        return NUMBERS


def saved(array: Any) -> bytes:
    into = io.BytesIO()
    numpy.save(into, array, allow_pickle=True)
    return into.getvalue()


def test_npy_goes_in_and_comes_out() -> None:
    spoken = Spoken(Firsts(), signature=NUMBERS)
    for rows in ([[1.5, 2], [3, 4]], [[1.5, numpy.nan], [3, 4]]):
        answer = spoken.ask("/invocations", saved(numpy.asfortranarray(rows)), NPY)
        assert answer.headers["content-type"] == "application/x-npy"
        assert numpy.load(io.BytesIO(answer.body), allow_pickle=False).tolist() == [1.5, 3.0]
    assert spoken.ask("/invocations", saved(numpy.array([7, 8], "int32")), {**NPY, "Accept": "application/json"}).json[
        "predictions"
    ] == [7]


BAD_NPY = [
    (b"", 400, "the body is not npy: "),
    (b"\x93NUMPY\x01\x00\x46\x00", 400, "the body is not npy: "),
    (b"\x93NUMPY\x09\x00\x46\x00", 400, "the body is not npy: "),
    (saved(numpy.array([[1.0, 2.0]]))[:-3], 400, "the npy header says 16 bytes of data, the body has 13"),
    (saved(numpy.array([[1.0, 2.0]])).replace(b"(1, 2)", b"(9, 2)"), 400, "the npy header says 144 bytes of data, the body has 16"),
    (saved(numpy.empty((10**9, 0))), 400, "the array is empty; send at least one row"),
    (saved(numpy.array([[{}, 2]], dtype=object)), 422, "the array is of dtype object; send numbers of at most 64 bits"),
    (saved(numpy.array([["a", "b"]])), 422, "the array is of dtype <U1; send numbers"),
    (saved(numpy.zeros((1, 2, 1))), 422, "the array has 3 dimensions; send rows by features"),
    (saved(numpy.array([[1.0, 2.0, 3.0]])), 422, "the array has shape [1, 3]; the model takes [rows, 2]"),
    (saved(numpy.array([[numpy.nan, 2.0]])), 422, 'row 0, feature "a": expected a number, got NaN'),
    (saved(numpy.array([[numpy.inf, 2.0]])), 422, 'row 0, feature "a": expected a number, got Infinity'),
    (b"\x93NUMPY\x02\x00\xff\xff\xff\x0f" + b"(" * 20_000, 400, "the body is not npy: "),
    (b"\x93NUMPY\x01\x00\x20\x4e" + b"(" * 20_000, 400, "the body is not npy: "),
]  # fmt: skip


@pytest.mark.parametrize(("body", "status", "message"), BAD_NPY)
def test_npy_is_never_unpickled_and_never_larger_than_it_is(body: bytes, status: int, message: str) -> None:
    answer = Spoken(Firsts(), signature=NUMBERS).ask("/invocations", body, NPY)
    assert (answer.status, answer.json["error"]["message"][: len(message)]) == (status, message)


ACCEPTED = [
    ("application/json", "application/json"),
    ("text/csv;q=0.5, application/jsonlines;q=0.9", "application/jsonlines"),
    ("application/xml, text/*", "text/csv; charset=utf-8"),
    ("text/csv;q=0, */*", "application/json"),
    ("application/x-npy", "application/x-npy"),
]


@pytest.mark.parametrize(("accept", "given"), ACCEPTED)
def test_accept_is_honoured_in_the_order_of_its_weights(accept: str, given: str) -> None:
    assert SPOKEN.ask("/invocations", ROWS, {"Accept": accept}).headers["content-type"] == given


def test_sagemaker_refuses_an_answer_that_there_is_not() -> None:
    answer = SPOKEN.ask("/invocations", ROWS, {"Accept": "application/x-recordio-protobuf"})
    assert (answer.status, answer.json["error"]["code"]) == (406, "not_acceptable")
    words = Spoken(Firsts(), signature=replace(NUMBERS, container="list"))
    assert words.ask("/invocations", [[1, None]], {"Accept": "application/x-npy"}).status == 200


def test_sagemakers_custom_attributes_are_not_read_and_tell_the_release() -> None:
    for body, said in ((ROWS, PREDICTIONS), ({"instances": ROWS}, PREDICTIONS), ({"mlship": "release"}, None)):
        answer = SPOKEN.ask("/invocations", body, {"X-Amzn-SageMaker-Custom-Attributes": "trace=1"})
        assert said is None or answer.json == said
        assert answer.headers["x-amzn-sagemaker-custom-attributes"] == "mlship-release=r1-aaaaaa"
    assert "x-amzn-sagemaker-custom-attributes" not in SPOKEN.ask("/predict", {"instances": ROWS}).headers


def test_of_several_models_sagemakers_callers_name_one_in_an_attribute() -> None:
    service = SPOKEN.app.service
    other = ServedModel(replace(ENTRY, name="other", signature=NUMBERS), Firsts())
    several = App(replace(service, models={**service.models, "other": other}))

    def asked(attributes: str) -> tuple[str, int]:
        headers = {"content-type": "application/json", "x-amzn-sagemaker-custom-attributes": attributes}
        found = several.open(Request("POST", "/invocations", headers, "1", b"[[1, 2]]"))
        return (found.model.entry.name, 200) if isinstance(found, Call) else ("", found.status)

    assert asked("trace=1, mlship-model=other") == asked("mlship-model=other;trace=1") == ("other", 200)
    assert asked("trace=1")[0] != "other"
    assert asked("mlship-model=another") == ("", 404)


def test_the_document_describes_every_route_with_its_methods() -> None:
    document = SPOKEN.ask("/openapi.json").json
    table = {template(SPOKEN.app.service, route): route.methods for _, route in SPOKEN.app._routes.values()}
    assert {path: set(item) - {"parameters"} for path, item in document["paths"].items()} == {
        path: {method.lower() for method in methods} for path, methods in table.items()
    }
    operations = [
        item[method]["operationId"] for item in document["paths"].values() for method in ("get", "post") if method in item
    ]
    assert len(set(operations)) == len(operations)


@pytest.mark.parametrize(
    "path", ["/predict", "/invocations", "/vertex/predict", "/score", "/v2/models/{model}/infer", "/v1/models/{model}:predict"]
)
def test_what_the_document_says_of_a_predict_route_fits_its_answers(path: str) -> None:
    spoken = Spoken(passthrough=("id",), extra="ignore", sample=({"amount": 1, "city": "Rome"},))
    document = spoken.ask("/openapi.json").json
    operation = document["paths"][path]["post"]
    body = operation["requestBody"]["content"]["application/json"].get(
        "example",
        {
            "inputs": [
                {"name": "amount", "shape": [1], "datatype": "FP64", "data": [1]},
                {"name": "city", "shape": [1], "datatype": "BYTES", "data": ["Rome"]},
            ]
        },
    )
    answer = spoken.ask(path.replace("{model}", "demo"), body)
    schema = {**operation["responses"]["200"]["content"]["application/json"]["schema"], "components": document["components"]}
    assert answer.status == 200
    Draft202012Validator(schema).validate(answer.json)
    with pytest.raises(ValidationError):
        Draft202012Validator(schema).validate({"prediction": []})


def test_the_routes_that_deploys_measure_are_those_that_reach_the_model() -> None:
    posted = {route.name for _, route in SPOKEN.app._routes.values() if "POST" in route.methods}
    assert set(scraped.PREDICTIONS) == posted


def test_of_several_models_each_is_described_as_it_is() -> None:
    service = SPOKEN.app.service
    other = ServedModel(replace(ENTRY, name="other", signature=NUMBERS), Firsts())
    several = replace(service, models={**service.models, "other": other})
    document = App(several).open(Request("GET", "/openapi.json", {}, "1"))
    assert isinstance(document, Response)
    told = json.loads(document.body)
    taken = [told["paths"][f"/predict/{name}"]["post"]["requestBody"] for name in ("demo", "other")]
    schemas = [body["content"]["application/json"]["schema"]["anyOf"][0]["properties"]["instances"]["$ref"] for body in taken]
    assert schemas == ["#/components/schemas/Rows", "#/components/schemas/Rows.other"]
    row = told["components"]["schemas"]["Row.other"]["oneOf"][0]
    assert set(row["properties"]) == {"a", "b"}
