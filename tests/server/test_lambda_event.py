"""Events of Lambda as requests, and answers as its senders wait for them."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from mlship.server.events import event as events
from mlship.server.messages import Response, refused
from mlship.server.problems import InputError

DIRECT = "/predict"


def http_event(**changes: Any) -> dict[str, Any]:
    return {
        "version": "2.0",
        "rawPath": "/predict",
        "rawQueryString": "",
        "headers": {"Content-Type": "text/csv", "x-api-key": "k"},
        "requestContext": {"http": {"method": "POST"}, "stage": "$default"},
        "body": "a\n1\n",
        "isBase64Encoded": False,
        **changes,
    }


def read(event: Any) -> events.Event:
    return events.read(json.dumps(event).encode(), "id-1", DIRECT)


def test_a_request_is_what_the_url_was_asked() -> None:
    found = read(http_event(rawQueryString="x=1"))
    assert found.is_http and found.request.target == "/predict?x=1" and found.request.method == "POST"
    assert (found.request.body, found.request.headers["content-type"], found.request.id) == (b"a\n1\n", "text/csv", "id-1")


@pytest.mark.parametrize(
    ("path", "stage", "target"),
    [
        ("/prod/predict", "prod", "/predict"),
        ("/prod", "prod", "/"),
        ("/production/predict", "prod", "/production/predict"),
        ("/prod/predict", "$default", "/prod/predict"),
    ],
)
def test_the_stage_of_an_api_is_no_part_of_the_path(path: str, stage: str, target: str) -> None:
    event = http_event(rawPath=path, requestContext={"http": {"method": "POST"}, "stage": stage})
    assert read(event).request.target == target


def test_rows_alone_are_a_prediction_with_the_event_as_its_body() -> None:
    raw = b'{"instances": [[1, 2]]}'
    found = events.read(raw, "id-1", "/invocations")
    assert not found.is_http and found.request.target == "/invocations" and found.request.body is raw


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (http_event(version="1.0"), "payload format '1.0'; this server reads 2.0"),
        ({"httpMethod": "POST", "path": "/predict"}, "payload format '1.0'"),
        (http_event(requestContext=None), "payload format '2.0'"),
        (http_event(body="%%%", isBase64Encoded=True), "no base64"),
        (http_event(body={"instances": []}), "must be a string"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason(event: Any, said: str) -> None:
    with pytest.raises(InputError, match=said) as refused:
        read(event)
    assert refused.value.status == 400
    assert events.is_http(json.dumps(event).encode())


def test_no_json_is_no_event() -> None:
    with pytest.raises(InputError, match="the event is no JSON"):
        events.read(b"{", "id-1", DIRECT)
    assert not events.is_http(b"{")


def test_an_answer_is_text_where_it_is_text_and_base64_where_it_is_not() -> None:
    text = json.loads(events.told(Response(200, b"a\n1\n", "text/csv; charset=utf-8"), {"x-request-id": "id-1"}))
    assert (text["statusCode"], text["body"], text["isBase64Encoded"]) == (200, "a\n1\n", False)
    assert text["headers"] == {"content-type": "text/csv; charset=utf-8", "x-request-id": "id-1"}
    raw = json.loads(events.told(Response(200, b"\x93NUMPY\xff", "application/x-npy"), {}))
    assert raw["isBase64Encoded"] and base64.b64decode(raw["body"]) == b"\x93NUMPY\xff"


def test_a_refusal_without_a_request_has_its_status_beside_it() -> None:
    response = refused(422, "row 0 is wrong", "id-1")
    assert json.loads(events.with_status(response))["status"] == 422
    failed = events.failure(refused(500, "the model failed", "id-1"))
    assert failed == {
        "errorMessage": "500 Internal Server Error: the model failed", "errorType": "mlship.Failed", "stackTrace": [],
    }  # fmt: skip
